"""The samplers of the suite, one file each, and those of other packages; both are found by themselves.

A sampler is a module that offers

    build(system, model, n_sites, n_chains, inversion_probability)    NetKet's sampler for this network

and raises `TypeError` where it cannot sample the network. `training.sampler` of a config and `nqsbench train --sampler`
take its name. Another package offers its samplers under the entry point group `nqsbench.samplers`.
"""

from nqsbench.registry import Registry

REGISTRY = Registry("sampler", __name__, ("build",), "see nqsbench/samplers/plain.py")

names = REGISTRY.names


def build(name, *arguments):
    """The sampler of a name for a network on a ring, see above."""
    return REGISTRY.load(name).build(*arguments)
