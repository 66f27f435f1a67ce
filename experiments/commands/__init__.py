"""The commands: the arguments of each, and running it.

A module has `add_to(commands)`. What takes JAX is imported when a command runs: `--help` and a
mistyped flag answer at once, and JAX's devices can still be configured.
"""
