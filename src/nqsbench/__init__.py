"""nqsbench: the benchmark and reproduction suite around DysonNet.

from nqsbench import load_state
vstate = load_state("runs/my-state")  # a NetKet MCState
print(vstate.log_value(vstate.samples))
"""


def load_state(folder):
    """The trained variational state in a point's folder, as a NetKet MCState."""
    from nqsbench.run.load import load_state  # imports JAX and NetKet, which tables and figures never need

    return load_state(folder)
