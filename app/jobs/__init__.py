"""Background work: the Celery queue, the file broker, the maintenance loop, and the supervisor."""
