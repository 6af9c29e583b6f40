"""The samplers of the suite, one file each, and those of other packages; both are found by themselves.

A sampler is a module that offers

    build(system, model, n_sites, n_chains, inversion_probability)    NetKet's sampler for this network

and raises `TypeError` where it cannot sample the network. One that can make uniform moves takes their share as a further
argument, `uniform_probability`; without it a config that asks for some is refused. `training.sampler` of a config and
`nqsbench train --sampler` take its name. Another package offers its samplers under the entry point group
`nqsbench.samplers`.
"""

import inspect

from nqsbench.registry import Registry

REGISTRY = Registry("sampler", __name__, ("build",), "see nqsbench/samplers/plain.py")

names = REGISTRY.names


def build(name, *arguments, **moves):
    """The sampler of a name for a network on a ring, see above; `moves` are those that not every sampler makes.

    Raises:
        TypeError: where the sampler cannot sample the network.
        ValueError: for a name that no sampler has, and moves that it does not make.

    Examples:
        >>> import netket as nk
        >>> from nqsbench import samplers, systems
        >>> sampler = samplers.build("plain", systems.get("lr_tfim"), nk.models.RBM(), 8, 16, 0.25)
        >>> sampler.n_chains  # 16 chains of 8 sites, a quarter of the moves are inversions
        16
    """
    build = REGISTRY.load(name).build
    for move in moves.keys() - inspect.signature(build).parameters.keys():
        raise ValueError(
            f"The sampler {name!r} has no {move}, but was given {moves[move]:g}: take plain, or leave it out."
        )
    return build(*arguments, **moves)
