"""The schemas of requests and responses, one file per resource. All bounds are part of the OpenAPI spec."""
