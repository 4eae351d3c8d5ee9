"""Users' directories from end to end: read from OMERO, made, and watched once they can be read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.cli import users
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.watching import rescanner
from omero_fs_plugin.errors import ConfigurationError, ServerAwayError
from omero_fs_plugin.sandbox import accounts
from tests.integration.whole import Whole


class Died(Exception):
    """What ctx.die does to a command."""


class Command:
    """`omero fs users` on the sandbox server of a Whole, without a grid."""

    def __init__(self, whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
        self.properties = {"omero.data.dir": str(whole.watch_dir.parent)}
        self.whole = whole
        self.printed: list[str] = []
        monkeypatch.setattr(users, "site", lambda ctx: self)
        monkeypatch.setattr(users, "Omero", SimpleNamespace(of=lambda *_: self))

    def settings(self) -> Settings:
        return read(self.properties)

    @contextmanager
    def grid(self) -> Iterator[Any]:
        yield SimpleNamespace(communicator=None)

    def experimenters(self) -> dict[str, bool]:
        return self.whole._omero.experimenters()

    def close(self) -> None:
        pass

    def __call__(self, *, create: bool = False, json: bool = True) -> tuple[int, str]:
        """The exit code, and what was printed."""
        ended = []

        def die(code: int, text: str) -> None:
            ended.append(code)
            raise Died(text)

        ctx = SimpleNamespace(out=self.printed.append, die=die)
        try:
            users.run(ctx, SimpleNamespace(create=create, json=json))
        except Died as death:
            self.printed.append(str(death))
        return (ended or [0])[0], self.printed[0]


@pytest.fixture
def command(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Command]:
    return lambda: Command(whole, monkeypatch)


def told(printed: str) -> dict[str, str]:
    return {one["user"]: one["state"] for one in json.loads(printed)["directories"]}


def test_users_and_directories(whole: Whole, command: Callable[[], Command]) -> None:
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        group = accounts.create_group(store, db, "lab")
        accounts.create_user(store, db, "eve", "eve", [accounts.USER_GROUP, group])
        accounts.create_user(store, db, "gone", "gone", [group])
        accounts.create_user(store, db, "alone", "", [])
    assert whole._omero.experimenters() == {
        **dict.fromkeys(("amy", "zak", "eve", "root"), True),
        **dict.fromkeys(("gone", "alone", "guest"), False),
    }
    (whole.watch_dir / "gone").mkdir()
    code, printed = command()()
    assert (code, told(printed)["eve"], told(printed)["amy"]) == (1, "missing", "ok")
    assert not (whole.watch_dir / "eve").exists()

    (whole.watch_dir / "gone").rmdir()
    code, printed = command()(create=True)
    assert (code, told(printed)) == (0, {"amy": "ok", "eve": "made", "zak": "ok"})
    assert stat.S_IMODE((whole.watch_dir / "eve").stat().st_mode) == 0o2770
    assert command()(json=False) == (0, "3 well")

    # And what is dropped there is imported.
    path = whole.drop("a.tif", user="eve")
    whole.until_known(path)


def test_an_account_that_appears_later_takes_up_what_waits(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with LDAP, where the first login makes the account."""
    monkeypatch.setattr(rescanner, "_UNKNOWN_S", 0.2)
    dropped = [whole.drop(f"{number}.tif", user="eve") for number in range(3)]
    whole.until("it is said", lambda: "left.eve" in whole.dropbox.figures())
    assert not whole.journal.select()
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        group = accounts.create_group(store, db, "lab")
        accounts.create_user(store, db, "eve", "eve", [accounts.USER_GROUP, group])
    whole.until_known(*dropped)
    whole.assert_once(*dropped)
    whole.until("it is said no more", lambda: "left.eve" not in whole.dropbox.figures())


def test_a_wrong_configuration_and_an_omero_that_is_away(
    whole: Whole, command: Callable[[], Command]
) -> None:
    run = command()
    run.properties["omero.fs.watchDir"] = "relative"
    with pytest.raises(ConfigurationError, match=r"omero\.fs\.watchDir") as wrong:
        run()
    assert wrong.value.exit_code == 2
    whole.stop_dropbox()
    whole.blitz.stop()
    try:
        with pytest.raises(ServerAwayError) as away:
            command()()
        assert away.value.exit_code == 5
    finally:
        whole.blitz.start()
        whole.start_dropbox()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
@pytest.mark.parametrize("below", ["", "day"], ids=["the user's own", "one below it"])
def test_an_unreadable_directory_is_watched_as_soon_as_it_can_be_read(
    make_whole: Callable[..., Whole], tmp_path: Path, below: str
) -> None:
    amy = tmp_path / "OMERO" / "DropBox" / "amy" / below
    amy.mkdir(parents=True)
    amy.chmod(0o000)
    try:
        whole = make_whole(rescanInterval="0")
        other = whole.drop("other.tif", user="zak")
        whole.until_known(other)
        whole.dropbox.rescanner.ask("a rescan, please")
        key = f"left.{whole.watch_dir / 'amy' / below}"
        # Each rescan tells it anew.
        told = "cannot be listed"
        whole.until("it is told", lambda: told in whole.dropbox.figures().get(key, ""))
    finally:
        amy.chmod(0o300)  # files can be put there before it can be read
    before = whole.drop(str(Path(below, "before.tif")))
    amy.chmod(0o700)
    whole.until_known(before)
    after = whole.drop(str(Path(below, "after.tif")))
    whole.until_known(after)
    whole.until_settled()
    whole.assert_once(before, after)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_one_that_becomes_unreadable_for_a_while_loses_nothing(whole: Whole) -> None:
    first = whole.drop("first.tif")
    whole.until_known(first)
    amy = whole.watch_dir / "amy"
    amy.chmod(0o300)
    meanwhile = whole.drop("meanwhile.tif")
    amy.chmod(0o700)
    whole.until_known(meanwhile)
    whole.until_settled()
    whole.assert_once(first, meanwhile)
    assert [f.state for f in whole.journal.select()] == [State.IMPORTED] * 2
