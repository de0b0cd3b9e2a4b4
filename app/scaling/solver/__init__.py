"""From a budget to a width: exact costs of many widths at once, and constraints."""
