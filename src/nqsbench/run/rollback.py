"""Going back: a training that has left a good state goes on from one of before, with a larger λ.

One sample in a region that |ψ|² should not have may ruin a network in a step or two; a larger λ there is cheaper than one
everywhere (docs/protocol.md).
"""

import numpy as np
from flax import serialization

from nqsbench.run.reliability import WINDOW, risen
from nqsbench.run.train import Diverged


class Kept:
    """What a training can go back to: the state at the start of its last window of steps that had not risen.

    Looked at every WINDOW steps and at the end. Of two snapshots the newer one is not trusted yet: the window that
    follows it tells whether it was sound.
    """

    def __init__(self, point, saved=None):
        self.point, kept = point, (saved or {}).get("kept", {})
        self.snapshots = [kept[key] for key in sorted(kept)]

    def look(self, driver, history):
        """After a step: keep a snapshot, or raise `Diverged` where the energy has risen."""
        if driver.step_count % WINDOW and driver.step_count != self.point.training["iterations"]:
            return
        if reason := risen(self.point, history):
            raise Diverged(f"{reason} at step {driver.step_count}")
        snapshot = {"driver": serialization.to_bytes(driver), "history": np.array(history)}
        self.snapshots = [*self.snapshots, snapshot][-2:]

    def back(self):
        """The snapshot to go on from, {driver, history}, which then is the only one; None: from the start."""
        self.snapshots = self.snapshots[:1]
        return self.snapshots[0] if self.snapshots else None
