"""Melanson et al., arXiv:2312.04836 (Nature Communications 16, 3757, 2025): the stochastic processing unit."""
