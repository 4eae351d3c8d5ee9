"""The notes on filesets whose files are moved into quarantine, or back.  Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

# Each before the id of a fileset whose files are being moved, or were when a process ended.
# The note HOME stays for as long as they are in quarantine.
GOES = "quarantine under way "  # the quarantine's directory, which may be another one by now
HOME = "quarantined "  # the root that it had; if its own is another, it is in quarantine
RETURNING = "returning "  # a Way


@dataclass(frozen=True)
class Way:
    """What the journal's note says of a way home."""

    root: str  # that it goes back to
    lay: str  # where it lies
    stores: tuple[str, ...]  # those of its files that are stores, there
    until: float = 0.0  # s since the epoch: until then it is believed to be under way
    began: float = 0.0  # s since the epoch; no two ways home of a fileset have the same

    @classmethod
    def of(cls, said: str) -> Way:
        """`said`: the note."""
        root, lay, *rest = json.loads(said)
        times = [one for one in rest if not isinstance(one, str)]
        stores = tuple(one for one in rest if isinstance(one, str))
        return cls(root, lay, stores, *times[:2])

    def __str__(self) -> str:
        return json.dumps([self.root, self.lay, *self.stores, self.until, self.began])
