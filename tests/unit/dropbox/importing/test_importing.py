"""What is left to do after an import, and what a change of the configuration leaves under way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.importing import importing as importing_module
from omero_fs_plugin.dropbox.importing.importing import Importing
from omero_fs_plugin.dropbox.importing.methods import Methods, make_method
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.groupers import Groupers
from omero_fs_plugin.dropbox.targets.sidecar import FILE
from omero_fs_plugin.events import FileStat
from tests.rules import places_of, settings_of
from tests.steps import before_each
from tests.unit.dropbox.settling.test_assembly import Stage, stage

__all__ = ["stage"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "DropBox" / "amy"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def imported(journal: Journal, directory: Path) -> Fileset:
    """A fileset that was not finished when we were killed."""
    path = directory / "a.tif"
    path.write_bytes(b"a")
    fileset = journal.hand_over("amy", str(directory), Found(str(path), FileStat.of(path.lstat())))
    journal.take("amy")
    journal.imported(fileset.id, 1, [1], ["ab"], finished=False)
    return journal.load([fileset.id])[0]


@pytest.fixture
def importing(journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Importing:
    made = Importing(
        journal,
        None,  # type: ignore[arg-type]
        places=places_of(directory.parent),
        methods=Methods(None),
        address=("localhost", 4064),
        import_duplicates=lambda: False,
        stopping=lambda: False,
    )

    @contextmanager
    def session(name: str, group: str = "") -> Iterator[Any]:
        yield None

    monkeypatch.setattr(made.pool, "session", session)
    return made


def test_a_sidecar_that_has_gone_before_it_was_obeyed_is_told(
    importing: Importing, journal: Journal, imported: Fileset
) -> None:
    importing.finish(imported)
    (now,) = journal.load([imported.id])
    assert now.state is State.IMPORTED
    assert "the sidecar or the rule is gone" in now.reason
    assert journal.unfinished() == []


def test_one_that_is_still_there_is_obeyed(
    importing: Importing,
    journal: Journal,
    imported: Fileset,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (directory / FILE).write_text('tags = ["mitosis"]', encoding="utf-8")
    told: list[Sequence[int]] = []
    monkeypatch.setattr(
        "omero_fs_plugin.dropbox.importing.importing.annotate",
        lambda session, images, said, alone: told.append(images),
    )
    importing.finish(imported)
    assert told == [(1,)]
    assert journal.load([imported.id])[0].reason == ""


def test_sources_that_were_to_be_removed_are_so_after_a_crash(
    importing: Importing, journal: Journal, imported: Fileset, directory: Path
) -> None:
    rules = places_of(directory.parent, transfer="upload_rm").rules
    importing._places.apply(rules)
    for rule in rules:
        _, method = make_method(rule, None)
        assert method is not None
        importing._methods.apply({rule: method})
    importing.finish(imported)
    assert not (directory / "a.tif").exists()
    assert journal.unfinished() == []
    assert journal.load([imported.id])[0].reason == ""


def test_a_rule_that_has_just_gone_still_says_how_its_files_are_read(tmp_path: Path) -> None:
    readers = tmp_path / "readers.txt"
    readers.write_text("loci.formats.in.APNGReader\n", encoding="ascii")
    methods = Methods(None)
    (before,) = settings_of(watchDir="/dropbox", readers=str(readers)).rules
    (after,) = settings_of(watchDir="/elsewhere").rules
    for rule in (before, after):
        _, method = make_method(rule, None)
        assert method is not None
        methods.apply({rule: method})
    assert methods.readers(before) == ("loci.formats.in.APNGReader",)
    assert methods.readers(after) is None


class Late:
    """A grouper whose answer comes when we are stopped."""

    groupers: Groupers

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        self.groupers.ask_to_stop()
        return Grouping(tuple(Candidate((path,)) for path in files))

    def close(self) -> None:
        pass


def test_an_answer_that_comes_after_the_stop_is_written_by_nobody(
    stage: Stage,
) -> None:
    late = Late()
    late.groupers = groupers = Groupers(
        stage.pipeline,
        lambda: late,
        lanes=Lanes(),
        readers=lambda rule: None,
        queued=lambda: None,
        failed=lambda fileset: None,
        complete_timeout=lambda: 60.0,
        number=1,
    )
    stage.drop("a")
    groupers._ask(late, stage.lot())
    assert set(stage.rows(State.WAITING)) == {("a",)}


def test_rules_that_change_while_a_sidecar_is_read_do_not_count_by_half(
    importing: Importing, journal: Journal, directory: Path
) -> None:
    """A disk may take long.  Meanwhile the configuration is reloaded, twice."""
    watched = directory.parent
    root = watched / "lab" / "amy"
    root.mkdir(parents=True)
    (root / "a.tif").write_bytes(b"a")
    met = Found(f"{root}/a.tif", FileStat.of((root / "a.tif").lstat()))
    fileset = journal.hand_over("amy", str(root), met)

    def take(**properties: str) -> None:
        (rule,) = settings_of(watchDir=str(watched), **properties).rules
        _, method = make_method(rule, None)
        assert method is not None
        importing._methods.apply({rule: method})
        importing._places.apply([rule])

    def reload() -> None:
        take(layout="{user}/{group}")
        take(target="Dataset:name:two")

    take(layout="{group}/{user}", target="Dataset:name:one")
    before = importing.plan(fileset)
    assert before.group == "lab" and before.method.template is not None
    with before_each([(importing_module, "read_sidecar")], reload):
        assert importing.plan(fileset) == before
