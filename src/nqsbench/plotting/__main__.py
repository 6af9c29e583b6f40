"""Draw every figure of a profile: python -m nqsbench.plotting RESULTS FIGURES."""

import json
import sys
from pathlib import Path

from nqsbench.plotting import NoRows, draw
from nqsbench.sweeps import TABLES


def main(results, figures):
    results = Path(results)
    try:
        config = json.loads((results / "config.json").read_text())
    except FileNotFoundError as error:
        return f"{error.filename} does not exist: `make reproduce` makes it."
    for name in TABLES:
        try:
            draw(name, results, config, figures)
            print(f"{figures}/{name}.png")
        except NoRows as missing:
            print(missing)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
