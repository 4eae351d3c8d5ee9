"""What importers on other machines leave to DropBox, and how DropBox hears of it."""

from __future__ import annotations

from pathlib import Path

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service.hearsay import Hearsay
from omero_fs_plugin.events import FileStat

ROOT = "/dropbox/amy"


def met(name: str, inode: int) -> Found:
    return Found(f"{ROOT}/{name}", FileStat(1, inode, 1, 1, 1))


class Told:
    """DropBox, and another machine, on one journal."""

    def __init__(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/shared.sqlite"
        self.mine, self.theirs = Journal(url, who="DropBox"), Journal(url, who="another")
        self.changed: list[str] = []
        self.failed: list[Fileset] = []
        self.hearsay = Hearsay(
            self.mine, "DropBox", changed=self.changed.extend, failed=self.failed.append
        )

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()

    def taken(self, by: Journal, *names: str) -> Fileset:
        files = [met(name, number + 5) for number, name in enumerate(names)]
        self.mine.wait("amy", ROOT, files)
        self.mine.form(Formed("amy", ROOT, files))
        fileset = by.take("amy")
        assert fileset is not None and len(fileset.files) == len(names)
        return fileset


def test_a_set_that_changed_elsewhere_settles_here_each_file_by_itself(tmp_path: Path) -> None:
    told = Told(tmp_path)
    fileset = told.taken(told.theirs, "a.tif", "b.tif")
    told.hearsay.listen()
    assert told.changed == []  # what we met ourselves is known
    told.theirs.settle_anew(fileset.id, "a.tif has changed")
    told.hearsay.listen()
    assert sorted(told.changed) == [f"{ROOT}/a.tif", f"{ROOT}/b.tif"]
    told.changed.clear()
    told.hearsay.listen()
    assert told.changed == []  # once
    told.close()


def test_one_that_failed_elsewhere_is_for_the_quarantine(tmp_path: Path) -> None:
    told = Told(tmp_path)
    fileset = told.taken(told.theirs, "a.tif")
    told.theirs.refused(fileset.id, State.FAILED, "no")
    told.hearsay.listen()
    assert [one.id for one in told.failed] == [fileset.id] and told.changed == []
    told.close()


def test_what_we_did_ourselves_is_no_news(tmp_path: Path) -> None:
    told = Told(tmp_path)
    fileset = told.taken(told.mine, "a.tif")
    told.mine.settle_anew(fileset.id, "changed")
    told.hearsay.listen()
    assert told.changed == [] and told.failed == []
    told.close()
