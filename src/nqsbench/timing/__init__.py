"""Timings of the kernels of variational Monte Carlo: local estimator, sampler, training step."""
