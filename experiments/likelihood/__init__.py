"""Bits per dimension of a trained model, with error bars."""
