"""Aifer et al., Error Mitigation for Thermodynamic Computing, arXiv:2401.16231."""
