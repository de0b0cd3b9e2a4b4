"""Gaussian processes for r(c), d(c) and accuracy, and the gate for replacing the active predictor."""
