"""Which measure explains the performance difference: counts over a whole study."""
