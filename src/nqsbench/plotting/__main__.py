"""Draw figures of a profile, all by default: python -m nqsbench.plotting RESULTS FIGURES [FIGURE ...].

A named figure without rows is the sentence that says so, such as that of timings which a busy machine disturbed.
"""

import json
import sys
from pathlib import Path

from nqsbench.plotting import NoRows, draw, draw_sentence
from nqsbench.sweeps import TABLES


def main(results, figures, *names):
    results = Path(results)
    try:
        config = json.loads((results / "config.json").read_text())
    except FileNotFoundError as error:
        return f"{error.filename} does not exist: `make reproduce` makes it."
    for name in names or TABLES:
        try:
            draw(name, results, config, figures)
            print(f"{figures}/{name}.png")
        except NoRows as missing:
            print(missing)
            if names:
                draw_sentence(str(missing), figures, name)
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
