"""The table of samplers: effective samples of m² per 1000 forward passes on every state, and what each gains over plain."""

import pandas as pd

STATE = ["model", "preset", "trained_at", "n_sites", "J"]


def summary(table):
    """One row per state and a column per sampler: "per 1000 forward passes (times plain)" and the fastest reliable one.

    In brackets where a row contradicts itself. Against a plain row that only bounds its τ, gains are at least these.
    """
    names = sorted(table["sampler"].unique(), key=lambda name: (name != "plain", name))
    found = []
    for state, rows in table.groupby(STATE):
        rows = rows.set_index("sampler").to_dict("index")
        plain = rows.get("plain", {})
        line = dict(zip(STATE, state, strict=True)) | {name: _cell(rows.get(name), plain) for name in names}
        good = {name: row["ess_m2_per_forward"] for name, row in rows.items() if row["status"] == "ok"}
        found.append(line | {"fastest": max(good, key=good.get, default="")})
    return pd.DataFrame(found).sort_values(STATE, ignore_index=True)


def _cell(row, plain):
    """What a sampler does, in words."""
    if row is None or row["status"] not in ("ok", "unreliable"):
        return ""
    bound = plain.get("status") == "unreliable" and pd.notna(plain["ess_m2_per_second_at_most"])
    number = 1000 * row["ess_m2_per_forward"]
    text = f"{number:.3g}"
    if row is plain and bound:
        return f"(at most {number * row['ess_m2_per_second_at_most'] / row['ess_m2_per_second']:.3g})"
    if row is not plain and plain.get("status") in ("ok", "unreliable"):
        base = plain["ess_m2_per_second_at_most" if bound else "ess_m2_per_second"] / plain["ess_m2_per_second"]
        text += f" (× {'≥ ' * bound}{row['ess_m2_per_forward'] / (base * plain['ess_m2_per_forward']):.2g})"
    return text if row["status"] == "ok" else f"[{text}]"
