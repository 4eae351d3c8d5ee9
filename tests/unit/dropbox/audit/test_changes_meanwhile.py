"""OMERO works on while an audit runs: what somebody deletes meanwhile is no damage."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from omero_fs_plugin.blitz.inventory import Kept
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.audit.directories import look_for_directories
from omero_fs_plugin.dropbox.audit.filesets import look_at_filesets
from omero_fs_plugin.dropbox.audit.findings import Kind
from omero_fs_plugin.dropbox.audit.means import Means, Pace
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat

LATER_S = 30 * 86400.0
DIRECTORY = "amy_2/2026-11/29/10-00-00.000"


@pytest.fixture
def record() -> Iterator[Record]:
    made = Record.fresh("/opt/omero", 1.0)
    yield made
    made.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "ManagedRepository"
    (made / DIRECTORY).mkdir(parents=True)
    (made / DIRECTORY / "a.tif").write_bytes(b"x")
    return made


def means(data: Path, record: Record, asked: Callable[[str], Any]) -> Means:
    settings = read({"omero.data.dir": str(data), "omero.fs.bioformatsJars": "none"})
    omero = SimpleNamespace(asked=lambda what, question: asked(what))
    return Means(
        *(cast("Any", omero), settings, record, Pace(1.0, sleep=lambda seconds: None)),
        passed_over=lambda path: "",
        now=lambda: time.time() + LATER_S,
    )


@pytest.mark.parametrize("deleted", [False, True])
def test_a_directory_that_goes_after_it_was_listed(
    repository: Path, record: Record, deleted: bool
) -> None:
    """OMERO has deleted its rows when it is asked, and its files since they were listed."""

    def asked(what: str) -> Any:
        if what == "asking for the repository":
            return "uuid"
        if deleted:
            shutil.rmtree(repository / "amy_2")
        return set()

    look_for_directories(means(repository.parent, record, asked), str(repository))
    kinds = [one.kind for one in record.findings()]
    assert kinds == ([] if deleted else [Kind.UNREGISTERED])
    assert not record.unseen


@pytest.mark.parametrize("deleted", [False, True])
def test_a_fileset_that_goes_after_its_images_were_counted(
    repository: Path, record: Record, deleted: bool
) -> None:
    (repository / DIRECTORY / "a.tif").unlink()
    journal = Journal(f"sqlite:///{repository.parent / 'omero-fs-journal.sqlite'}")
    path = f"{repository.parent}/DropBox/amy/a.tif"
    journal.wait("amy", f"{repository.parent}/DropBox/amy", [Found(path, FileStat(1, 2, 3, 4))])
    fileset = journal.open_at([path])[path].id
    journal.settled({fileset: FileStat(1, 2, 3, 4)})
    assert journal.take("amy") is not None
    journal.imported(fileset, 5, [7], ["00"])
    journal.close()
    counts = [{5: 1}, {} if deleted else {5: 1}]

    def asked(what: str) -> Any:
        if what == "asking for files of filesets":
            return [Kept(1, 5, 9, path[1:], f"{DIRECTORY}/a.tif", 3, "00", "SHA1-160")]
        return counts.pop(0)

    look_at_filesets(means(repository.parent, record, asked), str(repository))
    (one,) = record.findings()
    assert one.kind is (Kind.IMAGES_GONE if deleted else Kind.MISSING_COPY)
    assert one.server_fileset == 5
    assert counts == []
