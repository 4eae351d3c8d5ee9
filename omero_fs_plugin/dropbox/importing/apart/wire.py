"""What DropBox and the process of a store say to each other: lines of JSON, over two pipes.

What is to be done is one line in a file.  Then DropBox gives one answer to each question, and may
say ``{"stop": true}`` at any time.  The process says ``{"ask": name, "of": value}``,
``{"log": ...}``, ``{"beat": ...}`` every second, and at its end ``{"gives": value}``.  Instead of
an answer or a value there may be ``{"error": ...}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

import omero.model
from omero.rtypes import unwrap

from omero_fs_plugin.dropbox.importing.importers.protocol import Wishes
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat

_TARGETS = {"Dataset": omero.model.DatasetI, "Screen": omero.model.ScreenI}


def line_of(said: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(said).encode() + b"\n"


def told_of(fileset: Fileset) -> dict[str, Any]:
    """A fileset whose files are few: a store is one."""
    return asdict(fileset)


def fileset_of(told: Mapping[str, Any]) -> Fileset:
    """The fileset."""
    found = (Found(one["path"], FileStat(**one["stat"])) for one in told["files"])
    given = {
        **told,
        "state": State(told["state"]),
        "images": tuple(told["images"]),
        "files": tuple(found),
        "sha1s": tuple(told["sha1s"]),
    }
    return Fileset(**{one.name: given[one.name] for one in fields(Fileset)})


def told_of_wishes(wishes: Wishes) -> list[Any]:
    """What is wanted for an import."""
    target = wishes.target
    kinds = [name for name, kind in _TARGETS.items() if isinstance(target, kind)]
    where = [kinds[0], unwrap(target.id)] if kinds else None
    return [wishes.reader, wishes.name, wishes.description, where]


def wishes_of(told: list[Any]) -> Wishes:
    """The wishes."""
    reader, name, description, where = told
    target = _TARGETS[where[0]](where[1], False) if where else None
    return Wishes(reader, name, description, target)


def told_of_error(error: FsError) -> dict[str, Any]:
    """An error, with its kind and those above it, and its fields."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, FsError)]
    return {"kinds": kinds, "text": str(error), "fields": vars(error)}


def error_of(told: Mapping[str, Any]) -> FsError:
    """The error; of the nearest kind that is known here."""
    known = {kind.__name__: kind for kind in _kinds(FsError)}
    kind = next(known[name] for name in told["kinds"] if name in known)
    error = kind.__new__(kind, told["text"])
    vars(error).update(told["fields"])
    return error


def _kinds(kind: type[FsError]) -> Iterator[type[FsError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
