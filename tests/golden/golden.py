"""Numbers of the suite from given parameters, samples and draws, in float64: no random generator is involved.

    python tests/golden/golden.py            # says what is not as in golden.json
    python tests/golden/golden.py --write    # writes golden.json anew

Every number belongs to a version; `--write` refuses numbers that changed while their version did not. `golden.json` holds
the versions, and of every vector longer than MOST its projections on given ones.
"""

import json
import sys
from pathlib import Path
from unittest import mock

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import conftest  # noqa: F401 (how XLA compiles)

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from dysonnet import ExchangeCorrelation, SquaredMagnetisation, TransverseMagnetisation
from nqsbench import models, systems
from nqsbench.plan import versions
from nqsbench.plan.points import Point
from nqsbench.run import evaluate as evaluation
from nqsbench.run import train as training
from nqsbench.run.experiment import Experiment

FILE = Path(__file__).with_name("golden.json")
TOLERANCE = 1e-9
MOST = 12
BATCH = 12
COMPOSITE_SITES = 96
COUPLINGS = {"lr_tfim": {"J": -1.7, "alpha": 2.5, "h": 0.8}, "j1j2": {"J1": 1.1, "J2": 0.3}}
ALIVE = {"scale": 1.0, "Lambda_re": -0.6, "log_step": -1.5, "D_re": 1.0}  # a normalisation, a state-space propagator
LINEARISED = {"token_size": 4, "attention": "linearised", "ffn_layers": 2, "shift_average": True}
CASES = {  # name: model, and what differs from its preset `core`
    "dysonnet": ("dysonnet", {}),
    "vit": ("vit", {}),
    "rbm": ("rbm", {}),
    "resnet": ("resnet", {}),
}
VARIANTS = {  # these without derivatives
    "dysonnet, symmetric": ("dysonnet", {"mixer": {"s4": {"real": True}}, "spin_flip": True, "one_site_shift": True}),
    "vit, linearised": ("vit", LINEARISED),
    "vit, circulant": ("vit", LINEARISED | {"attention": "circulant"}),
}
TRAINING = {
    "iterations": 10,
    "n_chains": BATCH,
    "n_samples": BATCH,
    "burn_in": 0,
    "inversion_probability": 0.25,
    "chunk_size": None,
    "learning_rate": {"initial": 0.1, "peak": 0.2, "warmup": 2, "decay": 0.9},
    "diagonal_shift": {"initial": 1e-2, "final": 1e-3},
    "trust_radius": 1e3,
    "solver": "auto",
}
EVALUATION = {
    "n_chains": BATCH,
    "n_samples": 100 * BATCH,
    "burn_in": 0,
    "target_error": 1.0,
    "max_samples": 200 * BATCH,
}


def sines(shape, number):
    """sin(0.7 i² + number) of i = 1, 2, …: as good as random, within ±1."""
    return np.sin(0.7 * np.arange(1, np.prod(shape, dtype=int) + 1) ** 2.0 + number).reshape(shape)


def uniforms(shape, number):
    """The same, uniform in (0, 1)."""
    return 0.5 + np.arcsin(sines(shape, number)) / np.pi


def variables_of(model, n_sites, size=0.8):
    """Parameters whose contributions are of order one."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, n_sites)))
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)

    def leaf(number, path, shape):
        spread = 2 * size / max(shape.shape, default=1) ** 0.5
        value = ALIVE.get(path[-1].key, 0.0) + spread * sines(shape.shape, number)
        if jnp.issubdtype(shape.dtype, jnp.complexfloating):
            value = value + 0.5j * spread * sines(shape.shape, number + 0.5)
        return jnp.asarray(value, shape.dtype)

    return jax.tree.unflatten(tree, [leaf(i, path, shape) for i, (path, shape) in enumerate(leaves)])


def samples_of(system, n_sites, n_samples=BATCH):
    """Configurations (n_samples, N), in the sector of the system."""
    x = sines((n_samples, n_sites), 0.3)
    if systems.get(system).hilbert(n_sites).constrained:
        x = np.argsort(np.argsort(x)) - n_sites / 2 + 0.5
    return jnp.asarray(np.where(x > 0, 1, -1), jnp.int8)


def point(case, system, n_sites=8, **changes):
    """A point of a case, with its shared settings; the trust radius binds on j1j2, the RBM takes the QGT."""
    model, settings = (CASES | VARIANTS)[case]
    radius = {"trust_radius": 0.05} if system == "j1j2" else {}
    solver = {"solver": "qgt"} if model == "rbm" else {}
    settings = models.settings(model, "core", settings)
    protocol = TRAINING | radius | solver | changes
    return Point(system, n_sites, COUPLINGS[system], model, "core", settings, 0, "float64", protocol, EVALUATION)


def state_of(point, σ):
    """NetKet's state of a point with given parameters, which keeps the given samples."""
    experiment = Experiment.of(point)
    vstate = experiment.training_state(variables_of(experiment.model, point.n_sites))
    vstate._samples, vstate.reset = σ[:, None], lambda: None
    return vstate


