"""The fields of an experiment with their ranges and defaults, and the flags that set them."""
