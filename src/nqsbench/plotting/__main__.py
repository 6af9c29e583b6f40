"""Draw every figure of a profile: python -m nqsbench.plotting RESULTS FIGURES."""

import json
import sys
from pathlib import Path

import pandas as pd

from nqsbench.plotting import fig2

FIGURES = {"fig2": fig2.draw}


def main(results, figures):
    results = Path(results)
    try:
        config = json.loads((results / "config.json").read_text())
        table = pd.read_csv(results / "training.csv")
    except FileNotFoundError as error:
        return f"{error.filename} does not exist: `make reproduce` makes it."
    for name, draw in FIGURES.items():
        draw(table, config, figures)
        print(f"{figures}/{name}.png")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
