"""What an audit has found, and how far it is, in a file: one line of JSON for each thing.

So its memory has a bound, whatever it finds, and an audit that was broken off goes on.  What was
found after the last position is found again, so it is taken out of the file first.
"""

from __future__ import annotations

import json
import os
import stat as stat_module
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.names import printable
from omero_fs_plugin.room import temporary

from .findings import Finding, Kind, Unseen

_VERSION = 1
_TEMPORARY = "the audit's temporary file"


@dataclass
class Record:
    """Of one audit.  Rule: whatever stands before a position was found before it."""

    file: IO[bytes]
    began: float  # s since the epoch
    shown: str  # the file, for people
    counts: Counter[Kind] = field(default_factory=Counter)
    unseen: int = 0
    looked: Counter[str] = field(default_factory=Counter)  # what was looked at -> number
    positions: dict[str, Any] = field(default_factory=dict)  # part -> how far it is
    resumed: bool = False  # another process began it

    @classmethod
    def fresh(cls, of: str, now: float) -> Record:
        """One that ends with this process.

        `of` says what is audited; `now`: s since the epoch.  Raises ConfigurationError if there is
        no room.
        """
        try:
            return _begun(tempfile.TemporaryFile(dir=temporary()), of, now, _TEMPORARY)
        except OSError as error:
            raise ConfigurationError(f"{_TEMPORARY}: {error.strerror}") from error

    @classmethod
    def at(cls, path: str, of: str, now: float) -> Record:
        """In the file at `path`: it goes on with what is there, or begins anew after an end.

        Raises ConfigurationError if the file cannot be used, there is no room for it, or it is that
        of another audit.
        """
        import fcntl  # here, so that the rest of the module can be imported anywhere

        shown = printable(path)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise ConfigurationError(f"--state {shown}: {error.strerror}") from error
        found = os.fstat(descriptor)
        if not stat_module.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(descriptor)
            raise ConfigurationError(f"--state {shown}: must be a file of your own")
        file = os.fdopen(descriptor, "r+b")
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(
                    f"--state {shown}: another audit is working with it"
                ) from error
            return _resumed(file, of, now, shown)
        except BaseException:
            with suppress(OSError):
                file.close()
            raise

    def add(self, found: Finding) -> None:
        """Something does not agree."""
        self.counts[found.kind] += 1
        self._write({"finding": found.values()})

    def not_seen(self, path: str, why: str) -> None:
        """Something could not be looked at."""
        self.unseen += 1
        self._write({"unseen": {"path": path, "why": why}})

    def mark(self, part: str, position: Any) -> None:
        """The part is done up to this position, which is plain JSON.  None: it is done."""
        self.positions[part] = position
        self._write({"position": [part, position], "looked": dict(self.looked)}, flush=True)

    def done(self, part: str) -> bool:
        """Whether the part has come to its end."""
        return part in self.positions and self.positions[part] is None

    def end(self) -> None:
        """The audit is complete: the next one in this file begins anew."""
        self._write({"end": True}, flush=True)

    def findings(self, kind: Kind | None = None) -> Iterator[Finding]:
        """All, or those of one kind, in the order in which they were found."""
        for line in self._lines():
            values = line.get("finding")
            if values is not None and kind in (None, values["kind"]):
                yield Finding.read(values)

    def all_unseen(self) -> Iterator[Unseen]:
        """What could not be looked at."""
        for line in self._lines():
            if "unseen" in line:
                yield Unseen(**line["unseen"])

    def close(self) -> None:
        """The file is left as it is."""
        with suppress(OSError):  # it was told, or what is lost is found again
            self.file.close()

    def _write(self, values: Mapping[str, Any], *, flush: bool = False) -> None:
        """Raises ConfigurationError if its disk is full, say."""
        try:
            self.file.write(json.dumps(values).encode() + b"\n")  # ASCII: surrogates are escaped
            if flush:
                self.file.flush()
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> ConfigurationError:
        then = "" if self.shown == _TEMPORARY else "; later the same command goes on"
        return ConfigurationError(f"{self.shown}: {error.strerror}{then}")

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Those written so far.  They are read beside what is written: no order is disturbed."""
        try:
            self.file.flush()
        except OSError as error:
            raise self._cannot(error) from error
        with open(f"/proc/self/fd/{self.file.fileno()}", "rb") as lines:  # noqa: PTH123
            for line in lines:
                yield json.loads(line)


def _begun(file: IO[bytes], of: str, now: float, shown: str) -> Record:
    record = Record(file, now, shown)
    record._write({"audit": _VERSION, "of": of, "began": now}, flush=True)
    return record


def _resumed(file: IO[bytes], of: str, now: float, shown: str) -> Record:
    first, name = file.readline(), f"--state {shown}"
    if not first:
        return _begun(file, of, now, name)
    head = _line(first)
    if head.get("audit") != _VERSION:
        raise ConfigurationError(
            f"--state {shown}: is not the state of an audit; name another file"
        )
    if not isinstance(head.get("began"), (int, float)):
        raise ConfigurationError(f"--state {shown}: is damaged; remove it, or name another file")
    if head.get("of") != of:
        raise ConfigurationError(
            f"--state {shown}: is the state of an audit of {printable(str(head.get('of')))}; "
            "name another file"
        )
    record = Record(file, float(head["began"]), name, resumed=True)
    keep = file.tell()
    counts, unseen = Counter[Kind](), 0
    for line in iter(file.readline, b""):
        values = _line(line)
        if not _is_whole(values):  # the audit was broken off while it wrote, or a disk lost a part
            break
        if "finding" in values:
            counts[Finding.read(values["finding"]).kind] += 1
        unseen += "unseen" in values
        if "position" in values:
            part, position = values["position"]
            record.positions[part] = position
            record.looked = Counter(values["looked"])
            record.counts, record.unseen, keep = Counter(counts), unseen, file.tell()
        if "end" in values:
            file.seek(0)
            file.truncate()
            return _begun(file, of, now, name)
    file.seek(keep)
    file.truncate()
    return record


def _is_whole(values: Mapping[str, Any]) -> bool:
    """Whether a line has what this module writes: a disk may have lost a part of it."""
    try:
        if "finding" in values:
            found = Finding.read(values["finding"])
            texts = (found.path, found.why, found.user, found.copy)
            ids = (found.fileset, found.server_fileset)
            return all(isinstance(one, str) for one in texts) and all(
                one is None or type(one) is int for one in ids
            )
        if "unseen" in values:
            one = Unseen(**values["unseen"])
            return isinstance(one.path, str) and isinstance(one.why, str)
        if "position" in values:
            part, position = values["position"]
            numbers = values["looked"].values()
            right = position is None or type(position) in (int, str)
            return isinstance(part, str) and right and all(type(one) is int for one in numbers)
    except (TypeError, ValueError, KeyError, AttributeError):
        return False
    return values.get("end") is True


def _line(line: bytes) -> dict[str, Any]:
    """Its values; none if it is not whole."""
    try:
        values = json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
