"""The paper's values are in one file."""

import re

import pytest

from nqsbench.plan import config as configs
from nqsbench.show import claims, paper


def leaves(node):
    return [leaf for child in node.values() for leaf in leaves(child)] if isinstance(node, dict) else [node]


def test_no_value_is_typed_a_second_time():
    """Those that could be nothing else: with an error in brackets, a decimal factor, hours."""
    telling = [str(leaf) for name in ("training", "estimator", "table2") for leaf in leaves(paper.values()[name])]
    telling = [
        value for value in telling if re.search(r"\(|\d{3}|\d\.\d", value) and value not in ("1.5", "6.0", "2.5")
    ]
    assert len(telling) > 15
    sources = [*(configs.ROOT / "src").rglob("*.py"), configs.ROOT / "config" / "claims.yaml"]
    for path in sources:
        text = path.read_text()
        found = [value for value in telling if re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", text)]
        assert not found, (path.name, found)


def test_names_are_filled_in_and_numbers_lose_their_brackets():
    given = {"a": ["J_c = {table2.long_range.J_c}"], "value": "{number table2.long_range.J_c}", "n": 1}
    assert paper.filled(given) == {"a": ["J_c = -2.104(1)"], "value": -2.104, "n": 1}
    with pytest.raises(configs.ConfigError, match=r"'table9.x' is not in .*paper_values.yaml: add it"):
        paper.filled("{table9.x}")
    assert not [claim["id"] for claim in claims.load() if "{" in str(claim).replace("{'", "")]
