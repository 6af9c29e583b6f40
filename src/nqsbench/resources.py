"""Files of the suite that are no code: configs, schemas, captions. In a checkout they lie where people edit them; the
build copies those that `PACKED` names into the wheel (setup.py).
"""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
COPY = Path(__file__).with_name("checkout")  # what a wheel has of it
PACKED = ("config", "workflow/schemas", "workflow/report")


def path(name):
    """The file or folder with a name such as config/quick.yaml."""
    return next((place / name for place in (COPY, CHECKOUT) if (place / name).exists()), CHECKOUT / name)
