"""Studies: life cycle, sampling, front, refits, family, and ask and tell."""
