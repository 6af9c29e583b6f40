"""The leaderboard: what stands together, who is first, that the page needs nothing from elsewhere and sorts in a browser."""

import math
import re
import shutil
import subprocess

import pandas as pd
import pytest

from nqsbench import archive, cli
from nqsbench.files import to_json, write_json, write_text
from nqsbench.plan.trials import forwards
from nqsbench.plotting import cost
from nqsbench.show import leaderboard, varbench

TRAINED = {"preset": "quick", "seed": 0, "iterations": 100, "n_samples": 64, "n_chains": 64, "dtype": "float32"}
COST = {"parameters": 30, "training_seconds": 12.0, "device": "cpu x1", "sampler": "Metropolis", "reason": ""}
RING = TRAINED | COST | {"system": "lr_tfim", "n_sites": 32, "J": -3.0, "alpha": math.inf, "h": 1.0, "status": "ok"}
EXACT = -40.76003249419223 / 32  # of varbench, TFIsing/chain_32_P_1.md


def row(model, key, error, v_score=1e-6, **changes):
    """A row at the critical point whose energy is above the exact one by a relative error."""
    energy = EXACT * (1 - error)
    numbers = {
        "energy": energy,
        "energy_error": 1e-7,
        "exact_energy": EXACT,
        "relative_error": error,
        "v_score": v_score,
    }
    return RING | {"model": model, "config_hash": f"{key:016x}"} | numbers | changes


@pytest.fixture
def results(tmp_path):
    return written(tmp_path)


def written(tmp_path):
    """Two rows of one Hamiltonian, written with J and with −J, one that is unreliable and one that failed."""
    rows = {
        "a": row("dysonnet", 1, 2e-7),
        "b": row("rbm", 2, 9e-7, 2e-6, J=6.0, h=2.0, energy=2 * EXACT * (1 - 9e-7)),
        "c": row("vit", 3, 1e-8, status="unreliable", reason="R̂ of m2 is 2"),
        "d": {"status": "failed", "config_hash": "4", "model": "rbm"} | TRAINED | {"system": "lr_tfim", "n_sites": 32},
    }
    for name, content in rows.items():
        write_json(tmp_path / "mine" / "rows" / f"{name}.json", content)
    write_text(tmp_path / "mine" / "rows" / "e.json", "{")  # a damaged one is left out
    steps = "".join(f"{i},{-40.0 - i / 100},0.1,{10.0 / (i + 1)}\n" for i in range(100))
    write_text(tmp_path / "mine" / "states" / "a" / "history.csv", "step,energy,energy_error,variance\n" + steps)
    write_json(tmp_path / "mine" / "states" / "a" / "point.json", {"training": {"burn_in": 3}})
    return tmp_path / "mine"


def ring(table):
    return table[table["file"].eq("TFIsing/chain_32_P_1.md")].set_index("method")


def test_one_hamiltonian_is_one_section_ranked_by_error(results):
    found = ring(leaderboard.board([leaderboard.of_results(results)], {}))
    networks = ["DysonNet", "Symmetric FFN, Relu, 32 features per translation", "RBM", "RBM (alpha = 1)"]
    assert list(found.index[found.index.isin(networks)]) == [networks[i] for i in (0, 1, 2, 3)]
    assert found.loc["DMRG (bond dimension = 71)", "rank"] == 1 and found.loc["DysonNet", "rank"] == 2
    assert found.loc[["ViT", "Exact Solution"], "rank"].isna().all()
    assert found.loc["ViT", "flag"] == "R̂ of m2 is 2"
    energies = found.loc[["DysonNet", "RBM", "Exact Solution"], "energy"]
    assert energies.to_numpy() == pytest.approx([EXACT * (1 - 2e-7), EXACT * (1 - 9e-7), EXACT], rel=1e-14)


