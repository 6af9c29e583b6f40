"""DysonNet (Winter and Nunnenkamp, arXiv:2603.11189), Tables 3 and 4, with any of its mixers."""

from dataclasses import fields

CORE = {
    "features": 14,
    "blocks": 2,
    "token_size": 2,
    "kernel_size": 4,
    "state_size": 12,
    "hidden_units": 2,
    "mixer": "s4",
    "spin_flip": False,
    "one_site_shift": False,
}
MATCHED = CORE | {"features": 2}  # Table 3
VERSION = 1  # raised when the same settings and parameters give other numbers
MIXERS = {  # name: class of `dysonnet`, and its settings where they are not given
    "s4": ("S4", {}),
    "power_law": ("PowerLaw", {}),
    "fourier": ("Fourier", {}),
    "convolution": ("Convolution", {"width": 5}),
    "linear_attention": ("LinearAttention", {"heads": 2}),
    "dense": ("Dense", {}),
}
PRESETS = {"quick": CORE, "laptop": CORE, "paper": CORE, "core": CORE, "matched": MATCHED}
PRESETS |= {name: CORE | {"mixer": name} for name in MIXERS if name != CORE["mixer"]}
RENAMED = [  # settings as rows and states are named after them, and as they are called now
    ({"real_kernels": False}, {"mixer": "s4"}),
    ({"real_kernels": True}, {"mixer": {"s4": {"real": True}}}),
]


def build(system, dtype, *, mixer, **settings):
    """The head is complex where the ground state has signs."""
    from dysonnet import estimator  # noqa: F401 (its local energies are part of a row's code)
    from dysonnet.model import DysonNet

    return DysonNet(propagator=propagator(mixer), complex_head=not system.positive, dtype=dtype, **settings)


def propagator(mixer):
    """The mixer of a name, of {name: settings}, or the sum of a list of those."""
    import dysonnet

    if isinstance(mixer, list | tuple) and mixer:
        first, *others = map(propagator, mixer)
        return sum(others, start=first)
    named = {mixer: {}} if isinstance(mixer, str) else mixer
    if not (isinstance(named, dict) and len(named) == 1 and named.keys() <= MIXERS.keys()):
        raise ValueError(
            f"mixer={mixer!r} is not known: give one of {', '.join(MIXERS)}, or {{name: settings}}, or a list of them, "
            "which is their sum."
        )
    ((name, given),) = named.items()
    kind, settings = MIXERS[name]
    try:
        return getattr(dysonnet, kind)(**settings | given)
    except TypeError:
        known = ", ".join(field.name for field in fields(getattr(dysonnet, kind)) if field.name != "ring")
        raise ValueError(f"mixer {name} was given {given!r}, but its settings are: {known or 'none'}.") from None


def resize(variables, n_from, n_to):
    """Fit a state of n_from sites to n_to: W and b grow with N, since log ψ with mean pooling is not extensive."""
    params = dict(variables["params"])
    params["head"] = {name: value * (n_to / n_from) for name, value in params["head"].items()}
    return {"params": params}
