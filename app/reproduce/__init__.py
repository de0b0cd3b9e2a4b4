"""`rdw reproduce`: all of the paper's steps through the HTTP API, and a report of what came out."""

from __future__ import annotations

from app.reproduce.command import add_command

__all__ = ["add_command"]
