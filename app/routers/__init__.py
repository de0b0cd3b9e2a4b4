"""HTTP: parse, call, return. A file a resource."""
