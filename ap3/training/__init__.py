"""Training a baseline, evaluating a network, and what its last layer sees."""
