"""Thin adapters to frameworks, imported only on request: `adapters.optax` and `adapters.torch`."""
