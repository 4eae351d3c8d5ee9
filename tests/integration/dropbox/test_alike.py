"""FSServer may run on another machine, where another directory is at the path of a rule."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.watching import alike
from omero_fs_plugin.dropbox.watching import rescanner as rescanning
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.monitor.files import Files
from tests.integration.whole import Whole


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescanning, "_UNKNOWN_S", 0.1)


@pytest.fixture
def fsserver_has(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """FSServer runs where another directory is at the path of all users'."""
    elsewhere: dict[str, Path] = {}

    def there(path: str) -> Path:
        return elsewhere["at"] / Path(path).name

    def has(directory: Path) -> None:
        elsewhere["at"] = directory
        monkeypatch.setattr(Files, "exists", lambda self, path: there(path).exists())
        monkeypatch.setattr(
            Files,
            "names",
            lambda self, path, pattern="": [path.name for path in elsewhere["at"].iterdir()],
        )

    return has


def problem(whole: Whole) -> str:
    return str(whole.dropbox.figures().get("watch.1.problem", ""))


def probes(whole: Whole) -> list[str]:
    return [path.name for path in whole.watch_dir.iterdir() if "probe" in path.name]


@pytest.mark.parametrize("may", ["make", "not make"])
def test_another_directory_is_told_and_rescans_find_the_files(
    make_whole: Callable[..., Whole],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fsserver_has: Callable[[Path], None],
    may: str,
) -> None:
    monkeypatch.setattr(alike, "PROVED_S", 0.0)
    if may == "not make":
        monkeypatch.setattr(alike, "make", lambda root, name: False)
    whole = make_whole()
    other = tmp_path / "another"
    (other / "of others").mkdir(parents=True)
    fsserver_has(other)
    whole.until("it is told", lambda: "FSServer sees another directory" in problem(whole))
    whole.dropbox.rescanner.ask()
    path = whole.drop("a.tif")
    whole.until_known(path)
    fsserver_has(whole.watch_dir)
    whole.until("it is as ever", lambda: not problem(whole))
    whole.stop_dropbox()
    assert probes(whole) == []
    whole.start_dropbox()


def test_while_fsserver_does_not_answer_nothing_is_said(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuses(self: Any, path: str) -> bool:
        asked.append(path)
        raise FsError(os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(Files, "exists", refuses)
        whole = make_whole()
        whole.until("it was asked twice", lambda: len(asked) > 1)
        assert problem(whole) == ""
