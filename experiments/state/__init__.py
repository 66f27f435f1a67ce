"""What a training run carries from step to step, in memory and on disk."""
