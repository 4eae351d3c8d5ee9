"""The Java importer: its arguments, what it may know, and every way to fail."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omero.model import DatasetI, ScreenI

from omero_fs_plugin.dropbox.importing.importers import (
    DiskAway,
    Excluded,
    FileChanged,
    StillRunning,
    Stopped,
    java_child,
    java_process,
)
from omero_fs_plugin.dropbox.importing.importers.arguments import parse
from omero_fs_plugin.dropbox.importing.importers.protocol import Imported, Task, Wishes
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.sandbox.pace import SAVE

from .importing import Importing, Notes, run


def recorded(world: Importing) -> list[dict[str, Any]]:
    """What each `java` was told, in turn."""
    return list(json.loads(world.record.read_text())) if world.record.exists() else []


def until(look: Callable[[], object]) -> None:
    """Returns when `look` gives something and raises no OSError; fails after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if look():
                return
        time.sleep(0.05)
    pytest.fail("it has not come in a minute")


def task(world: Importing, name: str = "a.tif", wishes: Wishes | None = None) -> Task:
    return Notes(world).task(world.fileset(world.drop(name, hash(name) % 1000)), wishes)


def test_those_wanted_alike_go_together_and_no_key_is_seen(
    world: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests' imports have their files in /tmp.
    ours = tmp_path / "temporary"
    ours.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(ours))
    dataset, screen = DatasetI(7, False), ScreenI(8, False)
    tasks = [
        task(world, "a.tif", Wishes(target=dataset)),
        task(world, "b.tif", Wishes(target=DatasetI(7, False))),
        task(world, "c.tif", Wishes(name="n", description="-x", target=screen)),
        task(world, "e.tif", Wishes(target=dataset)),
    ]
    world.java_does("nothing")
    arguments = parse('-report --annotation-ns "a; b" --debug').for_java
    importer = world.importer(
        "java", Transfer.CP_RM, most=2, thumbnails=False, stats=False, target="Dataset:name:x",
        arguments=arguments,
    )  # fmt: skip
    run(importer, *tasks)
    records = recorded(world)
    assert [[Path(path).name for path in record["files"]] for record in records] == [
        ["a.tif", "b.tif"], ["c.tif"], ["e.tif"],
    ]  # fmt: skip
    for record in records:
        assert world.key not in record["cmdline"]
        assert record["stdin"] == ""
        told = [word.partition("=")[0] for word in java_child.private_options("")]
        assert [w.partition("=")[0] for w in record["words"] if w.startswith("-XX:")] == told
        options = record["options"]
        assert (options["s"], options["p"]) == ("omero.example.org", "4064")
        assert options["k"] == world.key
        assert (options["output"], options["transfer"]) == ("yaml", "cp")
        assert {"c", "no-upgrade-check", "no-thumbnails", "no-stats-info", "report"} <= set(options)
        assert (options["annotation-ns"], options["debug"]) == ("a; b", "DEBUG")
    told = [{key: r["options"].get(key) for key in ("d", "r", "target")} for r in records]
    assert told == [
        {"d": "7", "r": None, "target": None},
        {"d": None, "r": "8", "target": None},
        {"d": "7", "r": None, "target": None},
    ]
    assert (records[1]["options"]["name"], records[1]["options"]["description"]) == ("n", "-x")
    assert not list(ours.iterdir()), "nothing is left of a run"


FAILURES = [
    pytest.param({"mode": "exit", "code": 2}, (), "ended with exit code 2: ERROR", id="exit"),
    pytest.param({"mode": "killed"}, (), "was killed by SIGKILL", id="killed"),
    pytest.param({"mode": "ghost"}, (), "Image:4712, which OMERO does not have", id="ghost"),
    pytest.param({}, ("--frob", "3"), "error: unrecognized arguments: --frob", id="argument"),
]


@pytest.mark.parametrize(("told", "arguments", "reason"), FAILURES)
def test_how_it_may_fail(
    world: Importing, told: dict[str, Any], arguments: tuple[str, ...], reason: str
) -> None:
    one = task(world)
    world.java_does(**told)
    (outcome,) = run(world.importer("java", arguments=arguments), one)
    assert isinstance(outcome, ImportRefused) and not outcome.final
    assert reason in str(outcome)
    assert "\n" not in str(outcome) and world.key not in str(outcome)
    assert world.ask("select f.id from Fileset f") == []


