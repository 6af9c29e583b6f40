"""Files of the suite that are no code: configs, captions.

In a checkout they lie where people edit them; setup.py copies them into the wheel.
"""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
COPY = Path(__file__).with_name("checkout")  # what a wheel has of it


def path(name):
    """The file or folder with a name such as config/quick.yaml."""
    return (COPY if COPY.is_dir() else CHECKOUT) / name
