"""Donatella et al., Scalable Thermodynamic Second-order Optimization, arXiv:2502.08603."""
