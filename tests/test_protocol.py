"""What is asked of a network: which classes offer what, and what is said of one that offers a half."""

import inspect
import re
from pathlib import Path

import netket as nk
import pytest

import dysonnet
from dysonnet import DysonNet, LongRangeIsing, protocol
from dysonnet.protocol import HeadChanges, HeadInputs, LocalUpdates, MidpointSurrogate, PreparedForward, SeveralMoves
from nqsbench.models.rbm import RBM

PROTOCOLS = (LocalUpdates, HeadInputs, HeadChanges, SeveralMoves, MidpointSurrogate, PreparedForward)
NET = DysonNet(2, 2, 1, 2, 2, 1)


def network(*names):
    """An object with these methods, of which local updates are said to pay."""
    return type("Net", (), {name: lambda self, *_: True for name in names})()


def test_which_networks_offer_what():
    assert all(protocol.offers(NET, kind) for kind in PROTOCOLS)
    assert [kind for kind in PROTOCOLS if protocol.offers(RBM(1, float), kind)] == [LocalUpdates]
    assert not any(protocol.offers(nk.models.RBM(), kind) for kind in PROTOCOLS)
    assert protocol.members(HeadChanges) == ("head_inputs", "delta_head_inputs", "pair_term")
    assert protocol.members(MidpointSurrogate) == ("token_size", "least_spacing", "midpoint_surrogate")


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_dysonnet_takes_what_the_protocol_hands_it(kind):
    """All arguments of the contract by their names and in their order; what a method takes beyond has a default."""
    for name in protocol.members(kind):
        if callable(getattr(kind, name, None)):
            wanted = list(inspect.signature(getattr(kind, name)).parameters.values())[1:]
            given = list(inspect.signature(getattr(NET, name)).parameters.values())
            assert [p.name for p in given[: len(wanted)]] == [p.name for p in wanted], name
            assert all(p.default is not p.empty for p in given[len(wanted) :]), name


def test_a_method_of_an_old_name_is_one_clear_sentence():
    others = [name for name in protocol.members(LocalUpdates) if name not in protocol.RENAMED.values()]
    old = network(*others, "log_ratios", "prepare_moves")
    sentence = (
        "Net has local updates under old names: rename log_ratios to all_log_ratios and prepare_moves to prepare_all, "
        "as in dysonnet.protocol.LocalUpdates."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        protocol.offers(old, LocalUpdates)
    with pytest.raises(TypeError, match="under old names"):
        dysonnet.estimator.pays(old, 100)
    assert not protocol.offers(old, HeadInputs)  # nothing is said where local updates are not asked for
    both = network(*protocol.members(LocalUpdates), "log_ratios")
    assert protocol.offers(both, LocalUpdates)


def test_half_an_offer_is_one_clear_sentence():
    with pytest.raises(TypeError, match=r"^Net lacks prepare, init_cache, update_cache, prepare_all"):
        protocol.offers(network("log_ratio"), LocalUpdates)
    assert not protocol.offers(network("prepare", "init_cache"), LocalUpdates)  # of some other meaning
    hi = nk.hilbert.Spin(0.5, 8)

    class Half(nk.models.Jastrow):
        def update_cache(self, cache, sites):
            return cache

    vstate = nk.vqs.MCState(nk.sampler.MetropolisLocal(hi, n_chains=4), Half(), n_samples=8)
    with pytest.raises(TypeError, match="Half lacks prepare"):
        vstate.expect(LongRangeIsing(hi, J=-1.0, alpha=2.0))


def test_memory_of_a_flip_is_the_networks_or_a_guess():
    assert protocol.bytes_per_flip(NET, 64) == NET.bytes_per_flip(64) != protocol.BYTES_PER_FLIP
    assert protocol.bytes_per_flip(network(), 64) == protocol.BYTES_PER_FLIP


NETKETS = r"(state|driver|sampler)\._[a-z]|netket\.[\w.]*kernels|netket\.utils\.numbers"
SOURCE = Path(dysonnet.__file__).parents[1]


@pytest.mark.parametrize("package", ["dysonnet", "nqsbench"])
def test_networks_are_asked_in_one_place_and_netkets_private_names_are_in_one(package):
    for path in (SOURCE / package).rglob("*.py"):
        text = path.read_text()
        if path.name != "protocol.py":
            assert not re.search(r"hasattr\((model|machine|\w+\.model|network)\b", text), path
        if path.name != "netket_private.py":
            assert not re.search(NETKETS, text), path
