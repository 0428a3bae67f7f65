"""What pruning does to one network of a user's own, over data: explain it, predict it, spread it."""
