"""What FSServer tells of on another machine may be seen here only later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import Ice
import pytest

import omero
from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.watching import unseen
from omero_fs_plugin.dropbox.watching.unseen import Unseen


class AtOnce:
    """Lanes that run what they are given."""

    def __init__(self) -> None:
        self.calls = Calls()

    def do(self, root: str, job: Any, **_: Any) -> None:
        job()


class Share:
    """A directory here, and what FSServer says of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.heard: list[str] = []
        self.too_many: list[str] = []
        self.has = True  # FSServer
        self.error: Exception | None = None
        self.asked = 0
        lanes: Any = AtOnce()
        self.unseen = Unseen(
            lanes,
            root_of=lambda path: str(root) if path.startswith(str(root)) else "",
            heard=self.heard.extend,
            too_many=self.too_many.append,
            file_server=lambda: self,
            there=lambda path: path.replace(str(root), "/export"),
            name="FSServer-files1",
            clock=lambda: self.now,
        )
        self.unseen._thread.is_alive = lambda: True  # type: ignore[method-assign]

    def fileExists(self, path: str) -> bool:
        assert path.startswith("/export/")
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.has

    def later(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            self.unseen.look()


@pytest.fixture
def share(tmp_path: Path) -> Share:
    return Share(tmp_path)


def test_what_is_here_is_not_told_again(share: Share) -> None:
    path = share.root / "a.tif"
    path.touch()
    share.unseen.tell([str(path)])
    share.later(3)
    assert share.heard == [] and share.asked == 0


def test_what_comes_later_is_told_when_it_is_here(share: Share) -> None:
    path = share.root / "a.tif"
    share.unseen.tell([str(path)])
    share.later(60)
    assert share.heard == [] and share.unseen.told() == {}
    path.touch()
    share.later(1)
    assert share.heard == [str(path)]
    share.later(60)
    assert share.heard == [str(path)]


def test_what_never_comes_is_named_with_the_server_until_it_comes(share: Share) -> None:
    path = share.root / "a.tif"
    share.unseen.tell([str(path)])
    share.later(90)
    (why,) = share.unseen.told().values()
    assert why.startswith("FSServer-files1 has it, and DropBox's machine does not")
    path.touch()
    share.later(1)
    assert share.heard == [str(path)] and share.unseen.told() == {}


@pytest.mark.parametrize(
    "gone", [False, omero.OmeroFSError("", "", "outside", "")], ids=["removed", "not watched"]
)
def test_what_fsserver_does_not_have_either_is_forgotten(share: Share, gone: Any) -> None:
    share.unseen.tell([str(share.root / "a.part")])
    share.has, share.error = False, gone or None
    share.later(200)
    assert share.unseen.told() == {} and share.asked == 1


def test_while_fsserver_is_away_nothing_is_forgotten_and_it_is_asked_seldom(share: Share) -> None:
    share.error = Ice.ConnectTimeoutException()
    paths = [share.root / f"{number}.tif" for number in range(100)]
    share.unseen.tell(map(str, paths))
    share.later(60)
    assert 0 < share.asked <= 60
    for path in paths:
        path.touch()
    share.later(1)
    assert sorted(share.heard) == sorted(map(str, paths))


def test_what_no_rule_has_any_more_is_forgotten(share: Share) -> None:
    share.unseen.tell(["/elsewhere/a.tif"])
    share.later(100)
    assert share.unseen.told() == {} and share.asked == 0


def test_very_many_are_left_to_a_rescan(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unseen, "_MOST", 10)
    share.unseen.tell([str(share.root / f"{number}.tif") for number in range(11)])
    assert len(share.too_many) == 1
    share.later(100)
    assert share.unseen.told() == {}
