"""What workdirs hold, read from their files alone, without JAX."""
