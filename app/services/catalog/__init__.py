"""The catalog: built-in and registered baseline architectures and data sets."""
