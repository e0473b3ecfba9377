"""Donatella et al., Thermodynamic Natural Gradient Descent, arXiv:2405.13817 (npj Unconventional Computing)."""
