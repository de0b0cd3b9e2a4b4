"""Trials: requests, life cycle, attempts, queue, estimates and artifacts."""
