"""Importers whose threads are not started, and filesets: a test takes each step itself."""

from __future__ import annotations

from typing import Any

from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import RecordRefused
from omero_fs_plugin.events import FileStat

# What says nothing of a fileset: a defect of ours, or a write that the journal refuses.
ODD = (ZeroDivisionError("x"), RecordRefused("CHECK constraint failed"), OSError(28, "y"))


def importers_of(
    journal: Journal, places: Places, omero: Any = None, *, number: int = 1, **others: Any
) -> Importers:
    """`others`: what else Importers takes, if a test needs it otherwise."""
    options: dict[str, Any] = {
        "held": lambda user: "",
        "import_duplicates": lambda: False,
        "quarantine": lambda fileset: None,
        "changed": lambda fileset: None,
        "methods": Methods(None),
    }
    return Importers(journal, omero, places=places, number=number, **options | others)


def queue(journal: Journal, *names: str) -> list[int]:
    """Hands over a file of amy for each name.  Returns the filesets."""
    return [
        journal.hand_over(
            "amy",
            "/dropbox/amy",
            Found(f"/dropbox/amy/{name}", FileStat(1, 100 + number, 1, 1, 1)),
        ).id
        for number, name in enumerate(names)
    ]
