"""Data sets and training recipes: their definitions and files. Loading and training are in `worker/`."""
