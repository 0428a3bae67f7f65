"""What all latent laws are scaled to."""

FULL_PRUNING_KL = 1.9
"""The KL of pruning everything, below the 2 up to which Lemma 3.1 speaks."""
