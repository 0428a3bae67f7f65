"""Explain network pruning: AP2, AP3 and the performance difference of pruned networks."""

__version__ = "0.1.0"
