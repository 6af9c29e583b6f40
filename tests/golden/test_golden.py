"""The numbers of the suite are those of their versions: see golden.py, which also writes them anew."""

from pathlib import Path

import golden
import jax
import numpy as np
import pytest

STORED = golden.load()
LOCK = Path(__file__).parents[2] / "requirements.lock"


@pytest.mark.parametrize("key", list(golden.keys()), ids=" ".join)
def test_numbers_are_those_of_their_version(key):
    sentence, _ = golden.complaint(key, golden.numbers_of(*key), STORED)
    assert not sentence, sentence


def test_versions_are_those_of_the_numbers():
    message = "A version was raised: run `python tests/golden/golden.py --write`."
    assert STORED["versions"] == golden.present_versions(), message


def test_a_seeded_training_is_reproduced_by_the_pinned_jax():
    pinned = STORED["trajectory"]["jax"]
    assert f"\njax=={pinned} " in LOCK.read_text(), "JAX was pinned anew: run `python tests/golden/golden.py --write`."
    if jax.__version__ != pinned:
        pytest.skip(f"the random numbers are those of JAX {pinned}")
    found, stored = golden.digest(golden.of_trajectory()), STORED["trajectory"]["history"]
    sentence = "A seeded training changed: if that is meant, raise TRAINING_VERSION in src/nqsbench/plan/versions.py."
    assert np.allclose(found, stored, rtol=1e-6), sentence