def values(vstate, σ, operators, derivative=False):
    """log ψ, the local values of operators by the kernels that NetKet's expectation values take, and the gradient

    2 Re ⟨(E_loc − E)* ∂ log ψ⟩ with respect to real parameters, E_loc being the first operator's local values.
    """
    kernels = {name: nk.vqs.get_local_kernel(vstate, operator) for name, operator in operators.items()}
    first = next(iter(operators))

    @jax.jit
    def compute(variables, σ, operators):
        local = {name: kernels[name](vstate._apply_fun, variables, σ, operators[name]) for name in operators}
        if not derivative:
            return {"log ψ": vstate._apply_fun(variables, σ)} | local
        log_ψ, pullback = jax.vjp(lambda variables: vstate._apply_fun(variables, σ), variables)
        ε = 2 * (local[first] - local[first].mean()).conj() / len(σ)
        return {"log ψ": log_ψ, "gradient": pullback(ε.astype(log_ψ.dtype))} | local

    numbers = compute(vstate.variables, σ, operators)  # sorted by name
    return {name: numbers[name] for name in ["log ψ", *operators, *["gradient"] * derivative]}


def hamiltonian_of(point, hilbert):
    return {"local energies": systems.get(point.system).hamiltonian(hilbert, **point.couplings)}


def observables_on(hilbert):
    """Every observable that the space admits."""
    observables = {
        "squared magnetisation": SquaredMagnetisation(hilbert),
        "staggered squared magnetisation": SquaredMagnetisation(hilbert, staggered=True),
        "exchange correlation": ExchangeCorrelation(hilbert, 3),
    }
    return observables | ({} if hilbert.constrained else {"transverse magnetisation": TransverseMagnetisation(hilbert)})


def of_case(case, system):
    """log ψ, local energies, observables, gradient of the energy and one SR update on given samples."""
    here, σ = point(case, system), samples_of(system, 8)
    vstate = state_of(here, σ)
    hamiltonian = hamiltonian_of(here, vstate.hilbert)
    if case in VARIANTS:
        return values(vstate, σ, hamiltonian)
    numbers = values(vstate, σ, hamiltonian | observables_on(vstate.hilbert), derivative=True)
    before = vstate.parameters
    training.build_driver(Experiment.of(here), vstate).run(1, show_progress=False)
    return numbers | {"update": jax.tree.map(jnp.subtract, vstate.parameters, before)}


def of_composite(case, system):
    """One pass with given draws on a long ring, and local energies there: those of a DysonNet by local updates."""
    here, σ = point(case, system, COMPOSITE_SITES), samples_of(system, COMPOSITE_SITES, 4)
    vstate = state_of(here.replace(training=here.training | {"n_chains": 4, "n_samples": 4}), σ)
    sampler, model, variables, seen = vstate.sampler, vstate.model, vstate.variables, []

    def draw(surrogate, s):
        logits = surrogate.auxiliary_logits(s)
        η = jnp.argmax(logits - jnp.log(-jnp.log(uniforms(logits.shape, 0.1))), axis=-1) - 1.0
        seen[:] = logits, surrogate.log_flip_ratios(s, η)
        return surrogate.move(s, η, jnp.log(uniforms(s.shape, 0.2)))

    @jax.jit
    def one_pass(variables, state):
        σp, correction = sampler.block(model, variables, state, sampler.sites(5, np.array([2])), draw)
        log_u = jnp.log(uniforms(correction.shape, 0.4))
        after, accept, changed = sampler.decide(model, variables, state, σp, correction, log_u)
        return *seen, σp, correction, changed, accept, after.log_prob

    numbers = values(vstate, σ, hamiltonian_of(here, vstate.hilbert))
    state = vstate.sampler_state.replace(σ=σ, log_prob=2 * numbers["log ψ"].real)
    names = (
        "auxiliary logits",
        "label ratios",
        "proposed spins",
        "log of the surrogate's ratio",
        "proposed flips",
        "accepted",
        "log π",
    )
    return numbers | dict(zip(names, one_pass(variables, state), strict=True))


def of_evaluation(case, system):
    """The row of an evaluation with given samples, local energies and training, and its comparison with exact numbers."""
    here, σ = point(case, system), samples_of(system, 8, EVALUATION["n_samples"]).reshape(BATCH, -1, 8)
    noise = sines((BATCH, σ.shape[1] + 4), 0.6)
    energies = -8 + sum(noise[:, i : i + σ.shape[1]] for i in range(5))  # correlated over five sweeps
    history = np.stack([-8 + sines(60, 0.7), np.full(60, 0.1), np.full(60, 0.3)], axis=1)
    experiment = Experiment.of(here)
    variables = variables_of(experiment.model, 8)

    def batch_of(vstate, hamiltonian, double):
        vstate.sample()  # for its acceptance, which is left out
        return np.asarray(σ), energies

    with mock.patch.object(evaluation, "batch_of", batch_of):
        row = evaluation.sampled(experiment, variables, history)
    row |= evaluation.against_exact(experiment, variables, row["energy"])
    return {name: value for name, value in row.items() if name != "acceptance"}


