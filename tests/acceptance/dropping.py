"""What a user does, and what must follow."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import images
from .api import Fileset, Omero
from .server import Server
from .waiting import PATIENCE, until

_SLOWER = 3  # than at the start of the run imports may become
_numbers = itertools.count(1)


class DropBox:
    """A directory below a user's DropBox, and what OMERO has of the files in it."""

    def __init__(
        self, server: Server, omero: Omero, user: str, directory: Path, ledger: dict[Path, int]
    ) -> None:
        """`ledger`: how often each file was to be imported, for the end of the run."""
        self.server = server
        self.omero = omero
        self.user = user
        self.directory = directory
        self._ledger = ledger

    def drop(self, name: str, content: bytes | None = None) -> Path:
        """Writes a file, by default a small TIFF.  Makes directories that are missing."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.tiff() if content is None else content)
        return path

    @contextmanager
    def held(self, name: str) -> Iterator[Path]:
        """Drops a small TIFF, which FSServer hears of, and which somebody has open meanwhile.

        So it is not at rest, however long the tests stand still on a busy machine.
        """
        path = self.directory / name
        with path.open("xb", buffering=0) as held:
            held.write(images.tiff())
            path.open("ab").close()
            yield path

    def drop_many(self, number: int) -> list[Path]:
        """Writes this many small TIFFs."""
        return [self.drop(f"{n:03}.tif") for n in range(number)]

    def until_imported(self, *paths: Path, times: int = 1) -> list[Fileset]:
        """The newest fileset of each file, once OMERO has `times` with images of each."""

        def look() -> bool:
            found = self.omero.imported_ids(*paths)
            return all(len(ids) >= times for ids in found.values())

        def evidence() -> str:
            found = self.omero.imported_ids(*paths)
            missing = [path.name for path, ids in found.items() if len(ids) < times]
            return f"missing: {missing}\n{self.server.evidence()}"

        names = ", ".join(repr(path.name) for path in paths[:3])
        until(
            f"{len(paths)} files imported {times} times ({names})",
            look,
            evidence=evidence,
            patience=PATIENCE + _SLOWER * len(paths) * self.server.seconds_per_import,
        )
        found = self.omero.imported_ids(*paths)
        return [self.omero.fileset(ids[-1]) for ids in found.values()]

    def until_settled(self) -> None:
        """Returns when all files that lie here now have had their quiet period and have an end.

        A file dropped last is imported, and then nothing is left to be.
        """
        self.until_imported(self.drop(f"sentinel-{next(_numbers)}.tif"))
        self.server.until_idle(self.directory)

    def assert_once(self, *paths: Path) -> None:
        """OMERO has one fileset, with images, of each file, and no other."""
        self.assert_times(1, paths)

    def assert_times(self, times: int, paths: Sequence[Path]) -> None:
        """OMERO has this many filesets of each file, all of them with images.

        Said once, it must hold to the end of the run, whatever happens to the servers.
        """
        self._ledger.update(dict.fromkeys(paths, times))
        # DropBox removes what a killed import left without images, once no call can be late.
        end = time.monotonic() + PATIENCE
        while True:
            whole = self.omero.imported_ids(*paths)
            wrong = {
                path.name: ids
                for path, ids in self.omero.fileset_ids(*paths).items()
                if len(ids) != times or ids != whole[path]
            }
            only_halves = all(len(whole[path]) == times for path in paths)
            if not wrong or not only_halves or time.monotonic() > end:
                break
            time.sleep(1.0)
        missing = [name for name, ids in wrong.items() if len(ids) < times]
        more = [name for name, ids in wrong.items() if len(ids) > times]
        if wrong:
            pytest.fail(
                f"of {len(whole)} files, each to be imported {times} times, missing "
                f"{len(missing)}, too often {len(more)}; filesets: {wrong}, those with images: "
                f"{ {path.name: ids for path, ids in whole.items() if path.name in wrong} }\n"
                f"{self.server.evidence()}",
                pytrace=False,
            )


def sha1(path: Path) -> str:
    """Of a file's bytes, lower-case hex."""
    return hashlib.sha1(path.read_bytes()).hexdigest()
