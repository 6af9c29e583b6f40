"""A newcomer's rows: what is taken, and the sentence for everything that is not; archives that were changed."""

import json
import shutil
import zipfile

import pytest

from nqsbench import archive, cli
from nqsbench.files import read_json, write_json
from nqsbench.plan import config as configs
from nqsbench.run import submission
from nqsbench.show import leaderboard


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A row of a short training, and its state."""
    folder = tmp_path_factory.mktemp("newcomer")
    config = configs.load(configs.ROOT / "config" / "quick.yaml")
    config["evaluation"] |= {"n_chains": 64, "n_samples": 4096, "max_samples": 4096}
    write_json(folder / "config.json", config)
    small = "--model rbm --system lr_tfim --n-sites 8 --J -1 --alpha 2.5 --iterations 12 --n-samples 64 --n-chains 16"
    assert cli.main(["train", *small.split(), "--config", str(folder / "config.json"), "--out", str(folder)]) in (0, 1)
    row = read_json(folder / "row.json")
    assert row["status"] in ("ok", "unreliable")
    return folder


def refused(finished, tmp_path, **changes):
    """What is said of the row with other numbers."""
    row = read_json(finished / "row.json")
    row = {key: value for key, value in (row | changes).items() if value != "remove"}
    write_json(tmp_path / "row.json", row)
    return submission.refusals(submission.Submitted(tmp_path / "row.json", finished))


def test_a_row_as_it_was_written_is_taken(finished, tmp_path):
    assert refused(finished, tmp_path) == []


CHANGES = {  # changes of a row, and what is said of them
    "a missing column": ({"energy": "remove"}, "the file lacks the key 'energy'; add it"),
    "a text for a number": ({"v_score": "small"}, "v_score is 'small', but must be a number."),
    "a negative error": ({"energy_error": -1.0}, "energy_error is -1.0, but must be greater than 0."),
    "another seed": ({"seed": 7}, "row.json has seed = 7, but its state is of 0: submit rows as they were written."),
    "other settings": ({"n_samples": 128}, "row.json has n_samples = 128, but its state is of 64"),
    "another coupling": ({"J": -2.0}, "row.json has J = -2.0, but its state is of -1.0"),
    "old versions": (
        {"training_version": 1},
        "row.json is of training_version 1, but here it is 2: run its sweep again with this version.",
    ),
    "another V-score": ({"v_score": 1e-9}, "row.json has v_score = 1e-09, but its energies give"),
    "another exact energy": ({"exact_energy": -0.9, "relative_error": None}, "row.json has relative_error = None, but"),
    "more parameters": ({"parameters": 1}, "row.json has parameters = 1, but its state has"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_every_refusal_is_one_sentence(finished, tmp_path, case):
    changes, said = CHANGES[case]
    found = refused(finished, tmp_path, **changes)
    assert said in found[0] and all(sentence.endswith(".") and "\n" not in sentence for sentence in found)


def test_an_energy_that_its_state_does_not_have_is_refused(finished, tmp_path):
    """All numbers moved together, so that nothing but the state itself contradicts them."""
    row = read_json(finished / "row.json")
    energy, full = row["energy"] * 1.001, row["full_sum_energy"] * 1.001
    numbers = {"v_score": 8 * row["variance"] / energy**2, "full_sum_energy": full, "energy": energy}
    numbers["relative_error"] = (energy - row["exact_energy"]) / abs(row["exact_energy"])
    found = refused(finished, tmp_path, **numbers)
    assert f"full_sum_energy = {full}, but its state gives" in found[-1]


def test_chains_that_do_not_mix_are_not_ok_whatever_the_row_says(finished, tmp_path):
    found = refused(finished, tmp_path, status="ok", r_hat_m2=1.4)
    assert "calls itself ok, but its numbers say unreliable" in found[0] and "R̂ of m2 is 1.40" in found[0]


def test_rows_without_a_state_or_whole_file(finished, tmp_path):
    shutil.copy(finished / "row.json", tmp_path / "row.json")
    (found,) = submission.refusals(submission.Submitted(tmp_path / "row.json", tmp_path))
    assert "comes without its state" in found
    (tmp_path / "row.json").write_text("{")
    (found,) = submission.refusals(submission.Submitted(tmp_path / "row.json", finished))
    assert "cannot be read" in found and found.endswith("run its sweep again.")
    with pytest.raises(ValueError, match="has no rows: `snakemake compare"):
        submission.found(tmp_path / "nothing")


def test_the_newcomer_of_a_folder_is_the_model_that_its_config_lacks(finished, tmp_path):
    point = read_json(finished / "point.json")
    for model, name in (("rbm", "a"), ("mynet", "b")):
        write_json(tmp_path / "rows" / f"{name}.json", {"model": model, "status": "failed"} | {"point": point})
    write_json(tmp_path / "config.json", {"models": {"rbm": {}}})
    assert [one.path.name for one in submission.found(tmp_path)] == ["b.json"]
    assert [one.path.name for one in submission.found(tmp_path, "rbm")] == ["a.json"]
    write_json(tmp_path / "config.json", {"models": {"rbm": {}, "mynet": {}}})
    with pytest.raises(ValueError, match="no rows but those of the models of its config: name one model as --model"):
        submission.found(tmp_path)


def test_one_file_is_made_that_the_leaderboard_reads_and_a_changed_one_is_found(finished, tmp_path, capsys):
    row = read_json(finished / "row.json")
    name = tmp_path / "rbm.zip"
    kept = submission.pack([submission.Submitted(finished / "row.json", finished)], name)
    assert archive.verify(name) == [] and len(kept) == 6
    source = leaderboard.of_submission(name)
    assert list(source.rows["energy"]) == [row["energy"]] and source.submitted
    again = tmp_path / "again.zip"
    submission.pack([submission.Submitted(finished / "row.json", finished)], again)
    assert again.read_bytes() == name.read_bytes()  # bit for bit
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(name) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.namelist():
            text = old.read(entry)
            better = json.dumps(row | {"energy": -9.0}).encode()
            new.writestr(entry, better if entry.startswith("rows/") else text)
    (fault,) = archive.verify(changed)
    assert "has sha256" in fault and fault.endswith("get the archive again.")
    with pytest.raises(ValueError, match="has sha256"):
        leaderboard.of_submission(changed)
    assert cli.main(["verify", str(changed)]) == 1 and cli.main(["verify", str(name)]) == 0
    assert "6 files as they were written" in capsys.readouterr().out


def test_what_lies_outside_of_an_archive_is_not_written(tmp_path):
    archive.write(tmp_path / "x.zip", {"../evil": archive.Kept(b"1")})
    with pytest.raises(ValueError, match="lies outside of it"):
        archive.unpack(tmp_path / "x.zip", tmp_path / "in")
    assert not (tmp_path / "evil").exists()
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as file:
        file.writestr("a", "b")
    assert archive.verify(tmp_path / "y.zip") == [
        f"{tmp_path / 'y.zip'} has no PROVENANCE.csv: give an archive that nqsbench has written."
    ]
