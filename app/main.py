"""The ASGI application factory, where tools look for it: `uvicorn --factory app.main:create_app`."""

from __future__ import annotations

from app.http.app import create_app

__all__ = ["create_app"]
