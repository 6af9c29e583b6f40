"""What a profile says: the keys of config/*.yaml."""

from copy import copy
from math import inf
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from nqsbench import samplers
from nqsbench.plan.points import UNIFORM_SITES
from nqsbench.plan.strict import Strict, without_repetitions
from nqsbench.plan.sweeps import VARIES, as_list

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Size = Annotated[int, Field(ge=4)]


def some(kind):
    """A list of at least one, no two the same."""
    return Annotated[list[kind], Field(min_length=1), AfterValidator(without_repetitions)]


def one_or_some(kind):
    """A single value or such a list."""
    return Annotated[some(kind), BeforeValidator(as_list)]


def known_sampler(name):
    """A sampler of the suite or of another package, or `auto`."""
    if name not in (known := ("auto", *samplers.names())):
        raise ValueError(f"one of {', '.join(known)}")
    return name


class LearningRate(Strict):
    """η: linear from initial to peak during warmup, then times decay a step, and a cooldown."""

    initial: Positive = Field(description="At step 0.")
    peak: Positive = Field(description="After the warm-up.")
    warmup: Count = Field(description="Steps.")
    decay: Annotated[float, Field(gt=0, le=1)] = Field(description="Factor per step after the warm-up.")
    cooldown: int = Field(0, ge=0, description="Steps at the end over which it falls to zero linearly, on top.")
    of: Literal["site", "total"] = Field(
        "site",
        description="The Hamiltonian that it is of: per site, or the total one, whose η is a step of imaginary time.",
    )


class DiagonalShift(Strict):
    """λ of S + λ over the run."""

    initial: Positive = Field(description="At step 0.")
    final: Positive = Field(description="At the last step.")
    form: Literal["linear", "geometric"] = Field("linear", description="How it falls.")
    floor_samples: float = Field(0.0, ge=0, description="λ is never below this, divided by the number of samples.")


class Training(Strict):
    """The protocol of all models."""

    iterations: Count = Field(description="SR steps.")
    n_chains: Count = Field(description="Markov chains.")
    n_samples: int = Field(ge=2, description="Samples per step.")
    burn_in: int = Field(ge=0, description="Sweeps discarded at every step.")
    inversion_probability: float = Field(ge=0, le=1, description="Share of global spin inversions among the moves.")
    sampler: Annotated[str, AfterValidator(known_sampler)] = Field(
        "auto",
        description="A file of src/nqsbench/samplers: Metropolis decisions one by one (plain), blocks at once (composite), "
        "all spins along the gradient (langevin); or plain on short rings and composite on long ones (auto, the default).",
    )
    uniform_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description=f"Share of proposals drawn from the whole space, on rings of up to {UNIFORM_SITES} sites.",
    )
    machine_pow: float = Field(
        2.0, gt=0, le=2, description="Chains sample |ψ| to this power p, and sums have the weights |ψ|^(2−p)."
    )
    restart: float = Field(0.0, ge=0, le=1, description="Share of the chains that start anew before each step.")
    chunk_size: Count = Field(description="Configurations evaluated at once.")
    learning_rate: LearningRate = Field(description="η.")
    diagonal_shift: DiagonalShift = Field(description="λ of S + λ.")
    trust_radius: Positive = Field(
        description="Largest standard deviation over samples of the change of log ψ in one step."
    )
    uniform_radius: Positive = Field(inf, description="The same over configurations drawn uniformly from the space.")
    max_step: Positive = Field(inf, description="Largest norm of the change of the parameters in one step.")
    momentum: float = Field(0.0, ge=0, lt=1, description="μ of SPRING, arXiv:2401.10190; 0 is plain SR.")
    clip: Positive = Field(
        inf,
        description="Local energies enter the gradient up to so many mean absolute deviations from their median.",
    )
    average_last: int = Field(0, ge=0, description="Steps over whose parameters the result is averaged; 0: the last.")
    rollback: int = Field(
        0,
        ge=0,
        description="How often a training that has left a good state may go back to it, with a ten times larger λ.",
    )
    solver: Literal["auto", "ntk", "qgt"] = Field(
        description="auto takes ntk when there are more parameters than samples."
    )
    checkpoint_every: Count = Field(description="Steps between checkpoints.")


def _optional(field):
    field = copy(field)
    field.default = None
    return field


def _overrides(settings, what):
    """A class of some of the settings of another one."""
    fields = {name: (field.annotation, _optional(field)) for name, field in settings.model_fields.items()}
    return create_model(
        f"{what}Overrides", __base__=Strict, __doc__=f"Keys of the {what.lower()} in place of others.", **fields
    )


Overrides = _overrides(Training, "Training")


class Model(Strict):
    """One of the models that are compared."""

    preset: str = Field(description="A preset of the model.")
    settings: dict[str, Any] = Field({}, description="Hyper-parameters in place of those of the preset.")
    training: Overrides = Field(
        None, description="Keys of the training in place of the common ones, for this model only."
    )


class Evaluation(Strict):
    """Fresh samples after training."""

    n_chains: int = Field(ge=32, description="Independent chains.")
    n_samples: int = Field(ge=64, description="Samples of a batch.")
    burn_in: int = Field(ge=0, description="Sweeps discarded at the start.")
    target_error: Positive = Field(description="Batches are added until energy_error / |E| is at most this.")
    max_samples: int = Field(
        ge=64, description="No more than this many samples; (16/N)² as many on rings of more than 16 sites."
    )


EvaluationOverrides = _overrides(Evaluation, "Evaluation")


