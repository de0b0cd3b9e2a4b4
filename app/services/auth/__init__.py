"""API keys: scopes, creation, revocation, and the cache that requests are checked against."""
