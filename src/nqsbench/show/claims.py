"""The paper's claims against the rows of a profile: a verdict is computed, never typed.

`config/claims.yaml` says what is claimed, which measure of `nqsbench.show.measures` it needs and which values agree with it.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from nqsbench import resources
from nqsbench.files import read_json, read_text, write_text
from nqsbench.plan import config as configs
from nqsbench.plan import sweeps
from nqsbench.plan.expand import merged
from nqsbench.plan.strict import ConfigError, Strict, validate
from nqsbench.plan.sweeps import as_list
from nqsbench.show import bars, measures, paper
from nqsbench.show.tables import markdown_table, profile

CLAIMS = resources.path("config/claims.yaml")
VERDICTS = ("reproduced", "differs", "not run")
OURS = ["ours", "error", "low", "high"]
COLUMNS = ["id", "claim", "where", "paper_value", *OURS, "tolerance", "verdict", "rows", "cost", "reason"]
TABLES = (
    "training",
    "collapse",
    "scattering",
    "timing",
    "sampling",
    "depth",
    "compression",
    "hodlr",
    "members",
    "torus",
    "jastrow",
)
RULE = f"""A verdict takes an interval with the probability of ±{bars.SIGMAS} standard deviations (95.4 %): over seeds by
Student's t (4.5 standard errors for three seeds), of ratios by their logarithm, quartiles of timings, or that of a fit.
Of a minimum or maximum over n points, the end that says that one of them breaks a bound is that of n intervals which
hold together (Bonferroni). A claim is reproduced when its interval is on the right side of a bound, or the value within a
tolerance that is wider than its interval; it differs when the whole interval is outside. Otherwise it is undecided, which
counts as not run, as is a claim without rows."""
STEP_EXPONENT = 2  # of N in the seconds of an SR step: N proposals per sweep, each a full forward pass


@dataclass(frozen=True)
class Interval:
    """The values that agree with a claim.

    Examples:
        >>> from nqsbench.show import claims
        >>> claims.Interval.of({"value": -2.104, "tolerance": 0.01}).text
        '-2.104 ± 0.01'
    """

    low: float
    high: float
    text: str

    @classmethod
    def of(cls, allowed):
        """From `at_least`, `at_most`, both, or `value` and `tolerance`."""
        if "value" in allowed:
            value, tolerance = allowed["value"], allowed["tolerance"]
            return cls(value - tolerance, value + tolerance, f"{value:g} ± {tolerance:g}")
        low, high = allowed.get("at_least", -np.inf), allowed.get("at_most", np.inf)
        bounds = [f"≥ {low:g}"] * (low > -np.inf) + [f"≤ {high:g}"] * (high < np.inf)
        return cls(low, high, " and ".join(bounds))


def verdict(found, interval):
    """(verdict, why nothing is decided) of a `bars.Measured`.

    It differs when its whole interval is outside. Against a bound it agrees with its whole interval inside; around a stated
    value with itself inside, and an interval not wider than the tolerance. Anything else decides nothing.

    Examples:
        >>> from nqsbench.show import claims
        >>> from nqsbench.show.bars import Measured
        >>> at_least_ten = claims.Interval.of({"at_least": 10})
        >>> [claims.verdict(Measured(value, 1.0, "3 rows"), at_least_ten)[0] for value in (5, 15)]
        ['differs', 'reproduced']
        >>> claims.verdict(Measured(11, 1.0, "3 rows"), at_least_ten)
        ('not run', 'undecided: 9 to 13 reaches over the bound')
    """
    if np.isnan(found.value):
        return "not run", "undecided: the rows give no value"
    if not np.isfinite(found.error):
        return (
            "not run",
            "undecided: the rows give no finite error (one seed, too few sizes, or timings of two processes)",
        )
    low, high = found.ends
    if high < interval.low or low > interval.high:
        return "differs", ""
    said = f"undecided: {low:.3g} to {high:.3g}"
    around = np.isfinite(interval.high - interval.low)
    if around and high - low > interval.high - interval.low:
        return "not run", f"{said} is wider than the tolerance"
    if around:
        low, high = found.value, found.value
    if interval.low <= low and high <= interval.high:
        return "reproduced", ""
    return "not run", f"{said} reaches over the bound"


def lacking(claim):
    """What rows a claim needs, for a profile that has none of them."""
    words = [f"{name} {value}" for name, value in claim.get("with", {}).items()]
    return f"no rows in this profile for {', '.join([claim['measure'], *words])}".replace("'", "")


class Allowed(Strict):
    """The values that agree with a claim."""

    at_least: float = Field(None, description="Smallest value that agrees.")
    at_most: float = Field(None, description="Largest value that agrees.")
    value: float = Field(None, description="Centre.")
    tolerance: Annotated[float, Field(gt=0)] = Field(None, description="Largest distance from it.")

    @model_validator(mode="after")
    def _complete(self):
        given = self.model_fields_set
        if not given or ("value" in given) != ("tolerance" in given):
            raise ValueError("at_least, at_most, both, or value and tolerance")
        return self


class Cost(Strict):
    """What running the claim as the paper does takes."""

    figure: str = Field(
        None, description="The sweeps of config/paper.yaml for this figure; hours from the seconds of our rows."
    )
    alpha: float = Field(None, description="Only the sweeps at this fixed α.")
    run: str = Field(None, description="A command, or what is missing.")

    @model_validator(mode="after")
    def _one(self):
        if ("figure" in self.model_fields_set) == ("run" in self.model_fields_set):
            raise ValueError("either a figure or a run")
        return self


class Claim(Strict):
    """One of the paper's claims and what decides on it. Verdicts are computed and have no place here."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = Field(description="Short name.")
    claim: str = Field(description="What the paper says, in our words.")
    where: str = Field(description="Section, figure or table of the paper.")
    paper: str = Field(description="Its value as printed; 'lost' where our copy of the text has lost it.")
    measure: Literal[tuple(measures.MEASURES)] = Field(description="A function of src/nqsbench/show/measures.py.")
    parameters: dict[str, Any] = Field({}, alias="with", description="Its parameters.")
    allowed: Allowed = Field(description="The values that agree with the claim.")
    cost: Cost = Field(description="What running the claim as the paper does takes.")
    reason: str = Field(None, description="Why our value differs, where that is known.")
    headline: str = Field(None, description="The claim in a few words, for those that the README lists.")


