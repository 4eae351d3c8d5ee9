"""How the files of an imported fileset go (omero.fs.afterImport), and how that ended.  Pure."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass

# Before the id of a fileset, in the journal's notes.
GOING, ENDED = "leaving: ", "after import: "


class Fate(str, enum.Enum):
    """What became of the files."""

    MOVED = "moved"
    DELETED = "deleted"
    GONE = "gone"  # somebody else had removed them
    LEFT = "left"  # they stay where they are; the reason says why

    def __str__(self) -> str:
        return self.value

    @property
    def took(self) -> bool:
        """Whether the files are no longer where they were."""
        return self is not Fate.LEFT


@dataclass(frozen=True)
class Going:
    """The files are going.  It is as it was begun, also if the settings change meanwhile."""

    to: str  # the directory that stands for the user's own; empty: they are deleted
    directory: str = ""  # of `move:DIR`

    def written(self) -> str:
        """As the journal has it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Going:
        """From what `written` gave."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    fate: Fate
    at: float  # s since the epoch
    files: int = 0  # that were moved or deleted
    to: str = ""  # the directory that they were moved to
    why: str = ""  # they, or some of them, stay

    def written(self) -> str:
        """As the journal has it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Ended:
        """From what `written` gave."""
        values = json.loads(text)
        return cls(**{**values, "fate": Fate(values["fate"])})

    def words(self) -> str:
        """For people."""
        number = f"{self.files:,} file{'s' if self.files != 1 else ''}"
        what = {
            Fate.MOVED: f"{number} moved to {self.to}",
            Fate.DELETED: f"{number} deleted",
            Fate.GONE: "somebody had removed the files",
            Fate.LEFT: "left where it is",
        }[self.fate]
        return f"{what}: {self.why}" if self.why else what
