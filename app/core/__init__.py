"""Settings, logging and the service's own errors: what every other package may import."""