def load(path=CLAIMS):
    """The checked claims of a file with the values of the paper filled in.

    Raises:
        ConfigError: one sentence, where an entry is not complete or an id is given twice.

    Examples:
        >>> from nqsbench.show import claims
        >>> {"fig3-train-abacus", "table2-long-range-jc"} <= {claim["id"] for claim in claims.load()}
        True
    """
    claims = paper.filled(configs.read(path))
    for i, claim in enumerate(claims, 1):
        validate(Claim, claim, f"{path}: claim {claim.get('id', i)}", example="config/claims.yaml")
    twice = [name for name, count in Counter(claim["id"] for claim in claims).items() if count > 1]
    if twice:
        raise ConfigError(f"{path}: the id {twice[0]!r} is given twice; give every claim its own.")
    return claims


def read_tables(results):
    """The tables of a results folder by name, and its config; a table that is not there is empty."""
    tables = {name: read_table(Path(results) / name) for name in TABLES}
    return tables | {"config": read_json(Path(results) / "config.json")}


def read_table(stem):
    """stem.csv, else the list of rows in stem.json (as `nqsbench time` writes it), else an empty table."""
    if stem.with_suffix(".csv").exists():
        return pd.read_csv(stem.with_suffix(".csv"))
    path = stem.with_suffix(".json")
    return pd.DataFrame(read_json(path) if path.exists() else [])


