"""Primitives, one a file: a problem paired with a measurement."""
