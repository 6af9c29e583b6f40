"""How much a timed call computes, by kind of device: what stays in the caches of a core, or what fills a card."""

from typing import NamedTuple

import jax


class Sizes(NamedTuple):
    """Configurations × sites per device, where nothing else is said; several are tried, and the best one counts.

    Attributes:
        forward: of evaluations of log ψ, the likeliest first.
        updates: flips of configurations whose flips are all updated, the likeliest first.
        chains: of every sampler; the better of this number and `more_chains` counts.
        decisions: plain decisions × chains × sites of a call.
        composite_pass: chains × sites at once of a composite pass.
        jacobian: of a timed Jacobian.
        chunk: of a Jacobian and of evaluations in training, at once.
    """

    forward: tuple
    updates: tuple
    chains: int
    more_chains: dict
    decisions: int
    composite_pass: int
    jacobian: int
    chunk: int


CPU = Sizes(
    forward=(32768, 8192, 131072),
    updates=(2048, 1024, 4096),
    chains=32,
    more_chains={"plain": 512, "lookup": 512, "direct": 512, "midpoint": 128, "gradient": 128},
    decisions=1 << 18,
    composite_pass=8192,
    jacobian=32768,
    chunk=8192,
)
OTHERS = Sizes(  # by count, not measured: ten thousand threads for every launch, 16 GB of memory at most
    forward=(1 << 20, 1 << 22, 1 << 17),
    updates=(1 << 19, 1 << 17, 1 << 20),
    chains=512,
    more_chains=dict.fromkeys(CPU.more_chains, 4096),
    decisions=1 << 26,
    composite_pass=1 << 21,
    jacobian=1 << 21,
    chunk=1 << 19,
)


def here():
    """The sizes for JAX's first device."""
    return CPU if jax.devices()[0].platform == "cpu" else OTHERS
