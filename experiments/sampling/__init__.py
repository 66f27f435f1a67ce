"""Samples of a trained model, and the latents, time grids and files that go with them."""
