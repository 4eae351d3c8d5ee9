"""The sidecar `omero-fs.toml`: the target, texts and tags for the images beside it.

::

    target = "Project:name:{dir1}/Dataset:name:{dir2}"
    group = "lab"
    name = "one name for all images here"
    description = "fixed 2 h, then washed"
    tags = ["mitosis", "HeLa"]

    [key_value]
    Stain = "DAPI"
    Passage = 12
    Antibody = ["anti-tubulin", "anti-actin"]

Each key is optional.  A sidecar holds for its directory and those below.  There
may be several, from the user's own directory down to the file's.  For each key
the nearest sidecar that has it decides.  Each pair of [key_value] is a key.

Users write it, and DropBox reads it as the server's user.  So it is opened like
any dropped file, and read up to `MAX_BYTES`.  What it may have is bounded before it is parsed,
and before anything is asked of OMERO.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from omero_fs_plugin.dropbox.confine import open_beneath
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.errors import ConfigurationError, FsError, ImportRefused
from omero_fs_plugin.events import NOTHING_THERE
from omero_fs_plugin.system_names import SIDECAR

from .targets import REGEX, Template
from .templates import nearest, parse
from .toml_bounds import too_much

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = SIDECAR
MAX_BYTES = 64 * 1024
KEYS = ("target", "group", "name", "description", "tags", "key_value")
LONGEST = 255  # characters of a name or a group; OMERO's columns
# Each tag and pair is made, linked and looked for in OMERO.  More are a mistake, or worse.
MOST_TAGS = 100
MOST_PAIRS = 500
LONGEST_TAG = 255  # characters of a tag, or of a pair's key
LONGEST_VALUE = 4_000  # characters of a pair's value
LONGEST_TARGET = 2_000  # characters
_TOLD = 500  # characters of what is wrong; a key may have thousands


@dataclass(frozen=True)
class Sidecar:
    """All values of the sidecars above a file.  None or empty: no sidecar has this key."""

    target: Template | None = None
    group: str | None = None
    name: str | None = None  # of every image
    description: str | None = None
    tags: tuple[str, ...] | None = None
    key_value: tuple[tuple[str, str], ...] = ()  # a key may come more than once
    files: tuple[str, ...] = ()  # the sidecars that were read, absolute, outermost first

    @property
    def annotates(self) -> bool:
        """Whether there is something to put on the images when they are in OMERO."""
        return bool(self.description or self.tags or self.key_value)

    def beneath(self, outer: Sidecar) -> Sidecar:
        """This sidecar, with what only `outer` says added."""
        own = {key for key, _ in self.key_value}
        inherited = tuple(pair for pair in outer.key_value if pair[0] not in own)
        merged = {
            key: getattr(outer, key) if getattr(self, key) is None else getattr(self, key)
            for key in ("target", "group", "name", "description", "tags")
        }
        return replace(
            self,
            **merged,
            key_value=inherited + self.key_value,
            files=outer.files + self.files,
        )


def is_sidecar(path: str) -> bool:
    """Whether `path` is a sidecar, which is never imported itself."""
    return path.rpartition("/")[2] == FILE  # asked for every file of a rescan


def read(root: str, path: str) -> Sidecar:
    """What the sidecars say for the file `path` below the user's directory `root`.

    A file from elsewhere, which was handed over, has no sidecar.

    Raises ConfigurationError with one line, which names the sidecar, the key and the nearest
    right spelling.  The files around a wrong sidecar wait until it is mended.  Raises
    OSError if nobody knows now what the sidecars say: RootAway if the disk does not answer.
    """
    place = PurePosixPath(path)
    if not place.is_relative_to(root):
        return Sidecar()
    found = Sidecar()
    directory = PurePosixPath(root)
    for part in ("", *place.relative_to(root).parts[:-1]):
        directory /= part
        text = _content(root, str(directory / FILE))
        if text is not None:
            found = understand(str(directory / FILE), text).beneath(found)
    return found


def wrong_in(root: str, directory: str) -> str:
    """What is wrong with the sidecars for the files of a directory; empty if nothing."""
    try:
        read(root, f"{directory}/any")
    except RootAway:
        raise
    except OSError as error:
        return f"{error.filename or directory}: cannot be read now: {error.strerror or error}"
    except FsError as error:
        return str(error)
    return ""


def understand(file: str, content: bytes) -> Sidecar:
    """Reads one sidecar from its content.  Raises ConfigurationError, which names `file`."""
    try:
        text = content.decode("utf-8")
        if too_large := too_much(text):
            raise _wrong(file, f"not a sidecar: {too_large}")
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise _wrong(file, f"byte {error.start + 1} is not UTF-8") from error
    except (ValueError, RecursionError) as error:  # also of a number of too many digits
        raise _wrong(file, f"not TOML: {_line(str(error))}") from error
    if _has_nul(table):
        raise _wrong(file, "it has a NUL character, which OMERO cannot keep")
    for key in table:
        if key not in KEYS:
            allowed = ", ".join(KEYS) + nearest(key, KEYS)
            raise _wrong(file, f"unknown key {key[:LONGEST]!r}: allowed is {allowed}")
    texts = {key: _text(file, key, table.get(key)) for key in KEYS[:4]}
    for key, longest in (("group", LONGEST), ("name", LONGEST), ("target", LONGEST_TARGET)):
        if len(texts[key] or "") > longest:
            raise _wrong(file, f"{key} has {len(texts[key] or '')} characters, at most {longest}")
    return Sidecar(
        target=_target(file, texts["target"]),
        group=texts["group"] or None,
        name=texts["name"] or None,
        description=texts["description"],
        tags=_tags(file, table.get("tags")),
        key_value=_pairs(file, table.get("key_value")),
        files=(file,),
    )


def _content(root: str, path: str) -> bytes | None:
    """The bytes of the sidecar at `path`; None if there is none."""
    try:
        descriptor = open_beneath(root, path)
    except ImportRefused as error:  # a link, not a regular file, not readable, of another user
        raise ConfigurationError(str(error)) from error
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        error.filename = path
        raise
    try:
        with os.fdopen(descriptor, "rb") as source, CALLS.at(root):
            content = source.read(MAX_BYTES + 1)
    except OSError as error:
        error.filename = path
        raise
    if len(content) > MAX_BYTES:
        raise _wrong(path, f"larger than {MAX_BYTES // 1024} KiB, so it cannot be a sidecar")
    return content


def _text(file: str, key: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(file, f"{key} must be text in quotes, and is {_kind(value)}")
    return value.strip()


def _target(file: str, text: str | None) -> Template | None:
    if text is None:
        return None
    if text.partition(":")[0] == REGEX:
        # Matching may take for ever, and whoever drops files would choose when.
        raise _wrong(file, "target: regex: is for omero.fs.target; use {dir1}, {dir} and so on")
    try:
        return parse(text)
    except ConfigurationError as error:
        raise _wrong(file, f"target: {error}") from error


def _tags(file: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise _wrong(file, f'tags must be a list such as ["a", "b"], and is {_kind(value)}')
    tags = [tag.strip() for tag in value]
    if not all(tags):
        raise _wrong(file, "tags has an empty one")
    longest = max(map(len, tags), default=0)
    if longest > LONGEST_TAG:
        raise _wrong(file, f"tags has one of {longest} characters, at most {LONGEST_TAG}")
    found = tuple(dict.fromkeys(tags))
    if len(found) > MOST_TAGS:
        raise _wrong(file, f"tags has {len(found)} of them, at most {MOST_TAGS}")
    return found


def _pairs(file: str, value: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise _wrong(file, f"key_value must be a table, [key_value], and is {_kind(value)}")
    pairs = []
    for key, given in value.items():
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, (list, Mapping)):
                raise _wrong(
                    file, f"key_value.{key} must be text, a number or a list of them: {_kind(one)}"
                )
            try:
                text = str(one).lower() if isinstance(one, bool) else str(one)
            except ValueError as error:
                raise _wrong(file, f"key_value.{key} is a number of too many digits") from error
            if len(key) > LONGEST_TAG:
                raise _wrong(file, f"key_value has a key of {len(key)} characters")
            if len(text) > LONGEST_VALUE:
                what = f"has {len(text)} characters, at most {LONGEST_VALUE}"
                raise _wrong(file, f"key_value.{key} {what}")
            pairs.append((key, text))
    found = tuple(dict.fromkeys(pairs))
    if len(found) > MOST_PAIRS:
        raise _wrong(file, f"key_value has {len(found)} pairs, at most {MOST_PAIRS}")
    return found


def _has_nul(value: Any) -> bool:
    """Whether any text in `value`, which is not nested deeply, has one."""
    if isinstance(value, Mapping):
        return any(_has_nul(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        odd = next((one for one in value if not isinstance(one, str)), None)
        return "a list" if odd is None else f"a list with {_kind(odd)} in it"
    return f"the value {str(value)[:40]!r}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _wrong(file: str, what: str) -> ConfigurationError:
    told = what if len(what) <= _TOLD else what[:_TOLD] + "..."
    return ConfigurationError(f"{file}: {told}")
