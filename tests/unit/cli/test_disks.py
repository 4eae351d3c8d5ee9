"""Commands, and a disk that does not answer: it costs one wait, and all else is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omero.cli import NonZeroReturnCode

from omero_fs_plugin.cli import disks as disks_
from omero_fs_plugin.cli.below import all_below, is_directory, is_there
from omero_fs_plugin.cli.disks import NO_ANSWER, Disks, Silent
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.receipts import proof
from omero_fs_plugin.dropbox.userdirs.directories import State, compare
from omero_fs_plugin.filesystems import Mount
from tests.clocks import Ahead

LIMIT = 0.4  # s
PATIENCE = 20.0  # s


class Share:
    """What lies below `top` hangs, for whoever looks at it by these calls.  Time passes then."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = str(top)
        self.answers = threading.Event()
        self.asked = 0
        self.clock = Ahead()
        monkeypatch.setattr(CALLS, "clock", self.clock)
        for name in ("lstat", "scandir", "open", "access"):
            monkeypatch.setattr(os, name, self._hanging(getattr(os, name)))

    def _hanging(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def hanging(path: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(path, (str, os.PathLike)) and str(path).startswith(self.top):
                self.asked += 1
                self.clock.ahead += 2 * LIMIT
                self.answers.wait(PATIENCE)
            return call(path, *rest, **options)

        return hanging


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Share]:
    for name in ("amy/a.tif", "amy/deep/b.tif", "zak/c.tif", "zak/deep/d.tif", "zak/e.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(disks_, "LIMIT_S", LIMIT)
    monkeypatch.setattr(disks_, "_LOOK_S", 0.05)
    # Else the names of the supported calls are asked for, and ours is none of them.
    monkeypatch.setattr(os, "supports_effective_ids", frozenset())
    one = Share(tmp_path / "zak", monkeypatch)
    yield one
    one.answers.set()


@pytest.fixture
def disks(share: Share, monkeypatch: pytest.MonkeyPatch) -> Disks:
    made = Disks()
    point = os.fsencode(share.top)
    mount = Mount(7, point, "nfs4", "0:7", "nas:/zak")

    def holding(path: bytes) -> Mount | None:
        return mount if path == point or path.startswith(point + b"/") else None

    monkeypatch.setattr(made._mounts, "holding", holding)
    return made


def test_the_rest_of_a_tree_is_told(tmp_path: Path, share: Share, disks: Disks) -> None:
    unlisted: dict[str, str] = {}
    found = list(all_below(str(tmp_path), unlisted, disks))
    assert share.asked == 1
    assert found == [
        *(str(tmp_path / name) for name in ("amy/a.tif", "amy/deep/b.tif")),
        str(tmp_path / "zak"),
    ]
    why = "a directory that cannot be listed: the disk does not answer"
    assert unlisted == {str(tmp_path / "zak"): why}


def test_it_costs_one_wait_and_is_named_once(tmp_path: Path, share: Share, disks: Disks) -> None:
    for name in ("zak/c.tif", "zak/deep/d.tif", "zak"):
        for look in (is_there, is_directory):
            with pytest.raises(Silent):
                look(str(tmp_path / name), disks)
    assert share.asked == 1
    assert is_there(str(tmp_path / "amy"), disks)

    class Context:
        def die(self, code: int, text: str) -> None:
            raise NonZeroReturnCode(code, text)

    with pytest.raises(NonZeroReturnCode) as end:
        disks.end(Context())
    assert end.value.rv == NO_ANSWER
    assert str(end.value).startswith(f"{tmp_path / 'zak'}: the disk does not answer: what lies")
    Disks().end(Context())


def test_who_shows_life_is_waited_for(tmp_path: Path, share: Share, disks: Disks) -> None:
    def listing(call: Any) -> int:
        for _ in range(20):
            call.pulse()
            share.clock.ahead += 0.6 * LIMIT
            time.sleep(0.02)  # it is looked at meanwhile
        return 20

    def thinking(call: Any) -> int:
        call.rest()
        share.clock.ahead += 3 * LIMIT
        time.sleep(0.2)
        return 1

    assert disks.ask(str(tmp_path / "amy"), listing) == 20
    assert disks.ask(str(tmp_path / "amy"), thinking) == 1


def test_an_error_is_that_of_the_question(tmp_path: Path, disks: Disks) -> None:
    with pytest.raises(FileNotFoundError):
        disks.ask(str(tmp_path), lambda call: os.lstat(tmp_path / "none"))
    assert not disks.silent


def test_a_link_from_the_systems_disk_is_left_out_alone(tmp_path: Path, share: Share) -> None:
    disks = Disks()
    with pytest.raises(Silent):
        is_there(str(tmp_path / "zak"), disks)
    if list(disks.silent) == [str(tmp_path / "zak")]:  # tmp_path is no mount of its own here
        assert is_there(str(tmp_path / "amy"), disks)


def test_users_directories(tmp_path: Path, disks: Disks) -> None:
    settings = read({"omero.data.dir": str(tmp_path)})
    rules = [replace(rule, watch_dir=tmp_path) for rule in settings.rules]
    found = compare(rules, {"amy": True, "zak": True, "yan": True}, disks.ask)
    states = {one.user: (one.state, one.what) for one in found}
    assert states["zak"] == (
        State.UNREADABLE,
        "cannot be looked at: the disk does not answer",
    )
    assert states["amy"][0] is State.WELL or "everybody" in states["amy"][1]
    assert states["yan"][0] is State.MISSING


def test_a_proof(tmp_path: Path, disks: Disks) -> None:
    prover = proof.Prover(None, disks.ask)  # type: ignore[arg-type]
    path = str(tmp_path / "zak" / "c.tif")
    found = prover._asked(path, 7, lambda pulses: proof._unproved(path, 7, "why", pulses))
    assert (found.safe, found.why_not) == (False, "it cannot be read: the disk does not answer")
