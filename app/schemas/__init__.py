"""What goes over the wire, a file a resource. Every bound stands in the OpenAPI spec."""
