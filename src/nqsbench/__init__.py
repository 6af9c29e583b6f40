"""nqsbench: the benchmark and reproduction suite around DysonNet."""


def load_state(folder):
    """The trained variational state in a point's folder, as a NetKet MCState.

    Args:
        folder: what `nqsbench train` got as `--out`, or one below `results/<profile>/states`.

    Raises:
        ValueError: for a folder without a trained state.

    Examples:
        >>> from nqsbench import load_state, resources
        >>> states = resources.CHECKOUT / "results" / "laptop" / "states"  # some come with the repository
        >>> state = load_state(sorted(states.glob("lr_tfim-N60-J-1-*-rbm-*"))[0])
        >>> state.hilbert.size
        60
    """
    from nqsbench.run.load import load_state  # imports JAX and NetKet, which tables and figures never need

    return load_state(folder)
