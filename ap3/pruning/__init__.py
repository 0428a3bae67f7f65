"""What is pruned: masks, and the pruned layers on disk."""
