"""One torch thread: small networks gain nothing from more, and bits do not depend on the machine's number of cores."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
