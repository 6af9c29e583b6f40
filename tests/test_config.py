"""Every mistake in a config or on the command line gives one sentence that helps."""

import copy
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nqsbench import cli
from nqsbench.plan import config as configs
from nqsbench.plan import expand, schema, sweeps
from nqsbench.show import claims

PROFILES = [configs.ROOT / "config" / f"{name}.yaml" for name in ("quick", "laptop", "paper")]


@pytest.fixture
def quick():
    return copy.deepcopy(configs.load(configs.ROOT / "config" / "quick.yaml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_shipped_configs_are_valid_and_named_after_their_profile(path):
    assert configs.load(path)["profile"] == path.stem


@pytest.mark.parametrize("kind", [schema.Profile, claims.Claim], ids=lambda kind: kind.__name__)
def test_every_key_is_described(kind):
    parts = kind.model_json_schema()
    parts = [parts, *parts["$defs"].values()]
    undescribed = [
        name for part in parts for name, key in part["properties"].items() if not {"description", "$ref"} & key.keys()
    ]
    assert undescribed == [] and all("description" in part for part in parts)


MISTAKES = [
    (lambda c: c.update(n_itr=3), "unknown key 'n_itr' in the file"),
    (
        lambda c: c["training"].update(iteration=3),
        "unknown key 'iteration' in training; did you mean 'iterations'?",
    ),
    (lambda c: c["training"].update(n_samples=-5), "training.n_samples is -5, but must be at least 2."),
    (lambda c: c["training"].pop("solver"), "training lacks the key 'solver'"),
    (lambda c: c.update(dtype="float16"), "dtype is 'float16', but must be one of float32, float64."),
    (
        lambda c: c["sweeps"]["coupling"].update(n_sites=13),
        "n_sites=13, which is not a multiple of token_size=2",
    ),
    (lambda c: c["sweeps"]["coupling"]["couplings"].update(K=1.0), "has no coupling 'K'; it has J, alpha, h"),
    (lambda c: c["sweeps"]["coupling"]["couplings"].pop("alpha"), "needs a value for the coupling 'alpha'"),
    (
        lambda c: c["sweeps"]["coupling"]["couplings"].update(alpha=float("nan")),
        "System 'lr_tfim' needs 0 ≤ alpha ≤ inf, but was given alpha=nan",
    ),
    (
        lambda c: c["sweeps"]["coupling"]["couplings"].update(alpha=[2.0, 3.0]),
        "gives a list of values for J and alpha, but fig2 needs it for one coupling.",
    ),
    (lambda c: c["sweeps"]["grid"]["couplings"].update(J=1.0), "for alpha, but fig6 needs it for J and alpha."),
    (lambda c: c["sweeps"]["coupling"].update(n_sites=[8, 12]), "n_sites=[8, 12], but fig2 needs one size."),
    (lambda c: c["sweeps"]["grid"].update(models=["cnn"]), "names the model 'cnn', but the models of this config are"),
    (lambda c: c["sweeps"]["grid"].update(n_sites="12"), "n_sites is '12', but must be a whole number."),
    (lambda c: c["sweeps"]["grid"].update(figure="fig5"), "figure is 'fig5', but must be one of fig2, fig6,"),
    (lambda c: c["sweeps"]["grid"].update(settings={"spinflip": True}), "has no setting 'spinflip'; it has features"),
    (
        lambda c: c["sweeps"]["coupling"].update(settings={}),
        "sweep 'coupling' has settings, but only fig6 and fig8 show variants",
    ),
    (lambda c: c["sweeps"]["grid"].update(vary="J"), "unknown key 'vary' in sweeps.grid"),
    (
        lambda c: c["sweeps"]["grid"].update(training={"iteration": 3}),
        "unknown key 'iteration' in sweeps.grid.training; did you mean 'iterations'?",
    ),
    (
        lambda c: c["sweeps"]["grid"].update(training={"learning_rate": {"peak": 2.0}}),
        "sweeps.grid.training.learning_rate lacks the key 'initial'",
    ),
    (
        lambda c: c["sweeps"]["grid"].update(start="next"),
        "sweep 'grid' has start=next, but what is written before it are: previous, coupling, exponent.",
    ),
    (
        lambda c: c["sweeps"]["coupling"].update(start="coupling"),
        "start=coupling, but what is written before it are: previous.",
    ),
    (
        lambda c: c["sweeps"]["grid"].update(start="coupling"),
        "starts from 'coupling', which does not have its sizes below 12.",
    ),
    (
        lambda c: c["sweeps"]["critical_short_range"].update(start="previous", n_sites=[12, 10]),
        "starts sizes from smaller ones, but has n_sites=[12, 10]: give them from small to large.",
    ),
    (
        lambda c: c["sweeps"]["critical_short_range"].update(start="previous", models=["rbm"]),
        "starts sizes from smaller ones, but the parameters of rbm depend on N: name other models in it",
    ),
    (lambda c: c.update(protocol="worst"), "protocol is 'worst', but must be one of common, best."),
    (lambda c: c["models"].update(cnn={"preset": "quick"}), "There is no model 'cnn'"),
    (lambda c: c["models"]["rbm"].update(preset="big"), "has no preset 'big'"),
    (
        lambda c: c["sweeps"].update({"a; rm -r b": c["sweeps"]["coupling"]}),
        "sweeps is 'a; rm -r b', but must be made of lower-case letters, digits and _.",
    ),
    (lambda c: c.update(profile="a b"), "profile is 'a b', but must be made of lower-case letters, digits and _."),
    (lambda c: c.update(seeds=[]), "seeds is [], but must be a list with at least 1 entry"),
]


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES, ids=[sentence for _, sentence in MISTAKES])
def test_mistakes_are_one_sentence(quick, mistake, sentence):
    mistake(quick)
    with pytest.raises(configs.ConfigError) as error:
        configs.check(quick, "my.yaml")
    text = str(error.value)
    assert text.startswith("my.yaml: ") and sentence in text and "\n" not in text and len(text) < 300


def test_yaml_numbers_and_keys(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("a: 1e-4\nb: .inf\nc: 2E+3\n")
    assert yaml.load(path.read_text(), configs._Loader) == {"a": 1e-4, "b": float("inf"), "c": 2000.0}
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(configs.ConfigError, match="'a' is given twice"):
        configs.load(path)
    with pytest.raises(configs.ConfigError, match="cannot be read"):
        configs.load(tmp_path / "none.yaml")


def test_a_sweep_is_the_product_of_its_lists_sizes_before_seeds_before_couplings(quick):
    sweep = {"figure": "fig7", "system": "lr_tfim", "n_sites": [8, 12], "models": ["dysonnet", "rbm"], "seeds": [3, 4]}
    quick["sweeps"] = {"s": sweep | {"couplings": {"J": [-1.0, 2.0], "alpha": 2.5}}}
    del quick["timing"]  # its states are of another sweep
    configs.check(quick, "my.yaml")
    points = expand.sweep_points(quick, "s")
    found = [(p.model, p.n_sites, p.seed, p.couplings["J"]) for p in points]
    assert found == list(itertools.product(["dysonnet", "rbm"], [8, 12], [3, 4], [-1.0, 2.0]))
    assert all(p.couplings == {"J": p.couplings["J"], "alpha": 2.5, "h": 1.0} for p in points)
    assert len(points) == sweeps.planned(quick, quick["sweeps"]["s"])


def test_the_points_of_the_tracked_rows_keep_their_names():
    short = configs.load(configs.ROOT / "config" / "short.yaml")
    names = {point.name for name in short["sweeps"] for point in expand.sweep_points(short, name)}
    tracked = {path.stem for path in (configs.ROOT / "results" / "short" / "rows").glob("*.json")}
    assert tracked and tracked <= names


def command(*words):
    return cli.main(["train", "--model", "rbm", "--system", "lr_tfim", "--n-sites", "8", *words])


def test_command_line_mistakes_are_one_sentence(tmp_path, capsys, monkeypatch):
    out = ["--out", str(tmp_path / "o"), "--alpha", "2.5"]
    cases = [
        ([*out, "--J", "1", "--n-samples", "-5"], "n_samples is -5, but must be at least 2"),
        (out, "needs a value for the coupling 'J'"),
        ([*out, "--J", "1", "--J2", "1"], "has no coupling 'J2'"),
        ([*out, "--J", "-1", "--h", "-1"], "given h=-1: at h < 0 the chain is that of |h| turned about z, so give |h|"),
        (["--out", str(tmp_path / "o"), "--J", "-1e-1"], "needs a value for the coupling 'alpha'"),
        ([*out, "--J", "1", "--n-sites", "-4"], "needs a number of sites N ≥ 3, but was given N=-4"),
        (["--out", "/proc/nowhere", "--alpha", "2.5", "--J", "1"], "Cannot write in /proc/nowhere"),
    ]
    for words, sentence in cases:
        assert command(*words) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    words = ["train", "--model", "dysonnet", "--system", "lr_tfim", "--n-sites", "9", *out, "--J", "1"]
    assert cli.main(words) == 2
    assert "n_sites=9, which is not a multiple of token_size=2" in capsys.readouterr().err


def snakemake(*words, cwd=configs.ROOT):
    return subprocess.run(
        [str(Path(sys.executable).parent / "snakemake"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_plans_its_whole_workflow(path):
    run = snakemake("-n", "--forceall", "--configfile", str(path))
    assert run.returncode == 0, run.stderr
    config = configs.load(path)
    jobs = sum(len(sweep.get("models", config["models"])) for sweep in config["sweeps"].values())
    assert any(line.split() == ["sweep", str(jobs)] for line in (run.stdout + run.stderr).splitlines())


def test_the_slurm_profile_fits_the_workflow():
    """But for the executor, whose plugin is optional."""
    path = configs.ROOT / "workflow" / "profiles" / "slurm"
    profile = yaml.safe_load((path / "config.yaml").read_text())
    rules = "".join(file.read_text() for file in (configs.ROOT / "workflow" / "rules").glob("*.smk"))
    named = {*profile["set-threads"], *profile["set-resources"]}
    assert profile["executor"] == "slurm" and all(f"rule {name}:" in rules for name in named)
    run = snakemake("-n", "--workflow-profile", str(path), "--executor", "local", "--cores", "2")
    assert run.returncode == 0, run.stderr


def test_a_misspelt_key_stops_snakemake_with_the_sentence(tmp_path):
    config = yaml.safe_load((configs.ROOT / "config" / "quick.yaml").read_text())
    config["training"]["n_itr"] = config["training"].pop("iterations")
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(config))
    run = snakemake("-n", "--configfile", str(path))
    assert run.returncode != 0 and "unknown key 'n_itr' in training" in run.stdout + run.stderr
    run = snakemake("-n", "--config", "training=3")
    assert run.returncode != 0 and "--config training: training is 3, but must be a mapping" in run.stdout + run.stderr
    run = snakemake("-n", "compare", "--config", "challanger=mynet")
    assert run.returncode != 0 and "challanger=... is unknown; did you mean 'challenger'?" in run.stdout + run.stderr


def test_a_sweep_may_have_its_own_precision():
    config = configs.load(configs.ROOT / "config" / "records.yaml")
    dtypes = {name: {point.dtype for point in expand.sweep_points(config, name)} for name in config["sweeps"]}
    assert dtypes == {"ising": {"float64"}, "heisenberg": {"float32"}}
