"""What a word on the command line must be, said in one sentence where it is something else."""

import math
from argparse import ArgumentTypeError


def integer(least):
    """The kind of integers from `least` on.

    Examples:
        >>> from nqsbench.cli import arguments
        >>> arguments.integer(1)("3")
        3
    """

    def parse(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least:
            raise ArgumentTypeError(f"{text!r} is no integer from {least} on: give one.")
        return number

    return parse


def duration(text):
    """Seconds or minutes: a number that is not negative, inf for no end."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise ArgumentTypeError(f"{text!r} is no time: give a number from 0 on, or inf.")
    return number


def names(text):
    """Names between commas."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise ArgumentTypeError(f"{text!r} has an empty name: give one or more, with commas between them.")
    return found


def integers(text):
    """Integers between commas: sizes, seeds."""
    try:
        return [int(name) for name in names(text)]
    except ValueError:
        raise ArgumentTypeError(f"{text!r} are no integers: give one or more, with commas between them.") from None


def share(text):
    """(i, n) of the text i/n, i counted from 0."""
    try:
        i, n = map(int, text.split("/"))
    except ValueError:
        i, n = 0, 0
    if not 0 <= i < n:
        raise ArgumentTypeError(f"{text} is no share: give I/N with 0 ≤ I < N.")
    return i, n
