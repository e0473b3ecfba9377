"""Jitted kernels: arrays in, arrays filled in place; deterministic functions of a state and a block of noise."""
