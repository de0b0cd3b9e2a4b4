"""Scaling rules: from a target cost to resolution, depth and width."""
