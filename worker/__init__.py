"""The worker: Celery and torch. Builds networks, trains and evaluates them."""
