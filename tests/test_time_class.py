"""Timings and errors of the whole class: depth, members, two dimensions."""

import pandas as pd
import pytest


def test_depth_times_a_flip_its_links_and_the_forward_pass():
    from nqsbench.timing import depth

    (row,) = depth.rows(0.5, depths=(1,), n_sites=16)
    assert (row["blocks"], row["slice"], row["n_sites"], row["dtype"]) == (1, 4, 16, "float32")
    assert min(row[name] for name in ("flops", "seconds", "links_seconds", "forward_seconds")) > 0


@pytest.mark.slow
def test_members_are_exact_and_those_that_evaluate_in_full_are_refused():
    from nqsbench.timing import members

    (row,) = members.rows(names=("dysonnet_real",), n_sites=32)
    assert 0 < row["max_error"] < 1e-12 and 0.5 < row["rms_log_ratio"] < 2 and row["parameters"] > 3322
    with pytest.raises(ValueError, match="dysonnet evaluates in full on 16 sites"):
        members.rows(names=("dysonnet",), n_sites=16)


def test_the_worst_member_is_judged():
    from nqsbench.show import measures

    rows = pd.DataFrame({"model": ["a", "b"], "max_error": [1e-14, 3e-14], "n_sites": 64})
    found = measures.member_error({"members": rows})
    assert found.value == 3e-14 and found.rows.endswith("worst b")
    assert measures.member_error({"members": pd.DataFrame()}) is None


@pytest.mark.slow
def test_tori_are_exact_and_too_short_ones_are_refused():
    from nqsbench.timing import torus

    assert torus.error(12) < 1e-11
    with pytest.raises(ValueError, match="does not fit into 8 × 8 sites"):
        torus.error(8)
    (row,) = torus.rows(5.0, lengths=(12,))
    assert row["n_sites"] == 144 and row["forward_seconds"] > 0
    assert 0 < row["seconds_low"] <= row["seconds"] <= row["seconds_high"]
