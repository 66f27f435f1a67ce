"""PyTorch checkpoints of the score_sde project."""