def judge(claim, tables):
    """One line of the table of claims, as a dictionary over COLUMNS."""
    interval = Interval.of(claim["allowed"])
    line = dict.fromkeys(COLUMNS, "") | {key: claim[key] for key in ("id", "claim", "where")}
    line |= {"paper_value": claim["paper"], "tolerance": interval.text, "verdict": "not run"}
    found = measures.MEASURES[claim["measure"]](tables, **claim.get("with", {}))
    line["reason"] = lacking(claim)
    if found:
        line["verdict"], line["reason"] = verdict(found, interval)
        line |= {"ours": f"{found.value:.4g}", "rows": found.rows}
        if np.isfinite(found.error):
            low, high = found.ends
            line |= {"error": f"{found.error:.2g}", "low": f"{low:.4g}", "high": f"{high:.4g}"}
    if line["verdict"] == "differs":
        line["reason"] = claim.get("reason", "not known")
    if line["verdict"] == "not run":
        line["cost"] = cost(claim["cost"], tables["training"])
    return line


def table(results, path=CLAIMS):
    """All claims, judged by the rows in a results folder.

    Args:
        results: a folder with tables, e.g. `results/laptop`.
        path: of the claims.

    Returns:
        a `pandas.DataFrame`, one line per claim.

    Examples:
        >>> from nqsbench import resources
        >>> from nqsbench.show import claims
        >>> judged = claims.table(resources.CHECKOUT / "results" / "short")
        >>> set(judged["verdict"]) <= {"reproduced", "differs", "not run"}
        True
    """
    tables = read_tables(results)
    return pd.DataFrame([judge(claim, tables) for claim in load(path)], columns=COLUMNS)


@cache
def paper_profile():
    """The config that runs everything as the paper does."""
    return configs.load(resources.path("config/paper.yaml"))


def cost(asked, training):
    """What it takes to run a claim as the paper profile does, from the seconds per step of the rows at hand."""
    if "run" in asked:
        return asked["run"]
    profile = paper_profile()
    states, hours, sizes = 0, 0.0, set()
    for sweep in sweeps.serving(profile, asked["figure"]):
        if asked.get("alpha", sweeps.fixed(sweep).get("alpha")) != sweeps.fixed(sweep).get("alpha"):
            continue
        for model in sweeps.models(profile, sweep):
            per_size = sweeps.planned(profile, sweep) / len(sweeps.models(profile, sweep)) / len(sizes_of(sweep))
            for n_sites in sizes_of(sweep):
                states += round(per_size)
                hours += per_size * _hours(model, n_sites, merged(profile, model, sweep.get("training")), training)
                sizes.add(n_sites)
    size = ", ".join(map(str, sorted(sizes)))
    estimate = f"about {float(f'{hours:.1g}'):g} CPU hours" if np.isfinite(hours) else "not known without a row"
    return f"N = {size}, {len(profile['seeds'])} seeds, {states} states: {estimate}"


def sizes_of(sweep):
    """The sizes of a sweep as a list."""
    return as_list(sweep["n_sites"])


def _hours(model, n_sites, protocol, training):
    """Hours of one state: the measured step of the longest chain, scaled by the samples and by N²."""
    rows = training[training["model"].eq(model) & training["status"].eq("ok")] if len(training) else training
    if rows.empty:
        return np.nan
    rows = rows[rows["n_sites"].eq(rows["n_sites"].max())]
    step = rows["seconds_per_step"].median() * protocol["n_samples"] / rows["n_samples"].median()
    return protocol["iterations"] * step * (n_sites / rows["n_sites"].max()) ** STEP_EXPONENT / 3600


