"""Methods on a time grid: what a step does with what the network says."""
