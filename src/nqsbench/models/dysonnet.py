"""DysonNet (Winter and Nunnenkamp, arXiv:2603.11189), Tables 3 and 4."""

CORE = {
    "features": 14,
    "blocks": 2,
    "token_size": 2,
    "kernel_size": 4,
    "state_size": 12,
    "hidden_units": 2,
    "real_kernels": False,
    "spin_flip": False,
    "one_site_shift": False,
}
MATCHED = CORE | {"features": 2}  # Table 3
VERSION = 1  # raised when the same settings and parameters give other numbers
PRESETS = {"quick": CORE, "laptop": CORE, "paper": CORE, "core": CORE, "matched": MATCHED}


def build(system, dtype, *, real_kernels, **settings):
    """The head is complex where the ground state has signs."""
    from dysonnet import estimator  # noqa: F401 (its local energies are part of a row's code)
    from dysonnet.model import DysonNet
    from dysonnet.propagators import S4

    return DysonNet(propagator=S4(real=real_kernels), complex_head=not system.positive, dtype=dtype, **settings)


def resize(variables, n_from, n_to):
    """Fit a state of n_from sites to n_to: W and b grow with N, since log ψ with mean pooling is not extensive."""
    params = dict(variables["params"])
    params["head"] = {name: value * (n_to / n_from) for name, value in params["head"].items()}
    return {"params": params}
