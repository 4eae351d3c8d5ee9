"""What DropBox and the process of a fileset say to each other: lines of JSON, over two pipes.

What is to be done is one line in a file, and then one for each file of the fileset.  DropBox gives
one answer to each question, and may say ``{"stop": true}`` at any time.  The process says
``{"ask": name, "of": value}``, ``{"log": ...}``, ``{"beat": ...}`` every second, and at its end
``{"gives": value}``.  Instead of an answer or a value there may be ``{"error": ...}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import omero.model
from omero.rtypes import unwrap

from omero_fs_plugin.dropbox.importing.importers.protocol import Wishes
from omero_fs_plugin.dropbox.journal.many import ManyFiles
from omero_fs_plugin.dropbox.journal.records import PART, Fileset, Found, chunks
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat

DIGITS = 40  # of a SHA1, and of the digest of a store
_TARGETS = {"Dataset": omero.model.DatasetI, "Screen": omero.model.ScreenI}


def line_of(said: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(said).encode() + b"\n"


def told_of(fileset: Fileset) -> dict[str, Any]:
    """A fileset without its files, which are lines of their own: see `lines_of_files`."""
    return asdict(replace(fileset, files=(), sha1s=()))


def lines_of_files(fileset: Fileset) -> Iterator[bytes]:
    """A line for each file, as a plate has very many: a store is one."""
    for met in fileset.files:
        yield json.dumps([met.path, *asdict(met.stat).values()]).encode() + b"\n"


def fileset_of(told: Mapping[str, Any], lines: Iterable[bytes]) -> Fileset:
    """The fileset, with the files that these lines tell of."""
    each = (json.loads(line) for line in lines)
    several = ManyFiles(Found(path, FileStat(*stat)) for path, *stat in each)
    given = {
        **told,
        "state": State(told["state"]),
        "images": tuple(told["images"]),
        "files": several,
        "sha1s": (),
    }
    return Fileset(**{one.name: given[one.name] for one in fields(Fileset)})


def told_of_sha1s(sha1s: Sequence[str]) -> Iterator[str]:
    """The SHA1s of all files, or the digest of a store, in parts."""
    for part in chunks(sha1s, PART):
        yield "".join(part)


def sha1s_of(part: str) -> Iterator[str]:
    """Those of one part."""
    for begin in range(0, len(part), DIGITS):
        yield part[begin : begin + DIGITS]


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