class Sweep(Strict):
    """The product of the lists of a sweep are its points; each sweep and model is one process."""

    figure: Literal[tuple(VARIES)] = Field(description="What the points are for.")
    system: str = Field(description="Hamiltonian, by the name of its file in src/nqsbench/systems.")
    n_sites: one_or_some(Size) = Field(description="Sites N of the ring, one or several.")
    couplings: Annotated[dict[str, one_or_some(float)], Field(min_length=1)] = Field(
        description="All couplings, each a number or a list."
    )
    models: some(str) = Field(None, description="Some of the models; all of them without this key.")
    seeds: some(Annotated[int, Field(ge=0)]) = Field(None, description="Seeds in place of those of the profile.")
    dtype: Literal["float32", "float64"] = Field(None, description="Type in place of that of the profile.")
    training: Overrides = Field(
        None, description="Keys of the training in place of the common ones and those of a model, for this sweep only."
    )
    evaluation: EvaluationOverrides = Field(
        None, description="Keys of the evaluation in place of the common ones, for this sweep only."
    )
    settings: dict[str, Any] = Field(
        None,
        description="Hyper-parameters in place of those of its models, for this sweep only: a variant, which Figs. 6 and 8 "
        "show beside the others, and no claim judges.",
    )
    newcomer: Annotated[list[float], AfterValidator(without_repetitions)] = Field(
        None,
        description="Those values of the list of couplings at which a challenger is trained: all without this key, for an "
        "empty list none.",
    )
    start: str = Field(
        None,
        description="previous: each size starts from the state of the one before it, or with one size each coupling of "
        "the last list, the first of them from random parameters. Or the name of a sweep further up: the smallest size "
        "starts from the next smaller one there, at the nearest coupling. Without it, all from random parameters.",
    )


class SampledStates(Strict):
    """Trained DysonNets that samplers are tried on."""

    sweep: str = Field(description="Sweep whose states are taken.")
    J: Annotated[list[float], Field(min_length=1)] = Field(
        description="Couplings among those of the sweep, one phase each."
    )
    sizes: Annotated[list[Annotated[int, Field(ge=56)]], Field(min_length=1)] = Field(
        description="Sites N: each of the state trained there, or else of the next smaller one, grown."
    )


class Sampling(Strict):
    """Samplers on trained DysonNets, Fig. S5."""

    states: Annotated[list[SampledStates], Field(min_length=1)] = Field(description="What they are tried on.")
    n_chains: int = Field(ge=8, description="Markov chains.")


class TimedState(Strict):
    """The trained state that samplers are timed on."""

    sweep: str = Field(description="Name of the sweep.")
    J: float = Field(description="Coupling of the state.")


class TimedSteps(Strict):
    """Real training steps that are timed; lists that are not given are those of `timing`."""

    n_samples: int = Field(2048, ge=8, description="Samples of a step, of up to 512 chains.")
    presets: some(str) = Field(None, description="Presets of the models.")
    models: some(str) = Field(None, description="Models, and entries of src/nqsbench/plan/timed.py.")
    sizes: some(Size) = Field(None, description="Sites N of the ring.")
    budget: Positive = Field(
        None, description="Seconds for two steps of a variant; longer ones are rows with their reason."
    )


class Timing(Strict):
    """What is timed for Fig. 3 and Table 1; the product of its lists."""

    kernels: some(Literal["estimator", "sampler", "training"]) = Field(description="What is timed.")
    presets: some(str) = Field(description="Presets of the models; matched is that of Table 3.")
    models: some(str) = Field(description="Models, and entries of src/nqsbench/plan/timed.py.")
    sizes: some(Size) = Field(description="Sites N of the ring.")
    dtype: Literal["float32", "float64"] = Field(description="Type of the networks.")
    budget: Positive = Field(description="Seconds for a row; what takes longer is a row with its reason.")
    breakeven: Positive = Field(
        None, description="Seconds for each shape of the break-even of Eq. 14 at each size; not timed without it."
    )
    depth: Positive = Field(
        None,
        description="Seconds for each depth of 1 to 6 blocks; the cost of a flip at N = 256 is not timed without it.",
    )
    variants: some(str) = Field(None, description="Some of the variants; all of them without this key.")
    steps: TimedSteps = Field(None, description="Real training steps, timed after their parts; not timed without it.")
    state: TimedState = Field(
        None,
        description="Trained states of a sweep, first seed, fitted to every size, for the sampler; random parameters "
        "without it, and where a model has none of the timed settings.",
    )


class Profile(Strict):
    """A complete profile of the suite."""

    profile: Name = Field(description="Its name; results and figures go to results/<profile> and figures/<profile>.")
    protocol: Literal["common", "best"] = Field(
        "common", description="What figures and claims call its trainings: best where `nqsbench search` has found them."
    )
    dtype: Literal["float32", "float64"] = Field(
        description="Type of the networks. Local energies and the SR system are float64 in any case."
    )
    seeds: some(Annotated[int, Field(ge=0)]) = Field(description="One training of every point per seed.")
    models: Annotated[dict[Name, Model], Field(min_length=1)] = Field(
        description="What is compared; any name in src/nqsbench/models."
    )
    training: Training = Field(description="The protocol of all models.")
    evaluation: Evaluation = Field(description="Fresh samples after training.")
    sweeps: Annotated[dict[Name, Sweep], Field(min_length=1)] = Field(description="The states that are trained.")
    order: some(str) = Field(
        None,
        description="The order in which `nqsbench run` takes the parts of the config, its sweeps and `timing`; what is "
        "not named is left out.",
    )
    sampling: Sampling = Field(None, description="Samplers on trained states, Fig. S5.")
    timing: Timing = Field(None, description="What is timed.")
