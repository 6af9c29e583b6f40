"""How a run is stopped: by SIGTERM, SIGINT or the end of its time, with nothing lost that is finished."""

import os
import signal
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and what is finished is saved. No `Exception`: no failure of the thing that was running."""


@contextmanager
def handled(handler):
    """Within this context both signals go to a handler (number, frame)."""
    old = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)


@contextmanager
def stop_signal():
    """Within this context the signals only set a flag, which the yielded function reads."""
    caught = []
    with handled(lambda number, frame: caught.append(number)):
        yield lambda: bool(caught)


@contextmanager
def deadline(seconds):
    """Within this context the signals, and the end of this time, raise `Interrupted`; training saves before it does."""

    def stop(number, frame):
        raise Interrupted("The time is over; run the same command again to go on.")

    timer = threading.Timer(max(0.0, seconds), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    with handled(stop):
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
