"""What people are shown of the document that OMERO has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.blitz import publications
from omero_fs_plugin.cli import terminal
from omero_fs_plugin.cli.published import fetch, fileset, is_asked, lines
from omero_fs_plugin.errors import ConfigurationError, UserError

WRITTEN = 1_000.0


def document(*filesets: dict[str, Any], **other: Any) -> dict[str, Any]:
    counts = {"waiting": 2, "queued": 0, "importing": 1, "imported": 3, "skipped": 4, "failed": 1}
    known = {"counts": counts, "held_up": 1, "written": WRITTEN, "filesets": list(filesets)}
    return {**known, "roots": [], **other}


def one(identifier: int = 7, **other: Any) -> dict[str, Any]:
    known = {"stand": "failed", "files": ["a.tif", "b.tif"], "more_files": 3, "since": 900.0}
    texts = {"reason": "no image", "progress": "", "remedy": "copy it again"}
    return {"id": identifier, **known, **texts, "images": [], **other}


def shown(given: dict[str, Any], now: float = WRITTEN, limit: int | None = None) -> str:
    return terminal.shown(lines(given, now, limit))


def test_it_counts_and_names() -> None:
    text = shown(document(one()))
    assert text.startswith("2 need attention, 2 under way, 3 imported, 4 skipped\n")
    assert "7  failed  a.tif and 4 more" in text
    assert "no image" in text
    assert "to do: copy it again" in text


def test_it_says_when_it_is_old() -> None:
    assert "DropBox is down" not in shown(document(), WRITTEN + 60)
    assert "DropBox is down" in shown(document(), WRITTEN + 7_200)


def test_a_trouble_of_a_root_is_told() -> None:
    assert "/d/amy: it hangs" in shown(
        document(roots=[{"directory": "/d/amy", "trouble": "it hangs"}])
    )


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nb", "\u202ea"])
def test_a_name_does_nothing_to_the_terminal(name: str) -> None:
    assert name not in shown(document(one(files=[name], reason=name, remedy=name)))


def test_a_fileset_is_found_by_its_id_and_by_a_file() -> None:
    given = document(one(8, files=["c.tif"]), one(7))
    assert fileset(given, "7")["id"] == 7
    assert fileset(given, "c.tif")["id"] == 8
    with pytest.raises(ConfigurationError, match="latest 2 filesets"):
        fileset(given, "d.tif")


@pytest.mark.parametrize("name", ["server", "user", "key"])
def test_who_says_where_to_log_in_asks_omero(name: str) -> None:
    assert is_asked(SimpleNamespace(**{name: "x"}))
    assert not is_asked(SimpleNamespace(server=None, user=None, key=None))


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no document of OMERO.fs for amy"), ('{"format": 99}', "newer than this OMERO.fs")],
)
def test_what_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    context = SimpleNamespace(userName="amy", userId=2)
    admin = SimpleNamespace(getEventContext=lambda: context)
    client = SimpleNamespace(getSession=lambda: SimpleNamespace(getAdminService=lambda: admin))
    monkeypatch.setattr(publications, "read", lambda services, user: text)
    with pytest.raises(UserError, match=says):
        fetch(SimpleNamespace(conn=lambda args: client), None, None)