def of_trajectory():
    """(E, error, variance) of three steps of a seeded training: the random numbers are those of one version of JAX."""
    here = point("rbm", "lr_tfim", 6, burn_in=1, n_samples=4 * BATCH, iterations=3)
    experiment, history = Experiment.of(here), []
    driver = training.build_driver(experiment, experiment.training_state())
    list(training.optimise(driver, experiment, history))
    return np.array(history)


def digest(value):
    """A number, array or tree as a short list of floats."""
    x = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(value)])
    if len(x) > MOST:
        x = np.stack([sines(len(x), i / 7) for i in range(MOST // 2)]) @ x
    x = np.concatenate([x.real, x.imag]) if np.iscomplexobj(x) else x.astype(float)
    return [float(f"{number:.14g}") for number in x]


def version_of(kind, number, model, system):
    """The name and the value of the version that a number belongs to."""
    if number == "local energies":
        return f"`version` of {system} in src/nqsbench/systems/{system}.py", systems.get(system).version
    if number in ("log ψ", "gradient"):
        return f"VERSION in src/nqsbench/models/{model}.py", models.load(model).VERSION
    trained = kind in ("composite", "trajectory") or number == "update"
    name = "TRAINING_VERSION" if trained else "EVALUATION_VERSION"
    return f"{name} in src/nqsbench/plan/versions.py", getattr(versions, name)


def keys():
    """(kind, case, system) of all sets of numbers that do not depend on JAX's random ones."""
    yield from (("case", case, system) for case in CASES | VARIANTS for system in COUPLINGS)
    yield from (("composite", case, system) for case in ("dysonnet", "rbm") for system in COUPLINGS)
    yield "evaluation", "rbm", "lr_tfim"


def numbers_of(kind, case, system):
    """{number: short list of floats} of one set, causes before effects."""
    compute = {"case": of_case, "composite": of_composite, "evaluation": of_evaluation}[kind]
    return {name: digest(value) for name, value in compute(case, system).items()}


def first_change(found, stored):
    """The first number that is not the stored one: its name, and both values."""
    for name in [*found, *(stored.keys() - found.keys())]:
        a, b = np.array(found.get(name, [])), np.array(stored.get(name, []))
        if a.shape != b.shape or not np.allclose(
            a, b, 0, TOLERANCE * max(1.0, np.abs(b).max(initial=0)), equal_nan=True
        ):
            return name, a, b
    return None


def complaint(key, found, stored):
    """A sentence on what changed in one set of numbers, and whether it may: it is new, or its version was raised; None where
    nothing did."""
    known = stored["numbers"].get(" | ".join(key), {})
    change = first_change(found, known)
    if not change:
        return None, False
    (kind, case, system), (number, new, old) = key, change
    model, _ = (CASES | VARIANTS)[case]
    version, value = version_of(kind, number, model, system)
    worst = np.argmax(np.abs(new - old)) if new.shape == old.shape else ()
    sentence = (
        f"The numbers of {number} of {case} on {system} ({kind}) changed, {old[worst]} to {new[worst]}: if that is meant, "
        f"raise {version}, which is {value}, and run `python tests/golden/golden.py --write`."
    )
    return sentence, number not in known or value != stored["versions"].get(version)


def present_versions():
    """{name: value} of all versions that numbers belong to."""
    kinds = [("case", "log ψ"), ("case", "local energies"), ("case", "update"), ("evaluation", "energy")]
    every = (
        (kind, number, model, system) for kind, number in kinds for model, _ in CASES.values() for system in COUPLINGS
    )
    return dict(version_of(*one) for one in every)


def load():
    return json.loads(FILE.read_text()) if FILE.is_file() else {"versions": {}, "numbers": {}, "trajectory": {}}


def text(golden):
    """JSON with a line for every number."""
    line = lambda value: json.dumps(value, ensure_ascii=False)
    sets = (
        f"{line(key)}: {{\n" + ",\n".join(f"  {line(name)}: {line(x)}" for name, x in numbers.items()) + "}"
        for key, numbers in golden["numbers"].items()
    )
    head = ",\n".join(f'"{key}": {line(golden[key])}' for key in ("versions", "trajectory"))
    return f'{{{head},\n"numbers": {{\n' + ",\n".join(sets) + "}}\n"


def main(write):
    stored, numbers = load(), {}
    for key in keys():
        name, found = " | ".join(key), numbers_of(*key)
        sentence, raised = complaint(key, found, stored)
        numbers[name] = found if sentence else stored["numbers"][name]  # rounding alone changes nothing
        if sentence and stored["numbers"]:
            print(sentence)
            write = write and raised
    if write:
        trajectory = {"jax": jax.__version__, "history": digest(of_trajectory())}
        FILE.write_text(text({"versions": present_versions(), "trajectory": trajectory, "numbers": numbers}))
    print(f"{FILE} was {'' if write else 'not '}written.")


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
