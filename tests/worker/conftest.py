"""Tests use one torch thread: more do not speed up small networks, and results then do not depend on the machine."""

from __future__ import annotations

from multiprocessing import resource_tracker

import torch

torch.set_num_threads(1)
resource_tracker.ensure_running()  # else the first test with loader processes starts it and appears to leak it
