"""Likely mistakes of users get one sentence, and never a number."""

import jax
import netket as nk
import numpy as np
import pytest

from dysonnet import J1J2, S4, DysonNet, Heisenberg, Ising, LongRangeIsing, PowerLaw, Stream, as_flips
from dysonnet.composite import GradientComposite
from nqsbench import campaign, cli, resources
from nqsbench.run.reference_rows import chosen

SIZES = {"features": 2, "blocks": 1, "token_size": 2, "kernel_size": 2, "state_size": 2, "hidden_units": 2}
FREE = nk.hilbert.Spin(0.5, 8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LongRangeIsing(FREE, J=[-1.0, -2.0], alpha=2.0),
        lambda: LongRangeIsing(FREE, J=-1.0, alpha=[2.0, 3.0]),
        lambda: LongRangeIsing(FREE, J=-1.0, alpha=2.0, h=[1.0, 2.0]),
        lambda: J1J2(FREE, J2=[0.1, 0.2]),
        lambda: J1J2(FREE, J2=0.1, J1=np.ones(8)),
        lambda: Ising(FREE, nk.graph.Chain(8), h=np.ones(2)),
    ],
)
def test_a_coupling_is_a_number_and_not_one_for_each_sample(make):
    with pytest.raises(ValueError, match=r"has shape \(\d,\): give a number"):
        make()


def test_a_field_may_differ_from_site_to_site_and_couplings_may_be_traced():
    h, σ = np.linspace(0.5, 2, 8), np.ones((2, 8))
    np.testing.assert_allclose(LongRangeIsing(FREE, -1.0, 2.0, h=h).flip_mels(σ), [-h, -h])
    energy = lambda J: LongRangeIsing(FREE, J, 2.0).diagonal(σ)
    np.testing.assert_allclose(jax.jit(energy)(-1.5), energy(-1.5), rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(energy)(np.array([-1.0, -2.0]))[1], energy(-2.0), rtol=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, np.nan])
def test_no_exponent_below_zero(alpha, tmp_path, capsys):
    with pytest.raises(ValueError, match="give alpha ≥ 0"):
        LongRangeIsing(FREE, J=-1.0, alpha=alpha)
    words = ["qmc", "--n-sites", "8", "--alpha", str(alpha), "--J", "-1", "--sweeps", "9"]
    assert cli.main([*words, "--json", str(tmp_path / "q.json")]) == 2
    assert "give alpha ≥ 0" in capsys.readouterr().err and not (tmp_path / "q.json").exists()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LongRangeIsing(FREE, J=-1j, alpha=2.0), "J=.* of LongRangeIsing is not real"),
        (lambda: LongRangeIsing(FREE, J="a", alpha=2.0), "J='a' of LongRangeIsing is not real"),
        (lambda: Ising(FREE, 5, h=1.0), "5 is no graph: give a NetKet graph"),
        (
            lambda: as_flips(nk.operator.spin.sigmax(nk.hilbert.Spin(1, 4), 0)),
            r"acts on nk.hilbert.Spin\(0.5, N\), but",
        ),
    ],
)
def test_what_is_no_operator_of_spins_one_half(make, sentence):
    with pytest.raises(TypeError, match=sentence):
        make()


def test_a_torus_has_sides():
    with pytest.raises(ValueError, match=r"shape=\(-2, -4\) does not hold"):
        LongRangeIsing(FREE, J=-1.0, alpha=2.0, shape=(-2, -4))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in SIZES if name != "state_size"),
        ("token_size", -2),
        ("features", 4.0),
        ("dense_layers", -1),
    ],
)
def test_a_network_without_a_size(name, value):
    with pytest.raises(ValueError, match=f"{name}={value} is no size of a DysonNet: give an integer of at least"):
        DysonNet(**SIZES | {name: value})


@pytest.mark.parametrize("given", [{"propagator": "s4"}, {"propagator": S4}, {"conditioning": Stream}])
def test_a_part_is_an_object(given):
    with pytest.raises(TypeError, match=r"give an object, as (S4|Stream)\(\)"):
        DysonNet(**SIZES | given)


def test_parts_of_nothing():
    with pytest.raises(ValueError, match="leaves S4 without states"):
        DysonNet(**SIZES | {"state_size": 0}).init(jax.random.key(0), np.ones((1, 8)))
    with pytest.raises(ValueError, match="has no power law"):
        PowerLaw(terms=0)
    with pytest.raises(ValueError, match="is no torus"):
        DysonNet(**SIZES, shape=8)
    with pytest.raises(TypeError, match="give float32 or float64"):
        DysonNet(**SIZES, dtype="flot")
    with pytest.raises(ValueError, match="must not be negative"):
        GradientComposite(FREE, inversion_probability=np.nan)
    assert DysonNet(**SIZES, dtype="float32").dtype == "float32"
    assert Heisenberg(FREE, nk.graph.Chain(8), J=np.ones(8)).J.shape == (8,)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "--minutes", "-3"], "'-3' is no time: give a number from 0 on"),
        (["run", "--minutes", "nan"], "'nan' is no time"),
        (["run", "--minutes", "1", "--jobs", "0"], "'0' is no integer from 1 on"),
        (["run", "--minutes", "1", "--share", "a"], "a is no share: give I/N with 0 ≤ I < N"),
        (["run", "--minutes", "1", "--parts", ""], "has an empty name"),
        (["reference", "--sizes", "a"], "'a' are no integers: give one"),
    ],
)
def test_a_word_that_is_no_argument(words, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main([words[0], "--config", "x.yaml", "--results", str(tmp_path), *words[1:]])
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["sweep", "--sweep", "nosweep", "--model", "rbm", "--done", "d"],
            "There is no sweep 'nosweep': this config has",
        ),
        (["sweep", "--sweep", "coupling", "--model", "rbm", "--done", "d", "--sizes", "99"], "no point of these sizes"),
        (["gather"], "is no folder"),
    ],
)
def test_what_matches_nothing_is_said(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = str(resources.path("config/quick.yaml"))
    assert cli.main([words[0], "--config", quick, "--results", "nowhere", *words[1:]]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "d").exists()


def test_a_ring_that_tokens_do_not_tile_is_told_before_anything_is_written(tmp_path, capsys):
    words = ["--model", "dysonnet", "--system", "lr_tfim", "--J", "-1", "--alpha", "2", "--out", str(tmp_path / "s")]
    assert cli.main(["train", "--n-sites", "9", *words]) == 2
    assert "n_sites=9, which is not a multiple of token_size=2" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_methods_and_sizes_that_no_reference_has():
    point = lambda method, n: type("Point", (), {"method": method, "n_sites": n})
    points = [point("sse", 32), point("dmrg", 60)]
    assert chosen(points, ["sse"]) == points[:1] and chosen(points, sizes=[60]) == points[1:]
    for wrong in ({"methods": ["foo"]}, {"sizes": [31]}):
        with pytest.raises(ValueError, match=r"No reference has the (method foo|size 31): give some of"):
            chosen(points, **wrong)


def test_processes_divide_a_share_among_them(monkeypatch):
    started = []
    process = type("Process", (), {"wait": lambda self: 0})
    monkeypatch.setattr(campaign.subprocess, "Popen", lambda words, env: started.append(words[-1]) or process())
    campaign.split(["run"], 2, (1, 4))
    parts = [tuple(map(int, part.split("/"))) for part in started]
    taken = [k for k in range(48) if any(k % n == i for i, n in parts)]
    assert taken == [k for k in range(48) if k % 4 == 1] and len(set(parts)) == 2
