"""Latency models: milliseconds of a network on a device, from measurements of its fused operators there."""
