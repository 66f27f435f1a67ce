"""JAX and the machine: devices, processes, signals, seeds and files."""