def test_noise_wins_no_rank(results):
    """A sampled energy that happens to be the exact one, within a large error, stands behind one that is known better."""
    lucky = row("lucky", 7, 0.0, energy_error=2e-6)
    write_json(results / "rows" / "f.json", lucky)
    found = ring(leaderboard.board([leaderboard.of_results(results)], {}))
    assert found.loc["lucky", "error"] == 0 and found.loc["lucky", "rank"] > found.loc["RBM", "rank"]
    enumerated = row("lucky", 8, 5e-7, energy_error=2e-6, full_sum_relative_error=5e-7, date="2026-02-02")
    write_json(results / "rows" / "g.json", enumerated)
    found = ring(leaderboard.board([leaderboard.of_results(results)], {}))
    assert found.loc["lucky"].set_index("key").loc[f"{8:016x}", "bar"] == 0


def test_a_row_without_a_reference_is_held_against_that_of_its_section():
    """As a submission on a ring that only DMRG reaches."""
    ring60 = {"n_sites": 60, "alpha": 2.5, "exact_energy": None, "energy": -1.0}
    ours = (
        row("dysonnet", 1, 0.0) | ring60 | {"relative_error": 1e-5, "reference": "dmrg", "reference_energy": -1.00001}
    )
    theirs = row("mynet", 2, 0.0) | ring60 | {"relative_error": None, "energy": -1.000005}
    alone = theirs | {"n_sites": 64}
    sources = [leaderboard.Source("a", pd.DataFrame([ours])), leaderboard.Source("b", pd.DataFrame([theirs, alone]))]
    found = leaderboard.board(sources, {}).set_index(["n_sites", "method"])
    mine = found.loc[(60, "mynet")]
    assert mine["error"] == pytest.approx(5e-6, rel=1e-4) and mine["held_against"] == "dmrg" and mine["rank"] == 1
    assert pd.isna(found.loc[(64, "mynet"), "error"]) and found.loc[(64, "mynet"), "rank"] == 1


def test_heisenberg_energies_are_per_site_of_s_times_s():
    public = leaderboard.public().set_index("file")
    ring = public[public["exact"]].loc["Heisenberg/chain_20_P.md", "energy"]
    assert ring == pytest.approx(-35.61754611950579 / 80, rel=1e-14)
    chain = {"system": "j1j2", "n_sites": 20, "J1": 2.0, "J2": 0.0, "energy": 2 * ring, "seed": 1}
    mine = leaderboard.Source("mine", pd.DataFrame([row("rbm", 5, 0.0) | chain]))
    (line,) = leaderboard.entries(mine, {}).to_dict("records")
    assert line["file"] == "Heisenberg/chain_20_P.md" and line["energy"] == pytest.approx(ring, rel=1e-14)
    open_chain = varbench.public()["bc"].eq("O")
    assert open_chain.any() and not public.index.str.contains("_O").any()


def test_the_forward_passes_are_those_of_the_state_s_own_protocol(results):
    found = ring(leaderboard.board([leaderboard.of_results(results)], {}))
    expected = 100 * forwards("lr_tfim", 32, {"n_samples": 64, "n_chains": 64, "burn_in": 3})
    assert found.loc["DysonNet", "forwards"] == expected
    assert pd.isna(found.loc["RBM", "forwards"])  # neither a state nor a config tells


def test_what_was_trained_again_here_says_so(results):
    write_text(results / "audit.csv", f"name,verdict\nx-{1:08x},no\nlr_tfim-dysonnet-s0-00000000,same bits\n")
    audited = leaderboard.reruns([results / "audit.csv", results / "none.csv"])
    found = ring(leaderboard.board([leaderboard.of_results(results)], audited))
    assert found.loc["DysonNet", "rerun"] == "same bits" and audited[f"x-{1:08x}"] == "no"


def test_a_submission_is_read_and_a_changed_one_is_not(tmp_path):
    found = ring(leaderboard.board([leaderboard.of_submission(submission(tmp_path))], {}))
    assert found.loc["mynet", "rank"] == 2 and found.loc["mynet", "submitted"] and found.loc["mynet", "forwards"] > 0
    archive.write(tmp_path / "other.zip", {"a": archive.Kept(b"")})
    with pytest.raises(ValueError, match="is no submission: `nqsbench submit FOLDER` makes one"):
        leaderboard.of_submission(tmp_path / "other.zip")


