# Tables 1 to 5 and the table of claims.
HAS_COLLAPSE = bool(sweeps.serving(config, "fig7"))
TIMED = {"table1": "core", "table1matched": "matched"}
TIMED = {
    name: preset for name, preset in TIMED.items() if preset in config.get("timing", {}).get("presets", [])
}
BREAKEVEN = "breakeven" in config.get("timing", {})
TIMING_NAMES = [*TIMED, "speedups", *["breakeven"] * BREAKEVEN] if "timing" in config else []
PAPER_NAMES = [f"table{number}" for number in range(2 if HAS_COLLAPSE else 3, 6)]

PAPER_VALUES = f"{workflow.basedir}/config/paper_values.yaml"
TABLE_NAMES = TIMING_NAMES + PAPER_NAMES


rule papertables:
    input:
        config=f"{RESULTS}/config.json",
        values=PAPER_VALUES,
        training=f"{RESULTS}/training.csv",
        collapse=[f"{RESULTS}/collapse.csv"] if HAS_COLLAPSE else [],
    output:
        expand(f"{RESULTS}/{{name}}.{{suffix}}", name=PAPER_NAMES, suffix=("csv", "md", "tex")),
    message:
        "writing the paper's tables"
    script:
        "../scripts/papertables.py"


rule timingtables:
    input:
        timing=f"{RESULTS}/timing.csv",
        values=PAPER_VALUES,
        breakeven=[f"{RESULTS}/breakeven.json"] if BREAKEVEN else [],
    output:
        expand(f"{RESULTS}/{{name}}.{{suffix}}", name=TIMING_NAMES, suffix=("csv", "md", "tex")),
    params:
        presets=TIMED,
    message:
        "writing Table 1, the speed-ups and the break-even"
    script:
        "../scripts/timingtables.py"


rule claims:
    input:
        tables=expand(
            f"{RESULTS}/{{name}}.csv",
            name=sorted({sweeps.TABLES[figure] for figure in sweeps.figures(config)}),
        ),
        config=f"{RESULTS}/config.json",
        claims=f"{workflow.basedir}/config/claims.yaml",
        values=PAPER_VALUES,
    output:
        f"{RESULTS}/claims.csv",
        f"{RESULTS}/claims.md",
    params:
        results=RESULTS,
    message:
        "judging the claims"
    script:
        "../scripts/claims.py"
