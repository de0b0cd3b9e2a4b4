"""Persistence: tables, repositories with all queries, and units of work. Only this package uses SQLAlchemy."""
