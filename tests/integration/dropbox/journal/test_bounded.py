"""No transaction grows with the number of files of a set; on both databases.

Others wait for the end of a transaction: DropBox, importers on other machines and commands.  A
table has every act on a set.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import event

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.journal.writer import JournalWriter
from omero_fs_plugin.events import FileStat
from tests.parts import in_parts_of

from .test_journal import journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures

ROOT = "/dropbox/amy"
STORE = f"{ROOT}/a.zarr/"
VAULT = "/bad/amy/1"
PART = 20  # so that a set of a few hundred files is large
FILES = 15 * PART + 7  # so many that one statement for each is above every bound here
MOST = 5 * PART  # rows that one transaction writes; what a trigger writes does not count
ASKED = 60  # statements that one transaction begins with, whatever the size of the set


def found(number: int, where: str = f"{ROOT}/plate/", ctime: int = 1) -> list[Found]:
    return [Found(f"{where}{n:05}.tif", FileStat(1, 1_000 + n, 5, n, ctime)) for n in range(number)]


def formed(files: list[Found], **values: Any) -> Formed:
    return Formed("amy", ROOT, files, **values)


@dataclass
class Transaction:
    rows: int = 0  # written
    values: int = 0  # sets of values that statements got


@dataclass
class Written:
    transactions: list[Transaction] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return max(one.rows for one in self.transactions)

    @property
    def values(self) -> int:
        return max(one.values for one in self.transactions)


@contextmanager
def written(journal: Journal) -> Iterator[Written]:
    """Of each transaction for writing."""
    seen, engine = Written(), journal._database._engine
    inside = [False]

    def executed(
        _connection: Any, cursor: Any, statement: str, given: Any, context: Any, many: bool
    ) -> None:
        if statement.startswith("BEGIN IMMEDIATE") or "pg_advisory_xact_lock" in statement:
            seen.transactions.append(Transaction())
            inside[0] = True
        elif inside[0]:
            last = seen.transactions[-1]
            one_each = many and isinstance(given, list)
            last.values += len(given) if one_each else 1
            if not statement.lstrip().startswith(("SELECT", "WITH")):
                last.rows += max(cursor.rowcount, 0)

    def ended(*_: Any) -> None:
        inside[0] = False

    event.listen(engine, "after_cursor_execute", executed)
    event.listen(engine, "commit", ended)
    event.listen(engine, "rollback", ended)
    try:
        yield seen
    finally:
        event.remove(engine, "after_cursor_execute", executed)
        event.remove(engine, "commit", ended)
        event.remove(engine, "rollback", ended)


def wait(journal: Journal, files: list[Found]) -> None:
    for begin in range(0, len(files), PART):
        journal.wait("amy", ROOT, files[begin : begin + PART])


def queued(journal: Journal, files: list[Found]) -> int:
    wait(journal, files)
    identifier, left = journal.form(formed(files))
    assert identifier is not None
    assert left == []
    return identifier


def taken(journal: Journal, files: list[Found]) -> Fileset:
    queued(journal, files)
    fileset = journal.take("amy")
    assert fileset is not None
    assert len(fileset.files) == len(files)
    return fileset


def failed(journal: Journal, files: list[Found]) -> Fileset:
    fileset = taken(journal, files)
    journal.refused(fileset.id, State.FAILED, "refused")
    again = journal.get(fileset.id)
    assert again is not None
    return again


def sha1s(number: int) -> list[str]:
    return [f"{n:040x}" for n in range(number)]


def moved(files: list[Found], root: str) -> list[Found]:
    return [replace(met, path=met.path.replace(ROOT, root)) for met in files]


def in_omero(files: list[Found], number: int = 1) -> ServerFileset:
    return ServerFileset(
        number,
        (number,),
        tuple(met.path.lstrip("/") for met in files),
        tuple(sha1s(len(files))),
        tuple(met.stat.size for met in files),
    )


Act = Callable[[], Any]


def _formed(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    return lambda: journal.form(formed(files))


def _formed_of_what_nobody_met(journal: Journal, files: list[Found]) -> Act:
    return lambda: journal.form(formed(files))


def _formed_within(journal: Journal, files: list[Found]) -> Act:
    queued(journal, files)
    wait(journal, files[1:])
    return lambda: journal.form(formed(files[1:]))


def _formed_around(journal: Journal, files: list[Found]) -> Act:
    queued(journal, files[1:])
    wait(journal, files[:1])
    return lambda: journal.form(formed(files))


def _formed_of_a_failed_one_in_another_order(journal: Journal, files: list[Found]) -> Act:
    failed(journal, files)
    return lambda: journal.form(formed([files[0], *reversed(files[1:])]))


def _few_formed_of_a_failed_one(journal: Journal, files: list[Found]) -> Act:
    failed(journal, files)
    return lambda: journal.form(formed(files[:2]))


def _noted_as_verified(journal: Journal, files: list[Found]) -> Act:
    fileset = taken(journal, files)
    return lambda: journal.note_verified(fileset, sha1s(len(files)), known=())


def _imported(journal: Journal, files: list[Found]) -> Act:
    fileset = taken(journal, files)
    return lambda: journal.imported(fileset.id, 1, [1], sha1s(len(files)))


def _imported_as_a_revision(journal: Journal, files: list[Found]) -> Act:
    fileset = taken(journal, files)
    journal.imported(fileset.id, 1, [1], sha1s(len(files)))
    changed = [replace(met, stat=replace(met.stat, size=6)) for met in files]
    again = taken(journal, changed)
    return lambda: journal.imported(again.id, 2, [2], sha1s(len(files))[::-1])


def _met_again(journal: Journal, files: list[Found]) -> Act:
    first = taken(journal, files)
    journal.imported(first.id, 1, [1], sha1s(len(files)))
    moved = found(len(files), f"{ROOT}/moved/", ctime=2)
    again = taken(
        journal,
        [replace(m, stat=replace(m.stat, inode=9_000_000 + n)) for n, m in enumerate(moved)],
    )
    return lambda: journal.met(again.id, first.id, again.files)


def _put_elsewhere(journal: Journal, files: list[Found]) -> Act:
    fileset = failed(journal, files)
    return lambda: journal.put_elsewhere(fileset.id, VAULT, moved(files, VAULT))


def _brought_home(journal: Journal, files: list[Found]) -> Act:
    fileset = failed(journal, files)
    assert journal.put_elsewhere(fileset.id, VAULT, moved(files, VAULT))
    return lambda: journal.bring_home(fileset, ROOT, files, "away")


def _found_in_omero(journal: Journal, files: list[Found]) -> Act:
    return lambda: journal.found_in_omero("amy", ROOT, [in_omero(files)])


def _many_found_in_omero(journal: Journal, files: list[Found]) -> Act:
    found = [in_omero([met], number) for number, met in enumerate(files, 1)]
    return lambda: journal.found_in_omero("amy", ROOT, found)


def _imported_as_what_was_found(journal: Journal, files: list[Found]) -> Act:
    journal.found_in_omero("amy", ROOT, [in_omero(files)])
    fileset = taken(journal, files)
    return lambda: journal.imported(fileset.id, 1, [1], sha1s(len(files)))


def _met_for_the_first_time(journal: Journal, files: list[Found]) -> Act:
    return lambda: journal.wait("amy", ROOT, files)


def _renamed(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    opened = journal.open_at([met.path for met in files])
    now = {met.path: to for met, to in zip(files, moved(files, f"{ROOT}/b"), strict=True)}
    return lambda: journal.follow({one.id: (ROOT, now[one.path]) for one in opened.values()})


def _forgotten_as_gone(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    ids = [one.id for one in journal.open_at([met.path for met in files]).values()]
    journal.end_waiting(dict.fromkeys(ids, GONE), State.SKIPPED)
    return lambda: journal.forget_gone(ids)


def _a_set_forgotten_as_gone(journal: Journal, files: list[Found]) -> Act:
    identifier = queued(journal, files)
    journal.move(identifier, State.QUEUED, State.SKIPPED, GONE)
    return lambda: journal.forget_gone([identifier])


def _waited(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    ids = [one.id for one in journal.open_at([met.path for met in files]).values()]
    return lambda: journal.waited(ids, 1.0)


def _rested(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    opened = journal.open_at([met.path for met in files])
    return lambda: journal.rested({opened[m.path].id: replace(m.stat, size=6) for m in files})


def _gathered_and_queued(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)

    def act() -> None:
        gathered = journal.gather(formed(files))
        assert gathered is not None
        journal.queue(gathered)

    return act


def _gathered_and_released(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)

    def act() -> None:
        gathered = journal.gather(formed(files))
        assert gathered is not None
        journal.release(gathered)

    return act


def _skipped_as_a_copy(journal: Journal, files: list[Found]) -> Act:
    fileset = taken(journal, files)
    return lambda: journal.duplicate(fileset.id, None, "a copy")


def _refused(journal: Journal, files: list[Found]) -> Act:
    fileset = taken(journal, files)
    return lambda: journal.refused(fileset.id, State.FAILED, "no")


def _taken(journal: Journal, files: list[Found]) -> Act:
    queued(journal, files)
    return lambda: journal.take("amy")


def _settled_anew(journal: Journal, files: list[Found]) -> Act:
    fileset = taken(journal, files)
    return lambda: journal.settle_anew(fileset.id, "a file has changed")


def _dissolved(journal: Journal, files: list[Found]) -> Act:
    identifier = queued(journal, files)
    journal.move(identifier, State.QUEUED, State.WAITING, "")
    return lambda: journal.dissolve(identifier)


def _given_up(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    opened = journal.open_at([met.path for met in files])
    ids = [opened[met.path].id for met in files]
    return lambda: journal.give_up(ids, "it waits for x", ["x"])


def _tried_again(journal: Journal, files: list[Found]) -> Act:
    fileset = failed(journal, files)
    return lambda: journal.retry(fileset.id)


def _forgotten(journal: Journal, files: list[Found]) -> Act:
    fileset = failed(journal, files)
    return lambda: journal.forget(fileset.id, "set aside")


def _handed_over(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    return lambda: journal.hand_over("amy", ROOT, *files)


def _met_after_it_failed(journal: Journal, files: list[Found]) -> Act:
    failed(journal, files)
    changed = [replace(files[0], stat=replace(files[0].stat, ctime_ns=2))]
    return lambda: journal.wait("amy", ROOT, changed)


def _one_handed_over_after_it_failed(journal: Journal, files: list[Found]) -> Act:
    failed(journal, files)
    changed = replace(files[0], stat=replace(files[0].stat, size=7))
    return lambda: journal.hand_over("amy", ROOT, changed)


def _told(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    ids = [one.id for one in journal.open_at([met.path for met in files]).values()]
    return lambda: journal.tell(dict.fromkeys(ids, "waits for x"))


def _ended(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    ids = [one.id for one in journal.open_at([met.path for met in files]).values()]
    return lambda: journal.end_waiting(dict.fromkeys(ids, "gone"), State.SKIPPED)


def _each_queued(journal: Journal, files: list[Found]) -> Act:
    wait(journal, files)
    opened = journal.open_at([met.path for met in files])
    return lambda: journal.settled({opened[m.path].id: m.stat for m in files})


def _absorbed(journal: Journal, files: list[Found]) -> Act:
    below = [replace(met, path=met.path.replace(f"{ROOT}/plate/", STORE)) for met in files]
    wait(journal, below)
    return lambda: journal.absorb("amy", STORE)


def _a_set_absorbed(journal: Journal, files: list[Found]) -> Act:
    below = [replace(met, path=met.path.replace(f"{ROOT}/plate/", STORE)) for met in files]
    queued(journal, below)
    return lambda: journal.absorb("amy", STORE)


ACTS = {
    one.__name__.removeprefix("_"): one
    for one in (
        _formed,
        _formed_of_what_nobody_met,
        _formed_within,
        _formed_around,
        _formed_of_a_failed_one_in_another_order,
        _few_formed_of_a_failed_one,
        _noted_as_verified,
        _imported,
        _imported_as_a_revision,
        _met_again,
        _settled_anew,
        _dissolved,
        _given_up,
        _tried_again,
        _forgotten,
        _handed_over,
        _met_after_it_failed,
        _one_handed_over_after_it_failed,
        _told,
        _ended,
        _each_queued,
        _absorbed,
        _a_set_absorbed,
        _put_elsewhere,
        _brought_home,
        _found_in_omero,
        _many_found_in_omero,
        _imported_as_what_was_found,
        _met_for_the_first_time,
        _renamed,
        _forgotten_as_gone,
        _a_set_forgotten_as_gone,
        _waited,
        _rested,
        _gathered_and_queued,
        _gathered_and_released,
        _skipped_as_a_copy,
        _refused,
        _taken,
    )
}

# What writes of a journal, and never about more than one row of a fileset and one of a file.
OF_ONE = (
    *(
        "move",
        "note",
        "unnote",
        "skip_as_seen",
        "make_sure",
        "set_out",
        "end_way",
        "moved",
        "give_to",
        "skip",
        "finished",
        "remark",
    ),
    *("note_nothing_there", "tell_clock", "finish_uniting"),
    # The lease, and what importers of other machines say of themselves and of their claims.
    *("set_lease", "work_as", "join", "renew", "leave", "not_started"),
    *("give_back_of", "give_back_orphans"),
    # They read.
    *(
        "nodes",
        "mine",
        "turns",
        "started",
        "told_for",
        "told_at",
        "ahead_of",
        "one_at_a_time",
        "owners_below",
    ),
)


@pytest.fixture(autouse=True)
def small_parts() -> Iterator[None]:
    with in_parts_of(PART):
        yield


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_no_transaction_grows_with_a_set(
    journal: Journal, act: Callable[[Journal, list[Found]], Act]
) -> None:
    done = act(journal, found(FILES))
    with written(journal) as seen:
        assert done() is not False
    assert seen.rows <= MOST
    assert seen.values <= MOST + ASKED


def test_every_verb_has_an_act_here() -> None:
    """Whoever adds a method that writes adds an act, or says that it is about one row."""
    verbs = {
        name
        for of in Journal.__mro__
        if issubclass(of, JournalWriter)
        for name, method in vars(of).items()
        if callable(method) and name[0] != "_"
    }
    source = "".join(inspect.getsource(act) for act in ACTS.values())
    acted = set(re.findall(r"journal\.(\w+)\(", source))
    assert verbs - {*OF_ONE} <= acted
