"""What `omero fs import` is given, made into filesets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.settling.handover import Given, Left, Sorted, sort_out
from omero_fs_plugin.events import FileStat

ROOT = "/data/amy"
T0, T1, T2 = (f"{ROOT}/t{n}.ome.tif" for n in range(3))
NOTES = f"{ROOT}/notes.txt"
SET = Candidate((T0, T1, T2), reader="loci.formats.in.OMETiffReader")


class Scripted:
    """A Grouper that answers with candidates of the files in the question."""

    def __init__(self, *candidates: Candidate, unreadable: dict[str, str] | None = None) -> None:
        self.candidates = candidates
        self.unreadable = unreadable or {}
        self.asked: list[tuple[str, list[str], Collection[str] | None]] = []

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        self.asked.append((root, list(files), readers))
        found = tuple(c for c in self.candidates if set(c.files) & set(files))
        return Grouping(found, {p: why for p, why in self.unreadable.items() if p in files})

    def close(self) -> None:
        pass


def stat_of(path: str) -> FileStat | None:
    """Of every file there is; those with `gone` in their names are none."""
    return None if "gone" in path else FileStat(1, hash(path) % 1000, 10, 5)


def given(path: str, *, user: str = "amy", root: str = ROOT, named: bool = False) -> Given:
    stat = stat_of(path)
    assert stat is not None
    return Given(Found(path, stat), user, root, named=named)


def sort(grouper: Scripted, *files: Given) -> Sorted:
    return sort_out(files, grouper, readers=lambda rule: None, stat=stat_of)


def names(found: Sorted) -> list[tuple[str, ...]]:
    return [tuple(met.path for met in formed.found) for formed in found.formed]


def test_a_set_is_one_fileset_with_its_reader() -> None:
    found = sort(Scripted(SET), *map(given, (T2, T0, T1)))
    assert names(found) == [SET.files]
    assert found.formed[0].reader == SET.reader
    assert (found.formed[0].user, found.formed[0].root) == ("amy", ROOT)
    assert found.left == ()


def test_of_a_set_one_file_is_enough() -> None:
    grouper = Scripted(SET)
    assert names(sort(grouper, given(T1, named=True))) == [SET.files]
    assert sorted(grouper.asked[-1][1]) == [T0, T1, T2], "asked about as a whole"


def test_what_was_not_given_and_belongs_to_nothing_given_is_left_out() -> None:
    other = Candidate((f"{ROOT}/other.tif",))

    class Around(Scripted):
        def group(
            self, root: str, files: Sequence[str], readers: Collection[str] | None = None
        ) -> Grouping:
            return Grouping((other, Candidate((T0,))))

    assert names(sort(Around(), given(T0))) == [(T0,)]


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        pytest.param(Candidate((T0, T1), missing=(T2,)), f"waits for {T2}", id="missing"),
        pytest.param(Candidate((T0,), incomplete="cut short"), "cut short", id="incomplete"),
        pytest.param(Candidate((T0,), broken="its reader fails"), "its reader fails", id="broken"),
        pytest.param(Candidate((T0,), held="wants Java"), "wants Java", id="held"),
        pytest.param(Candidate((T0,), refused="leads out"), "leads out", id="refused"),
        pytest.param(
            Candidate((T0, f"{ROOT}/gone")), f"{ROOT}/gone: not a regular file", id="gone"
        ),
    ],
)
def test_what_is_not_whole_is_left_with_the_reason(candidate: Candidate, why: str) -> None:
    found = sort(Scripted(candidate), given(T0))
    assert found.formed == ()
    assert found.left == (Left(candidate.files, why),)


@pytest.mark.parametrize(
    ("path", "named", "passed_over"),
    [
        pytest.param(NOTES, False, True, id="notes in a directory"),
        pytest.param(NOTES, True, False, id="notes by their name"),
        pytest.param(T0, False, False, id="what is called an image"),
    ],
)
def test_what_no_reader_takes(path: str, named: bool, passed_over: bool) -> None:
    found = sort(Scripted(unreadable={path: "no reader"}), given(path, named=named))
    assert found.left == (Left((path,), "no reader", passed_over),)


def test_given_twice_it_is_one_and_counts_as_named() -> None:
    grouper = Scripted(unreadable={NOTES: "no reader"})
    found = sort(grouper, given(NOTES, named=True), given(NOTES))
    assert found.left == (Left((NOTES,), "no reader"),)


def test_users_and_directories_are_asked_about_apart() -> None:
    zaks = "/data/zak/t0.ome.tif"
    grouper = Scripted(Candidate((T0,)), Candidate((zaks,)))
    found = sort(grouper, given(T0), given(zaks, user="zak", root="/data/zak"))
    assert [(formed.user, formed.root) for formed in found.formed] == [
        ("amy", ROOT),
        ("zak", "/data/zak"),
    ]
    assert [root for root, _, _ in grouper.asked] == [ROOT, "/data/zak"]


def test_the_readers_of_its_rule_are_handed_on() -> None:
    grouper = Scripted(Candidate((T0,)))
    asked: list[Rule | None] = []

    def readers(rule: Rule | None) -> Sequence[str]:
        asked.append(rule)
        return ("TiffReader",)

    sort_out([given(T0)], grouper, readers=readers, stat=stat_of)
    assert asked == [None]
    assert grouper.asked[0][2] == ("TiffReader",)
