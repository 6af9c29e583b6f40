"""What is to be computed: configs, sweeps, points, versions. Sees names and couplings; loads no JAX."""
