"""Alembic migrations, on the app's settings and metadata."""
