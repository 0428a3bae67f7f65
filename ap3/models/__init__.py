"""Networks by name, and the last linear layer that is pruned."""
