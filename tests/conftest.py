"""What several tests share. XLA compiles without its slow passes here: the tests' time is compile time."""

import os
from importlib.metadata import version
from pathlib import Path

os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_backend_optimization_level=0",
        *["--xla_cpu_use_fusion_emitters=false"] * version("jaxlib").startswith("0.10."),  # elsewhere perhaps unknown
        os.environ.get("XLA_FLAGS", ""),
    ]
)
os.environ.setdefault("NQSBENCH_CACHE", str(Path(__file__).parents[1] / ".cache"))
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", ".cache/tests")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # most are small, and shared by processes

import gc
from functools import partial

import jax
import numpy as np

gc.set_threshold(100_000, 50, 1000)  # programs are millions of objects: looking through them takes 5 % of the time
MOST_REGIONS = 25_000  # memory regions of a process before its programs are forgotten


def random_variables(model, σ, seed=0, scale=1.0):
    """Random parameters of order one for any Flax module, drawn without compiling its initialisation.

    An almost constant ψ would pass anything. Matrices have variance scale²/fan-in, everything else is scale-sized noise
    around the values that keep a state-space propagator and an affine normalisation alive.
    """
    rng = np.random.default_rng(seed)
    around = {"scale": 1.0, "Lambda_re": -0.6, "log_step": -1.5, "D_re": 1.0, "onsite": 1.0}

    def draw(path, leaf):
        name = path[-1].key
        is_matrix = name == "matrix" or (len(leaf.shape) == 2 and name not in ("Lambda_im", "P_re", "P_im"))
        fan_in = leaf.shape[-1] if is_matrix else 1
        value = around.get(name, 0.0) + 0.5 * scale * rng.normal(size=leaf.shape) * 2 / np.sqrt(fan_in)
        if np.issubdtype(leaf.dtype, np.complexfloating):
            value = value + 1j * scale * rng.normal(size=leaf.shape) / np.sqrt(fan_in)
        return jax.numpy.asarray(value, leaf.dtype)

    shapes = jax.eval_shape(model.init, jax.random.key(0), σ)
    return jax.tree_util.tree_map_with_path(draw, shapes)


@partial(jax.jit, static_argnums=0)
def tame(net, variables, σ):
    """Scale the head so that the largest change of F under a single flip of σ (N,) is 2."""
    images = jax.numpy.concatenate([σ[None], σ * (1 - 2 * jax.numpy.eye(len(σ), dtype=σ.dtype))])
    F = net.apply(variables, images, method="head_inputs")
    factor = 2 / abs(F[:, 1:] - F[:, :1]).max()
    head = variables["params"]["head"]
    head = head | {name: factor.astype(w.dtype) * w for name, w in head.items() if not isinstance(w, dict)}
    return {"params": variables["params"] | {"head": head}}


def gentle(model, hilbert, seed=0):
    """Random variables with a standard deviation of log |ψ|² near 0.8, and log |ψ|² of all states."""
    σ, log_ψ = hilbert.all_states(), jax.jit(model.apply)
    variables = random_variables(model, np.ones((1, hilbert.size)), seed)
    for _ in range(30):
        spread = 2 * np.std(np.asarray(log_ψ(variables, σ)).real)
        if abs(spread - 0.8) < 0.1:
            break
        factor = float(np.clip(0.8 / spread, 0.5, 1.6))
        head = variables["params"]["head"]
        variables["params"]["head"] = {name: factor * value for name, value in head.items()}
    assert abs(spread - 0.8) < 0.3
    return variables, 2 * np.asarray(log_ψ(variables, σ)).real


def dense(H):
    """The matrix of an operator on two-level systems from its connected elements: NetKet's to_dense compiles hundreds."""
    σ = np.asarray(H.hilbert.all_states())
    σp, elements = (np.asarray(x) for x in jax.jit(type(H).get_conn_padded)(H, σ))
    codes = lambda σ: (σ != H.hilbert.local_states[0]) @ (1 << np.arange(σ.shape[-1]))
    order = np.argsort(codes(σ))
    rows, _ = kept = np.nonzero(elements)
    columns = order[np.searchsorted(codes(σ), codes(σp[kept]), sorter=order)]
    matrix = np.zeros((len(σ), len(σ)), elements.dtype)
    np.add.at(matrix, (rows, columns), elements[kept])
    return matrix


def assert_close(a, b, tolerance=1e-12):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    scale = max(1.0, float(np.max(np.abs(b), initial=0)))
    assert np.max(np.abs(a - b), initial=0) <= tolerance * scale, np.max(np.abs(a - b))


def mapped():
    """Memory regions of this process; 0 where nothing tells."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            return sum(1 for _ in maps)
    except OSError:
        return 0


def pytest_runtest_teardown(item, nextitem):
    """Forget programs before they are too many: each maps a few regions, and at 65530 of them XLA dies without a word."""
    if (nextitem is None or nextitem.path != item.path) and mapped() > MOST_REGIONS:
        jax.clear_caches()
        gc.collect()


def pytest_collection_modifyitems(items):
    """The longest first, which would else be waited for alone."""
    items.sort(key=lambda item: item.path.name != "test_workflow.py")
