"""What steers a sampler: transforms of its model, and constraints on its state."""
