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
    "conditioning": "stream",
    "share_blocks": False,
    "dense_layers": 0,
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
CONDITIONINGS = {"stream": ("Stream", {}), "window_mlp": ("WindowMLP", {})}
PRESETS = {"quick": CORE, "laptop": CORE, "paper": CORE, "core": CORE, "matched": MATCHED}
PRESETS |= {name: CORE | {"mixer": name} for name in MIXERS if name != CORE["mixer"]}
PRESETS |= {"window_mlp": CORE | {"conditioning": "window_mlp"}}
NEUTRAL = {"conditioning": "stream", "share_blocks": False, "dense_layers": 0}  # what rows without them have
RENAMED = [  # settings as rows and states are named after them, and as they are called now
    ({"real_kernels": False}, {"mixer": "s4"}),
    ({"real_kernels": True}, {"mixer": {"s4": {"real": True}}}),
]


def build(system, dtype, *, mixer, conditioning="stream", **settings):
    """The head is complex where the ground state has signs."""
    from dysonnet import estimator  # noqa: F401 (its local energies are part of a row's code)
    from dysonnet.model import DysonNet

    parts = {"propagator": propagator(mixer), "conditioning": _made("conditioning", conditioning, CONDITIONINGS)}
    return DysonNet(**parts, complex_head=not system.positive, dtype=dtype, **settings)


def propagator(mixer):
    """The mixer of a name, of {name: settings}, or the sum of a list of those."""
    if isinstance(mixer, list | tuple) and mixer:
        first, *others = map(propagator, mixer)
        return sum(others, start=first)
    return _made("mixer", mixer, MIXERS, ", or a list of them, which is their sum")


def _made(kind, given, known, more=""):
    """The object of a name or of {name: settings}."""
    import dysonnet

    named = {given: {}} if isinstance(given, str) else given
    if not (isinstance(named, dict) and len(named) == 1 and named.keys() <= known.keys()):
        raise ValueError(f"{kind}={given!r} is not known: give one of {', '.join(known)}, or {{name: settings}}{more}.")
    ((name, given),) = named.items()
    made, settings = getattr(dysonnet, known[name][0]), known[name][1]
    try:
        return made(**settings | given)
    except TypeError:
        names = ", ".join(field.name for field in fields(made) if field.name not in ("ring", "dims"))
        raise ValueError(f"{kind} {name} was given {given!r}, but its settings are: {names or 'none'}.") from None


def resize(variables, n_from, n_to):
    """Fit a state of n_from sites to n_to: W and b grow with N, since log ψ with mean pooling is not extensive."""
    params = dict(variables["params"])
    layers = [name for name in params["head"] if name.startswith("layer_")]  # act on the mean, whatever N
    params["head"] = {name: x if name in layers else x * (n_to / n_from) for name, x in params["head"].items()}
    return {"params": params}
