"""Directories that DropBox makes for OMERO users: omero.fs.createUsers."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.accounts import NoAnswer
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.confine.roots import Roots
from omero_fs_plugin.dropbox.disks import calls
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.service import new_users
from omero_fs_plugin.dropbox.service.new_users import NewUsers
from omero_fs_plugin.dropbox.userdirs import directories as userdirs
from omero_fs_plugin.errors import ServerAwayError
from tests.clocks import Ahead


class Omero:
    """Has these users: name -> whether active."""

    def __init__(self) -> None:
        self.users = {"amy": True, "gone": False, "root": True, "guest": False}
        self.away = False
        self.asked = 0

    def experimenters(self) -> dict[str, bool]:
        self.asked += 1
        if self.away:
            raise ServerAwayError("OMERO does not answer")
        return self.users


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "DropBox"
    top.mkdir()
    return top


class Site:
    """What DropBox has of it."""

    def __init__(self, top: Path, roots: Roots, lanes: Lanes) -> None:
        self.omero: Any = Omero()
        self.settings = read({})
        self._top, self._roots = top, roots
        self._applied: list[str] = []
        self.new = NewUsers(self.omero, lanes, lambda: self.settings)

    def look(self, **properties: str) -> None:
        given = {"createUsers": "True", **properties}
        of = {f"omero.fs.{name}": value for name, value in given.items()}
        self.settings = read({"omero.data.dir": str(self._top.parent), **of})
        self.settings.check()
        roots = [str(rule.watch_dir) for rule in self.settings.rules]
        if roots != self._applied:  # a reload takes them anew
            self._roots.apply(roots, {})
            self._applied = roots
        self.new.look()

    def there(self) -> list[str]:
        return sorted(path.name for path in self._top.iterdir())


@pytest.fixture
def site(top: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    roots = Roots()
    monkeypatch.setattr(new_users, "ROOTS", roots)
    lanes = Lanes(lambda root, error: None)
    yield Site(top, roots, lanes)
    lanes.stop(0.0)


def test_an_active_user_gets_a_directory_and_so_does_one_who_comes_later(
    site: Site, top: Path
) -> None:
    site.look()
    assert site.there() == ["amy"]
    assert stat.S_IMODE((top / "amy").stat().st_mode) == 0o2770
    (top / "amy" / "x.tif").write_text("x")
    site.omero.users = {**site.omero.users, "zak": True}
    site.look()
    assert site.there() == ["amy", "zak"] and site.new.trouble == {}
    assert (top / "amy" / "x.tif").exists()


def test_nothing_is_made_or_asked_unless_it_is_wanted(site: Site) -> None:
    site.look(createUsers="False")
    assert site.there() == [] and site.omero.asked == 0
    # Each entry of importUsers has a directory of its own.
    site.look(importUsers="amy", watchDir="")
    assert site.there() == [] and site.omero.asked == 0


def test_users_with_an_entry_of_their_own_have_their_directory_there(site: Site, top: Path) -> None:
    site.omero.users["zak"] = True
    (top.parent / "elsewhere").mkdir()
    site.look(importUsers="default;zak", watchDir=f";{top.parent}/elsewhere")
    assert site.there() == ["amy"]


def test_below_another_directory_than_the_one_that_was_taken_nothing_is_made(
    site: Site, top: Path
) -> None:
    """As below a share that was mounted at the start, and is not now."""
    site.omero.users.pop("amy")
    site.look()
    top.rename(top.parent / "before")
    top.mkdir()
    site.omero.users["amy"] = True
    site.look()
    assert site.there() == []
    top.rmdir()
    site.look()
    assert not top.exists()


def test_while_omero_is_away_nothing_is_made(site: Site) -> None:
    site.omero.away = True
    site.look()
    assert site.there() == []


def test_people_are_told_what_cannot_be_made(
    site: Site, top: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(
            "omero_fs_plugin.dropbox.userdirs.directories.os",
            SimpleNamespace(**_os(), mkdir=refuse),
        )
        site.look()
        site.look()
    assert site.new.trouble == {
        f"{top}/amy": "the directory of amy: cannot be made: Permission denied"
    }
    assert len([line for line in caplog.messages if "cannot be made" in line]) == 1
    site.look()
    assert site.new.trouble == {} and site.there() == ["amy"]


def _os() -> dict[str, Any]:
    import os

    return {name: getattr(os, name) for name in dir(os) if name != "mkdir"}


def test_an_account_that_the_name_service_does_not_tell_of_holds_up_nobody(
    site: Site, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LDAP hangs for amy alone: zak's directory is made, and the disk does not count as away."""
    clock = Ahead()
    monkeypatch.setattr(calls.CALLS, "clock", clock)
    away: list[object] = []

    def account(name: str) -> None:
        if name == "amy":
            clock.ahead += 10 * calls.HUNG_S
            away.append(calls.CALLS.away())
            raise NoAnswer(name)

    monkeypatch.setattr(userdirs, "account", account)
    site.omero.users["zak"] = True
    site.look()
    assert away == [{}]
    assert site.there() == ["zak"]
    assert site.new.trouble == {
        f"{top}/amy": "the directory of amy: cannot be made: the system's name service does not "
        "answer, asked about amy"
    }
