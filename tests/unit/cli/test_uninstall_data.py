"""`omero fs uninstall --data`: when users' documents may be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.cli import install
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.errors import ConfigurationError, ServerAwayError
from omero_fs_plugin.site import Site


class Documents:
    """OMERO's, and whether it is there."""

    def __init__(self, *, away: bool = False) -> None:
        self.there = [3, 5]
        self.closed = False
        self._away = away

    def published(self) -> list[int]:
        if self._away:
            raise ServerAwayError("OMERO is not there yet")
        return list(self.there)

    def unpublish(self, documents: list[int]) -> None:
        self.there = [one for one in self.there if one not in documents]

    def close(self) -> None:
        self.closed = True


def delete(
    patch: pytest.MonkeyPatch,
    omero: Documents,
    *,
    interval: str,
    dropbox: str,
    runs_with: str | None = None,
) -> str:
    """`interval` is configured.  DropBox runs with `runs_with`; by default with that, too."""
    live = {"omero.fs.publishInterval": interval if runs_with is None else runs_with}

    @contextmanager
    def grid(site: Site) -> Iterator[Any]:
        yield SimpleNamespace(
            communicator=None,
            states=lambda: {"DropBox": dropbox},
            properties=lambda server: live,
        )

    def settings(site: Site) -> Settings:
        return read({"omero.fs.publishInterval": interval})

    patch.setattr(Site, "grid", grid)
    patch.setattr(Site, "settings", settings)
    patch.setattr(Omero, "of", lambda *given: omero)
    return install._delete_documents(Path("/omero"))


@pytest.mark.parametrize(
    ("interval", "dropbox"),
    [
        ("off", "active"),
        ("5", "inactive"),
        ("5", "inactive (disabled)"),
        ("5", "not deployed"),
        ("off", "node unreachable"),
    ],
)
def test_all_are_deleted(monkeypatch: pytest.MonkeyPatch, interval: str, dropbox: str) -> None:
    omero = Documents()
    told = delete(monkeypatch, omero, interval=interval, dropbox=dropbox)
    assert told == "2 documents of users deleted from OMERO"
    assert (omero.there, omero.closed) == ([], True)


@pytest.mark.parametrize(
    ("interval", "runs_with", "dropbox"),
    [
        ("5", "5", "active"),
        ("off", "5", "active"),  # it was not reloaded
        ("5", "off", "active"),  # the next reload, or start, begins it
        ("off", "5", "activating"),
        ("5", "5", "node unreachable"),
    ],
)
def test_none_is_deleted_that_dropbox_would_write_again(
    monkeypatch: pytest.MonkeyPatch, interval: str, runs_with: str, dropbox: str
) -> None:
    omero = Documents()
    with pytest.raises(ConfigurationError, match="publishInterval off"):
        delete(monkeypatch, omero, interval=interval, runs_with=runs_with, dropbox=dropbox)
    assert omero.there == [3, 5]


def test_an_omero_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    omero = Documents(away=True)
    with pytest.raises(ServerAwayError):
        delete(monkeypatch, omero, interval="off", dropbox="active")
    assert omero.closed
