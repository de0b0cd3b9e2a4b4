"""Stored predictors: their versions, and a cache of those in use."""
