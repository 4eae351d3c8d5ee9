"""A disk that is ill, at each call of an import: no file has failed for that, and none is lost.

One table: what the disk answers x the call that gets this answer, on every way of importing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import proof
from omero_fs_plugin.dropbox.journal.states import State

from .attempts import World, world
from .ill_disk import IllDisk
from .site import Site

__all__ = ["world"]

AWAY = (
    errno.EIO,
    errno.EACCES,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ENODEV,
    errno.EMFILE,
    errno.EHOSTDOWN,
)
WAYS = ("upload", "upload_rm", "cp_rm", "ln_rm", "ln_s")


class IllSite(Site):
    """Its disk may be ill."""

    def __init__(self, world: World, transfer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(world, transfer, monkeypatch)
        self.proves = transfer == "ln_s"
        monkeypatch.setattr(proof, "PROVED_S", -1.0)  # each import needs one
        self._codes = AWAY if transfer == "upload" else AWAY[:2]
        self.disk = IllDisk(world.root, monkeypatch)

    def codes(self, number: int, *, each: bool) -> tuple[int, ...]:
        """What the disk answers to call `number`: one code, another for the next call; or each."""
        return self._codes if each else (self._codes[number % len(self._codes)],)

    def calls(self, *, handed_over: bool) -> list[str]:
        """The calls of one import on a disk that is well."""
        path = self.drop(handed_over=handed_over)
        self.disk.well()
        self.look()
        assert self.row(path).state is State.IMPORTED, self.row(path).reason
        return self.disk.well()


@pytest.fixture
def site(
    world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IllSite]:
    site = IllSite(world, request.param, monkeypatch)
    yield site
    site.importers._importing.pool.tidy(everything=True)


def _rows() -> Iterator[Any]:
    """Every way, dropped and handed over.  In a short run, handed over on a way of each kind."""
    for way in WAYS:
        for handed_over, how in ((True, "handed over"), (False, "dropped")):
            for each, codes in ((False, "a code"), (True, "each code")):
                short = not each and (not handed_over or way in ("upload", "ln_rm"))
                marks = () if short else (pytest.mark.long,)
                yield pytest.param(way, handed_over, each, id=f"{way}-{how}-{codes}", marks=marks)


@pytest.mark.parametrize(("site", "handed_over", "each"), [*_rows()], indirect=["site"])
def test_an_ill_disk_is_waited_for_whatever_call_it_fails(
    site: IllSite, handed_over: bool, each: bool
) -> None:
    calls = site.calls(handed_over=handed_over)
    assert {"open", "fstat", "read", "close"} <= set(calls)
    # A proof for a link makes a file, and removes it.
    assert (site.removes or site.proves) == ("unlink" in calls)
    for number, call in enumerate(calls, 1):
        for code in site.codes(number, each=each):
            said = f"{errno.errorcode[code]} at call {number}, {call}"
            if call == "unlink" and code == errno.EACCES:
                continue  # nobody may remove anything there, which is told and ends it
            path = site.drop(handed_over=handed_over)
            site.disk.fail(number, code)
            site.look()
            made = site.disk.well()
            row = site.row(path)
            if len(made) < number:
                pytest.fail(f"{said}: there was no such call")
            assert row.refusals == 0, said
            assert row.state in (State.QUEUED, State.IMPORTED), f"{said}: {row.state} {row.reason}"
            if row.state is State.QUEUED:
                assert os.strerror(code) in row.reason, f"{said}: {row.reason!r}"
            site.look()
            site.look()
            row = site.row(path)
            assert row.state is State.IMPORTED, f"{said}: {row.state} {row.reason}"
            assert site.world.in_omero(path) == [row.images], said
            assert path.exists() != site.removes, f"{said}: {row.reason}"
            assert row.reason == "", said
            assert site.world.journal.unfinished() == [], said
