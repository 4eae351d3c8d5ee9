"""What is known of every file and fileset, on disk, before and after each act.

Many threads may use one `Journal`, and several processes may open the same one:
DropBox, and the command line, which hands files over or shows what is known.
"""

from __future__ import annotations

from .afterwards import Afterwards
from .attempting import Attempting
from .by_hand import ByHand
from .nodes import Nodes
from .outbox import Outbox
from .vaulting import Vaulting
from .writer import write_note


class Journal(Vaulting, Attempting, ByHand, Nodes):
    """The journal, for reading and writing."""

    @property
    def outbox(self) -> Outbox:
        """What people are to be told."""
        return Outbox(self._database, self._clock)

    @property
    def afterwards(self) -> Afterwards:
        """What becomes of the files of imported filesets."""
        return Afterwards(self._database, self._clock, write_note)
