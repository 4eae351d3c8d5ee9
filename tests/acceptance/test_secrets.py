"""Nobody can read the keys of the sessions in which DropBox imports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .dropping import DropBox
from .server import Server, command_lines
from .waiting import until


@dataclass(frozen=True)
class Seen:
    """What people could read while DropBox imported."""

    keys: set[str]  # of the users' sessions
    arguments: set[str]  # every word of every command line on this machine
    log_dir: Path


@pytest.fixture(scope="module")
def seen(new_dropbox: Callable[..., DropBox], grid: Server) -> Seen:
    places = [new_dropbox(user, "secrets") for user in ("amy", "zak")]
    paths = [path for place in places for path in place.drop_many(8)]
    omero = places[0].omero
    keys: set[str] = set()
    before = omero.session_keys("amy", "zak", ended=True)
    arguments: set[str] = set()

    def look() -> bool:
        keys.update(omero.session_keys("amy", "zak"))
        for words in command_lines().values():
            arguments.update(words)
        return all(omero.imported_ids(*paths).values())

    until("all are imported", look, evidence=grid.evidence, pause=0.05)
    # A failure is told at length, and must not tell this.
    bad = places[0].drop("no image.tif", b"no image")
    grid.until_told(bad, states=["failed"])
    look()
    # A session may have begun and ended between two looks.
    keys |= omero.session_keys("amy", "zak", ended=True) - before
    places[0].assert_once(*paths)
    return Seen(keys, arguments, grid.omerodir / "var" / "log")


def test_sessions_were_seen_at_all(seen: Seen) -> None:
    assert len(seen.keys) >= 2, "amy and zak had no sessions while their files were imported"
    assert any("servers/DropBox/config" in word for word in seen.arguments)


def test_in_no_argument_vector(seen: Seen) -> None:
    assert not [word for word in seen.arguments for key in seen.keys if key in word]


@pytest.mark.parametrize("name", ["FSServer.log", "DropBox.log"])
def test_in_no_log_of_ours(seen: Seen, name: str) -> None:
    # OMERO.server itself writes keys into Blitz-0.log.
    text = (seen.log_dir / name).read_text(encoding="utf-8", errors="replace")
    assert not [line for line in text.splitlines() for key in seen.keys if key in line]


def test_in_no_status(seen: Seen, grid: Server) -> None:
    told = str(grid.status())
    assert not [key for key in seen.keys if key in told]


def test_in_no_journal(seen: Seen, watch_dir: Path) -> None:
    files = list(watch_dir.parent.glob("*journal*.sqlite*"))
    if not files:
        pytest.skip("the journal is not a file beside the DropBox (omero.fs.journal)")
    for file in files:
        content = file.read_bytes()
        assert not [key for key in seen.keys if key.encode() in content], file
