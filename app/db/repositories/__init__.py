"""All queries, one module per kind of resource."""
