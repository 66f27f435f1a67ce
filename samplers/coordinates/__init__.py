"""The variables in which the probability flow is integrated."""