@pytest.mark.parametrize(
    ("changes", "seconds", "clock"),
    [
        ({"training_cpu_seconds": 4.0}, 4.0, ""),
        ({}, 12.0, "wall"),
        ({"trained_device": "NVIDIA H200 x1, then cpu x1", "training_cpu_seconds": 4.0}, 12.0, "GPU, CPU"),
        ({"trained_device": float("nan"), "training_cpu_seconds": float("nan")}, 12.0, "wall"),
    ],
)
def test_seconds_say_of_which_clock_they_are(changes, seconds, clock):
    assert leaderboard._seconds(row("rbm", 1, 0.1) | changes) == {"seconds": seconds, "clock": clock}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    results = written(tmp_path_factory.mktemp("board"))
    words = ["leaderboard", results / "board.html", "--results", results, "--submissions", submission(results.parent)]
    assert cli.main(list(map(str, words))) == 0
    return results / "board.html"


def submission(folder):
    """The file of a newcomer's row."""
    point = {"training": {"burn_in": 1}}
    texts = {"rows/x.json": row("mynet", 9, 1e-9), "submission.json": {"format": 1}, "states/x/point.json": point}
    kept = {name: archive.Kept(to_json(content).encode()) for name, content in texts.items()}
    kept["states/x/history.csv"] = archive.Kept(b"step,energy,energy_error,variance\n0,-1.0,0.1,0.1\n")
    archive.write(folder / "mynet.zip", kept)
    return folder / "mynet.zip"


def test_the_page_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(page):
    text = page.read_text()
    assert not re.search(r"<link|<script src|@import|url\(|src=\"(?!data:)", text)
    links = [link for link in re.findall(r'href="([^"]*)"', text) if not link.startswith("http")]
    assert len(links) > 5 and all((page.parent / link).is_file() for link in links)
    section = text.split('id="TFIsing-chain_32_P_1"')[1].split("</section>")[0]
    assert section.count("data:image/svg+xml") == 2 and "R̂ of m2 is 2" in section and "submitted" in section
    assert (page.parent / "board" / "mynet" / "mynet.zip").is_file()


def test_a_curve_ends_where_its_training_does():
    text = "step,energy,energy_error,variance\n" + "".join(f"{i},-8.0,0.1,{1 / 4**i}\n" for i in range(100))
    seconds, v_score = cost.curve(text, 4, 50.0)
    assert seconds[0] == 0.5 and seconds[-1] == 50 and v_score[0] == 4 / 64
    assert v_score[-1] == pytest.approx((1 / 4**94 + 1 / 4**95) / 2 / 16)  # a median over ten steps


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1.2345678, 2.3e-5, "−1.23457(2)"),
        (-1.2345678, 1.3e-5, "−1.234568(13)"),
        (-1.2345678, 9.7e-5, "−1.23457(10)"),
        (-1.5, None, "−1.5"),
        (-40.7, 20.0, "−41(20)"),
    ],
)
def test_a_number_with_its_error(value, error, text):
    assert leaderboard.uncertain(value, error) == text


@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser")
@pytest.mark.parametrize("key", ["energy", "seconds"])
def test_a_browser_sorts_it(page, key):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        ["chromium", *flags, f"{page.as_uri()}?sort={key}"], capture_output=True, text=True, timeout=60
    )
    body = done.stdout.split('id="TFIsing-chain_32_P_1"')[1].split("</table>")[0]
    lines = re.findall(r"<tr class=.*?>", body)
    values = [float(found[1]) if (found := re.search(f'data-{key}="([^"]*)"', line)) else math.inf for line in lines]
    assert len(lines) == 9 and values == sorted(values) and (values[-1] == math.inf) == (key == "seconds")
