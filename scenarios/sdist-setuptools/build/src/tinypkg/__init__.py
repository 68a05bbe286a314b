"""A package small enough to read."""
