"""The HTTP API: the application, its middleware, and the routes."""

API_PREFIX = "/v1"
"""Every path below it needs authentication."""
