"""Persistence: tables, and every query in repositories. SQLAlchemy is imported here and in `migrations/` alone."""
