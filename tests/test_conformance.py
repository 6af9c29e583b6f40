"""`nqsbench check` passes what is right and names the contract that is not."""

from pathlib import Path

import pytest
from packages import TEMPLATE, install

from nqsbench import cli
from nqsbench.models.dysonnet import MIXERS
from nqsbench.run import check as conformance

EXAMPLES = Path(__file__).parent / "examples"
UNTRAINED = [contract for contract in conformance.ONCE if contract is not conformance.energy]
PLAIN = TEMPLATE[: TEMPLATE.index("    # -- Local updates")]


def said(name, preset=None):
    lines = []
    conformance.check(name, preset, lines.append)
    return lines


def test_the_template_keeps_all_contracts(tmp_path, monkeypatch, capsys):
    install(tmp_path, monkeypatch, "pkg_template", mynet=TEMPLATE)
    assert cli.main(["check", "mynet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "mynet, preset quick: all 23 contracts hold" and len(lines) == 24
    assert all(line.startswith("ok ") for line in lines[:-1])


def test_without_its_local_updates_the_template_is_a_model_too(tmp_path, monkeypatch):
    monkeypatch.setattr(conformance, "ONCE", UNTRAINED)
    install(tmp_path, monkeypatch, "pkg_plain", mynet=PLAIN)
    assert said("mynet")[-1] == "mynet, preset quick: all 14 contracts hold"


@pytest.mark.parametrize(
    ("name", "count"), [("dysonnet", 22), ("rbm", 22), pytest.param("vit", 14, marks=pytest.mark.slow)]
)
def test_the_models_of_the_suite_keep_all_contracts(monkeypatch, name, count):
    monkeypatch.setattr(conformance, "ONCE", UNTRAINED)  # their training is tested elsewhere
    assert said(name)[-1] == f"{name}, preset quick: all {count} contracts hold"


@pytest.mark.slow
@pytest.mark.parametrize("mixer", [*(name for name in MIXERS if name != "s4"), "window_mlp"])
def test_every_mixer_and_conditioning_keeps_all_contracts_and_trains(mixer):
    assert said("dysonnet", mixer)[-1] == f"dysonnet, preset {mixer}: all 23 contracts hold"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("cnn", 10), ("gcnn", 14)])
def test_networks_of_other_people_are_found_and_tested(monkeypatch, name, count):
    monkeypatch.setattr(conformance, "ONCE", UNTRAINED)
    monkeypatch.syspath_prepend(EXAMPLES)
    lines = said(name)
    assert lines[-1] == f"{name}, preset small: all {count} contracts hold"
    assert any(line.startswith("skipped j1j2    this network is real") for line in lines) == (name == "cnn")


TOKENS = """
import flax.linen as nn
import jax.numpy as jnp

PRESETS = {"quick": {"token_size": 5}}


def build(system, dtype, *, token_size):
    return Tokens(token_size, dtype if system.positive else jnp.promote_types(dtype, jnp.complex64))


class Tokens(nn.Module):
    token_size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, σ):
        tokens = σ.reshape(*σ.shape[:-1], -1, self.token_size).astype(self.dtype)
        return nn.tanh(nn.Dense(8, param_dtype=self.dtype, dtype=self.dtype)(tokens)).sum((-2, -1))
"""


@pytest.mark.slow
def test_tokens_of_five_sites_get_rings_of_whole_tokens(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "pkg_tokens", tokens=TOKENS)
    subject = conformance.Subject("tokens", "quick", conformance.systems.get("lr_tfim"))
    assert (subject.n_sites, subject.sites(8), subject.σ.shape) == (30, 10, (8, 30))
    assert said("tokens")[-1] == "tokens, preset quick: all 15 contracts hold"


def test_a_training_that_finds_no_minimum_is_named(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "pkg_poor", poor=TOKENS.replace("tokens)).sum", "0 * tokens)).sum"))
    monkeypatch.setattr(conformance, "ONCE", [conformance.energy])
    assert any("a short training of a small ring" in line and "after 40 steps" in line for line in said("poor"))


def change(old, new, text=TEMPLATE):
    assert old in text
    return text.replace(old, new)


BROKEN = {
    "batch": (
        change("self.angles(σ)).sum((-2, -1))", "self.angles(σ)).sum((-2, -1)) + 0.1 * jnp.mean(σ)", PLAIN),
        "does not depend on the batch it is in: log ψ in a batch of 1 is",
    ),
    "ratio": (change("offset < self.width", "offset < self.width - 1"), "log_ratio is exact: ψ(σ')/ψ(σ) is"),
    "cache": (change("δ, self.K", "-δ, self.K"), "update_cache is exact: after four updates ψ(σ')/ψ(σ) is"),
    "ratios": (
        change("self.init_cache(σ), moves)", "self.init_cache(-σ), moves)"),
        "all_log_ratios is exact for all moves",
    ),
    "partial": (
        change("def update_cache", "def refresh"),
        "local updates are offered completely: Convolution lacks update_cache of the local",
    ),
    "renamed": (
        change("def all_log_ratios", "def log_ratios", change("prepare_all =", "prepare_moves =")),
        "Convolution has local updates under old names: rename log_ratios to all_log_ratios and prepare_moves to",
    ),
    "gradient": (
        change("self.angles(σ)).sum((-2, -1))", "self.angles(σ)).sum((-2, -1)) + jnp.sqrt(0 * self.b[0])", PLAIN),
        "gradients are finite and not zero: the gradient in ['params']['b'] contains",
    ),
    "type": (
        change("dtype=dtype)", "dtype=jnp.float64)", PLAIN),
        "are of the type asked for: with float32 log ψ is float64, not float32",
    ),
    "raising": (
        change("return log_2cosh", "raise RuntimeError('no\\nway')\n        return log_2cosh", PLAIN),
        "no way",
    ),
    "equality": (
        change(
            "dtype=dtype)",
            "dtype=dtype, f=lambda x: x)",
            change("dtype: jnp.dtype", "dtype: jnp.dtype\n    f: object", PLAIN),
        ),
        "two builds are equal and hashable, so that a sweep compiles once: two modules",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_named_with_both_numbers(tmp_path, monkeypatch, capsys, name):
    text, sentence = BROKEN[name]
    monkeypatch.setattr(conformance, "ONCE", [conformance.equality])
    install(tmp_path, monkeypatch, f"pkg_{name}", broken=text)
    assert cli.main(["check", "broken"]) == 1
    out = capsys.readouterr().out
    failed = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert sentence in failed[0], out
    assert " contracts FAILED\n" in out