def test_no_room_for_its_temporary_files(
    world: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it starts, and while it runs: the file waits, and is not to blame."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))
    (outcome,) = run(world.importer("java"), task(world, "a.tif"))
    assert isinstance(outcome, DiskAway) and "No such file or directory" in str(outcome)
    # As at the start of a server, when no directory has room.
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "nothing")])
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nothing"))
    (outcome,) = run(world.importer("java"), task(world, "none.tif"))
    assert isinstance(outcome, DiskAway) and "No such file or directory" in str(outcome)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(java_process, "_ROOM", 1 << 60)  # more than any disk has
    one = task(world, "b.tif")
    world.java_does("exit", code=2)
    (outcome,) = run(world.importer("java"), one)
    assert isinstance(outcome, DiskAway)
    (outcome,) = run(world.importer("java"), task(world, "c.tif"))
    assert isinstance(outcome, Imported), "OMERO has it, whatever is full"


def test_nothing_came_of_it_or_nothing_was_to(world: Importing) -> None:
    one = task(world)
    world.java_does("nothing")
    (outcome,) = run(world.importer("java", target="Dataset:name:x"), one)
    assert "ended well, and OMERO has no images" in str(outcome)
    (outcome,) = run(world.importer("java", arguments=("--exclude=filename",)), one)
    assert isinstance(outcome, Excluded)
    assert [r["options"].get("target") for r in recorded(world)] == ["Dataset:name:x", None]


def test_omero_is_believed_rather_than_what_is_printed(world: Importing) -> None:
    one = task(world)
    world.java_does("garbage")
    (outcome,) = run(world.importer("java"), one)
    assert isinstance(outcome, Imported)
    assert world.in_omero(Path(one.fileset.path)) == [outcome.images]


def test_what_is_not_the_fileset_is_deleted_again(world: Importing) -> None:
    more, less, rewritten, good = (world.drop(f"{n}.tif", n) for n in range(4))
    beside = world.drop("beside.tif", 5)
    secret = world.root.parent / "secret.tif"
    secret.write_bytes(b"another's")
    tasks = [
        Notes(world).task(world.fileset(*paths))
        for paths in ([more], [less, beside], [rewritten], [good])
    ]
    takes = {str(more): [str(more), str(secret)], str(less): [str(less)]}
    world.java_does(takes=takes, rewrites=[str(rewritten)])
    outcomes = run(world.importer("java"), *tasks)
    assert [type(o) for o in outcomes] == [ImportRefused, ImportRefused, FileChanged, Imported]
    assert "secret.tif" in str(outcomes[0]) and "beside.tif" in str(outcomes[1])
    assert all(o.final for o in outcomes[:2] if isinstance(o, ImportRefused))
    assert isinstance(outcomes[3], Imported)
    assert world.ask("select i.id from Fileset f join f.images i") == [[outcomes[3].images[0]]]


@pytest.mark.parametrize("how", ["more files", "rewritten"])
def test_what_another_dropbox_may_have_noted_is_deleted_by_nobody(
    world: Importing, how: str
) -> None:
    """It has taken over, met the file as it is now, and found its images in OMERO."""
    path, beside = world.drop("a.tif", 1), world.drop("beside.tif", 2)
    one = replace(Notes(world).task(world.fileset(path)), ours=lambda: False)
    if how == "rewritten":
        world.java_does(rewrites=[str(path)])
    else:
        world.java_does(takes={str(path): [str(path), str(beside)]})
    (outcome,) = run(world.importer("java"), one)
    assert isinstance(outcome, StillRunning) and "another DropBox" in str(outcome)
    ((image,),) = world.in_omero(path)
    assert world.ask("select i.id from Image i") == [[image]]


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # before it is opened, and after that
        return True
    return state == "Z"


def _until_gone(*pids: int) -> None:
    until(lambda: all(map(_gone, pids)))


@pytest.mark.parametrize("why", ["stopped", "too long"])
def test_one_that_hangs_is_ended_with_all_that_it_started(world: Importing, why: str) -> None:
    one = task(world)
    world.java_does("hang")
    importer = world.importer("java", time_limit=60 if why == "stopped" else 2)
    ((_, outcome),) = importer.run(
        [one], stopping=lambda: why == "stopped" and world.record.exists()
    )
    for record in recorded(world):
        _until_gone(record["pid"], record["child"])
    if why == "stopped":
        assert isinstance(outcome, Stopped)
    else:
        assert "took longer than 2 s" in str(outcome)
    assert importer.progress().done == importer.progress().total


