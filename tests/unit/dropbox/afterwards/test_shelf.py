"""The shelf when two directories of one user have a file of the same path at the same time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from omero_fs_plugin.dropbox.afterwards import shelf
from omero_fs_plugin.dropbox.afterwards.shelf import Occupied, Shelf
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat


def drop(root: Path, text: str) -> tuple[Found, str]:
    root.mkdir(parents=True)
    path = root / "x.tif"
    path.write_text(text)
    found = Found(str(path), FileStat.of(path.lstat()))
    return found, hashlib.sha1(text.encode()).hexdigest()


def test_neither_takes_the_name_of_the_other(tmp_path: Path) -> None:
    one, other = tmp_path / "w1" / "amy", tmp_path / "w2" / "amy"
    (first, sha1), (second, sha1_of_second) = drop(one, "first"), drop(other, "second")
    directory = tmp_path / "done"
    directory.mkdir()
    bases = [
        Shelf(directory).choose("amy", number, str(root), [met.path])
        for number, root, met in ((1, one, first), (2, other, second))
    ]
    assert bases[0] == bases[1], "both are free as long as neither is there"
    to = shelf.at(bases[0], str(one), first.path)
    move_out = shelf.move_out

    def meanwhile(*arguments: Any) -> bool:
        with pytest.raises(Occupied):
            Shelf(directory).take(str(other), second, sha1_of_second, to, lambda: False)
        return move_out(*arguments)

    with mock.patch.object(shelf, "move_out", meanwhile):
        Shelf(directory).take(str(one), first, sha1, to, lambda: False)
    assert to.read_text() == "first"
    with pytest.raises(Occupied):
        Shelf(directory).take(str(other), second, sha1_of_second, to, lambda: False)
    assert Path(second.path).read_text() == "second"