def summary(claims):
    """How many claims have which verdict, in a sentence.

    Examples:
        >>> import pandas as pd
        >>> from nqsbench.show import claims
        >>> judged = pd.DataFrame({"verdict": ["reproduced", "differs"], "reason": ["", "not known"], "ours": ["1", "2"]})
        >>> print(claims.summary(judged))
        2 claims: 1 reproduced, 1 differs, 0 not run (0 of these undecided).
    """
    counts = claims["verdict"].value_counts()
    undecided = claims["reason"].fillna("").str.startswith("undecided").sum()
    verdicts = ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)
    return f"{len(claims)} claims: {verdicts} ({undecided} of these undecided)."


def markdown(claims, config):
    """The table of claims of a profile as a page."""
    shown = claims.fillna("").drop(columns="id").rename(columns=lambda name: name.replace("_", " "))
    said = f"{summary(claims)} Computed by `nqsbench claims` from the rows of this folder."
    return "\n\n".join([f"# The paper's claims: {profile(config)}", said, RULE, markdown_table(shown)])


def in_readme(claims, text):
    """The README's text with its table of the headline claims made anew, each with a link to its entry in docs/claims.md."""
    start, end = "<!-- claims -->\n", "<!-- end of claims -->"
    before, rest = text.split(start)
    headlines = {claim["id"]: claim["headline"] for claim in load() if "headline" in claim}
    shown = claims.fillna("").set_index("id").loc[list(headlines)].reset_index()
    entries = [f"[{headlines[name]}](docs/claims.md#{name})" for name in shown["id"]]
    cells = {
        "claim": entries,
        "paper": shown["paper_value"],
        "here": with_error(shown),
        "verdict": verdict_words(shown),
    }
    return f"{before}{start}{markdown_table(pd.DataFrame(cells))}{end}{rest.split(end)[1]}"


def with_error(claims):
    """Value ± error of every claim, for tables that people read."""
    bar = claims["error"].map(lambda error: f" ± {float(error):g}" if error else "")
    return claims["ours"] + bar


def verdict_words(claims):
    """The verdicts, those that rows leave open told from those without rows."""
    undecided = claims["reason"].str.startswith("undecided")
    return claims["verdict"].mask(claims["verdict"].eq("not run") & undecided, "undecided")


def page(claims, config):
    """All claims, one entry each, as the documentation shows them: those with a verdict first, then what was not run."""
    claims = claims.fillna("")
    words = verdict_words(claims).map(lambda word: word[0].upper() + word[1:])
    interval = (claims["low"] + " to " + claims["high"]).where(claims["low"].ne(""), "")
    claims = claims.assign(here=with_error(claims), interval=interval, heading=words)
    said = f"{summary(claims)} Written by `make claims` from the rows in `results/{config['profile']}`."
    parts = ["# All claims", said, RULE]
    for heading in ("Reproduced", "Differs", "Undecided", "Not run"):
        found = claims[claims["heading"].eq(heading)]
        parts += [f"## {heading}", *(entry(claim) for claim in found.to_dict("records"))]
    return "\n\n".join(parts) + "\n"


def entry(claim):
    """One claim of that page: what is said where, what was found by which rows, and why or at which cost."""
    names = {
        "paper_value": "paper",
        "here": "here",
        "interval": "interval",
        "tolerance": "agrees",
        "rows": "rows",
        "reason": "reason",
        "cost": "cost",
    }
    lines = [f"- {name}: {claim[key]}" for key, name in names.items() if claim[key]]
    return "\n".join([f"### {claim['id']}", "", f"{claim['claim']} ({claim['where']})", "", *lines])


def write(folder, readme=None, docs=None):
    """Judge the claims by the rows of a folder; write both tables there, the README's and the page of the documentation.

    Returns the summary.
    """
    write_text(folder / "claims.csv", table(folder).to_csv(index=False))
    saved, config = pd.read_csv(folder / "claims.csv", dtype=str), read_json(folder / "config.json")
    write_text(folder / "claims.md", markdown(saved, config))
    if readme:
        write_text(readme, in_readme(saved, read_text(readme)))
    if docs:
        write_text(docs, page(saved, config))
    return summary(saved)