class Late:
    """A clock that leaps forward once something is reached."""

    sleep = staticmethod(time.sleep)

    def __init__(self, reached: threading.Event) -> None:
        self._reached = reached

    def monotonic(self) -> float:
        return time.monotonic() + (4000 if self._reached.is_set() else 0)


def test_one_that_takes_too_long_is_ended_and_what_omero_imports_is_not_touched(
    world: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = task(world)
    gate = world.sandbox.pace.hold(SAVE)
    real = java_process.time
    monkeypatch.setattr(java_process, "time", Late(gate.reached))
    (outcome,) = run(world.importer("java", time_limit=3600), one)
    monkeypatch.setattr(java_process, "time", real)
    assert isinstance(outcome, StillRunning) and "took longer than 3600 s" in str(outcome)
    assert world.in_omero(Path(one.fileset.path)) == [()]
    gate.release()
    until(lambda: world.in_omero(Path(one.fileset.path)) != [()])


@pytest.mark.parametrize("ahead", [True, False], ids=["by the starter", "by itself"])
def test_it_ends_when_dropbox_is_killed(world: Importing, tmp_path: Path, ahead: bool) -> None:
    world.java_does("hang")
    arguments = ["--clientdir", str(tmp_path / "lib" / "client"), "--file", str(tmp_path / "out")]
    told = {"host": "h", "port": 1, "key": "k"}
    told |= {"arguments": [*arguments, "--errs", str(tmp_path / "err"), "/a.tif"]}
    code = (
        "import json, os, sys, tempfile\n"
        "from omero_fs_plugin.dropbox.processes.order import Order\n"
        "from omero_fs_plugin.dropbox.processes.starter import ready, start\n"
        f"{'ready()' if ahead else ''}\n"
        "with tempfile.TemporaryFile('w+') as told:\n"
        "    json.dump({**json.load(sys.stdin), 'private': '/nowhere'}, told)\n"
        "    told.flush()\n"
        "    told.seek(0)\n"
        f"    words = [sys.executable, '-m', {java_child.__name__!r}]\n"
        "    start(Order(words, os.environ, '/', stdin=told.fileno(), stderr=2)).wait(1000)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as dropbox:
        try:
            assert dropbox.stdin is not None
            with dropbox.stdin:
                json.dump(told, dropbox.stdin)
            until(world.record.exists)
        finally:
            dropbox.kill()
    (record,) = recorded(world)
    _until_gone(record["pid"])
    if ahead:
        _until_gone(record["child"])
    else:
        os.kill(record["child"], signal.SIGKILL)


_WAITS = """
import sys
from omero_fs_plugin.dropbox.importing.importers import java_child
if sys.argv[1] == "as Java does by itself":
    java_child.private_options = lambda directory: []
with open("out", "wb") as out, open("err", "wb") as err:
    java_child._become([*sys.argv[2:]], [], out, err, private="private")
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")
@pytest.mark.parametrize("told", ["to write nothing", "as Java does by itself"])
def test_a_real_java_leaves_the_key_in_no_file(told: str, tmp_path: Path) -> None:
    """It waits for a debugger that never comes, and then crashes."""
    (tmp_path / "private").mkdir()
    key = f"key-{os.urandom(8).hex()}"
    wait = "-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=127.0.0.1:0"
    command = [sys.executable, "-c", _WAITS, told, wait, "-cp", ".", "an.Importer", key]
    environment = {k: v for k, v in os.environ.items() if "JAVA" not in k}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        until(lambda: "Listening" in (tmp_path / "out").read_text())
        assert Path(f"/proc/{process.pid}/comm").read_text() == "java\n"
        assert key not in Path(f"/proc/{process.pid}/cmdline").read_text()
        statistics = list(Path("/tmp").glob(f"hsperfdata_*/{process.pid}"))
        process.send_signal(signal.SIGSEGV)
        process.wait(60)
    reports = [path for path in tmp_path.iterdir() if path.name.startswith(("hs_err", "core"))]
    assert bool(statistics) == bool(reports) == (told != "to write nothing")
    if reports:
        assert key in reports[0].read_text(errors="replace"), "so there is something to keep out"
