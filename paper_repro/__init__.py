"""Reproductions of published figures: one folder a paper, each with its settings, tables and expected values."""
