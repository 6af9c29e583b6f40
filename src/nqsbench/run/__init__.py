"""What computes states and their numbers, with JAX."""
