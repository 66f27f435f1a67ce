"""What solves an ODE from one end to the other, each example by itself."""
