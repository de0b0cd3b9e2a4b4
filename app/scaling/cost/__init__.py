"""The exact cost of a network by operator, and the usual FLOPs counters."""
