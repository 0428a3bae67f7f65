"""Fine-tuning pruned layers, by themselves or with the whole network."""
