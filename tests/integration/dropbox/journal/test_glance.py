"""The short look at the journal says what the journal itself says; on both databases."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.journal import schema
from omero_fs_plugin.dropbox.journal.glance import VERSION, Glance, glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.seen import Asked
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat

from .test_journal import bring_to, journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures


def met(number: int, user: str = "amy") -> Found:
    return Found(f"/dropbox/{user}/{number}.tif", FileStat(1, 100 + number, 5, 5, 5))


@pytest.fixture
def filled(journal: Journal) -> dict[State, Fileset]:
    """A fileset of amy in each state, and one of zak that waits for something."""
    made = {}
    for number, state in enumerate(State):
        journal.wait("amy", "/dropbox/amy", [met(number)])
        fileset = journal.open_at([met(number).path])[met(number).path]
        bring_to(journal, fileset.id, state)
        (made[state],) = journal.load([fileset.id])
    journal.wait("zak", "/dropbox/zak", [met(50, "zak")])
    (his,) = journal.select(State.WAITING, user="zak")
    journal.tell({his.id: "waits for /dropbox/zak/51.tif"})
    return made


def test_what_no_journal_can_hold_is_not_in_it(
    filled: dict[State, Fileset], url: str, journal: Journal
) -> None:
    """Names that are not UTF-8, also where another file has the name as it is written."""
    journal.wait("amy", "/dropbox/amy", [Found(r"/\xff", FileStat(1, 999, 5, 5, 5))])
    with glance(url) as look:
        assert look is not None
        assert not look.knows("amy\udcff")
        assert look.at("/\udcff") == []
        assert look.below("/\udcff") == {} and look.all_below("/dropbox/\udcff") == {}
        assert look.known(["/\udcff", r"/\xff", "/\ud800"]) == {r"/\xff"}
        assert look.load([2**63, 10**30]) == []
    assert journal.get(2**63) is None


def test_a_journal_that_is_damaged_further_down_is_told(tmp_path: Path) -> None:
    """It opens, and has its version."""
    file = tmp_path / "journal.sqlite"
    Journal(f"sqlite:///{file}").close()
    connection = sqlite3.connect(file)
    connection.execute("ALTER TABLE fileset RENAME TO lost")
    connection.close()
    with glance(f"sqlite:///{file}") as look:
        assert look is not None
        with pytest.raises(JournalError, match="the journal cannot be read: no such table"):
            look.counts(Asked())


def test_a_glance_takes_no_lock_from_the_journal(tmp_path: Path) -> None:
    """Else another process takes the journal for unused, and removes the WAL below it."""
    file = tmp_path / "journal.sqlite"
    url = f"sqlite:///{file}"
    journal = Journal(url)
    try:
        journal.wait("amy", "/dropbox/amy", [met(1)])
        with glance(url) as look:
            assert look is not None
        # Whoever closes the last connection removes the WAL.
        other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('select 1 from meta')"
        subprocess.run([sys.executable, "-c", other, file], check=True)
        assert file.with_name(f"{file.name}-wal").exists()
        journal.wait("amy", "/dropbox/amy", [met(2)])
        look = "select count(*) from fileset; pragma integrity_check"
        for statement, answer in zip(look.split("; "), ("2", "ok"), strict=True):
            ask = f"sqlite3.connect(sys.argv[1]).execute({statement!r}).fetchone()[0]"
            code = f"import sqlite3, sys; print({ask})"
            told = subprocess.run(
                [sys.executable, "-c", code, file], check=True, capture_output=True, text=True
            )
            assert told.stdout.strip() == answer
    finally:
        journal.close()


def test_the_version_is_that_of_the_schema() -> None:
    assert VERSION == schema.VERSION


def test_numbers_and_filesets_are_those_of_the_journal(
    url: str, journal: Journal, filled: dict[State, Fileset]
) -> None:
    with glance(url) as look:
        assert look is not None
        assert {str(s): n for s, n in look.counts(Asked()).items()} == journal.counts()
        assert {str(s): n for s, n in look.counts(Asked("amy")).items()} == journal.counts("amy")
        assert look.held(Asked()) == 1 and look.held(Asked("amy")) == 0
        latest = look.latest(Asked(), None)
        assert [seen.id for seen in latest] == [row.id for row in journal.select()]
        for seen, row in zip(latest, journal.select(), strict=True):
            for name in ("user", "root", "path", "state", "reason", "images", "plate", "reader"):
                assert getattr(seen, name) == getattr(row, name), name
            assert list(seen.files) == [one.path for one in row.files]
            assert seen.size == sum(one.stat.size for one in row.files)
        failed = filled[State.FAILED].id
        assert [seen.id for seen in look.attention(Asked("amy"), 5)] == [failed]
        assert {seen.user for seen in look.attention(Asked(), None)} == {"amy", "zak"}
        under_way = [seen.state for seen in look.under_way(Asked(), None)]
        assert under_way == [State.IMPORTING, State.QUEUED, State.WAITING]
        assert len(look.latest(Asked(), 2)) == 2
        assert {s.state for s in look.latest(Asked(states=(State.FAILED,)), None)} == {State.FAILED}
        newest = latest[0].changed
        assert len(look.latest(Asked(since=newest), None)) == 1
        imported = filled[State.IMPORTED]
        assert look.last_import(None) == journal.load([imported.id])[0].changed
        assert look.last_import("zak") is None
        assert look.events(failed) == journal.events(failed)
        assert look.knows("zak") and not look.knows("nobody")


def test_files_of_a_directory(url: str, journal: Journal, filled: dict[State, Fileset]) -> None:
    with glance(url) as look:
        assert look is not None
        assert len(look.below("/dropbox/amy")) == len(State)
        assert look.below("/dropbox/am") == {}
        assert [seen.user for seen in look.below("/dropbox/zak/").values()] == ["zak"]
        assert [seen.id for seen in look.at(met(0).path)] == [filled[State.WAITING].id]


def test_it_is_one_state_of_the_journal(url: str, journal: Journal) -> None:
    """Seen before: a fileset that is importing, beside its image."""
    journal.wait("amy", "/dropbox/amy", [met(1)])
    with glance(url) as look:
        assert look is not None
        before = look.counts(Asked())
        journal.wait("amy", "/dropbox/amy", [met(2)])
        assert look.counts(Asked()) == before
        assert len(look.latest(Asked(), None)) == 1


def test_no_journal_yet(tmp_path: Path) -> None:
    with glance(f"sqlite:///{tmp_path}/none.sqlite") as look:
        assert look is None


def spoil_version(file: Path) -> None:
    import sqlite3

    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE meta SET value = '99'")
    connection.close()


def spoil_bytes(file: Path) -> None:
    file.write_bytes(b"no database at all, but long enough to be read as one" * 100)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(spoil_version, "install the release that wrote it"), (spoil_bytes, "is corrupt")],
)
def test_what_cannot_be_read_is_told_as_by_the_journal(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    file = tmp_path / "journal.sqlite"
    Journal(f"sqlite:///{file}").close()
    spoil(file)
    with pytest.raises(JournalError, match=words), glance(f"sqlite:///{file}"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_journal_that_this_user_may_not_read(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    Journal(f"sqlite:///{file}").close()
    file.chmod(0)
    with pytest.raises(JournalError, match="Permission denied"), glance(f"sqlite:///{file}"):
        pass


@pytest.mark.parametrize("user", [None, "amy"])
def test_no_answer_goes_through_all_filesets_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str | None
) -> None:
    """A journal of a million filesets answers at once.  Only an index may be gone through."""
    file = tmp_path / "journal.sqlite"
    url = f"sqlite:///{file}"
    Journal(url).close()
    plans: list[str] = []
    ask = Glance.ask

    def explained(look: Glance, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        rows = ask(look, f"EXPLAIN QUERY PLAN {statement}", values)
        plans.extend(f"{row[-1]}, for {statement}" for row in rows)
        return ask(look, statement, values)

    monkeypatch.setattr(Glance, "ask", explained)
    with glance(url) as look:
        assert look is not None
        asked = Asked(user)
        for each in (asked, replace(asked, since=5.0), replace(asked, states=(State.WAITING,))):
            look.counts(each)
            look.held(each)
            look.attention(each, 20)
            look.under_way(each, 20)
            look.latest(each, 20)
        look.last_import(user)
        look.knows("amy")
        look.at("/d/amy/1.tif")
        look.known(["/d/amy/1.tif"])
        look.below("/d/amy")
        look.came(replace(asked, since=5.0), 6.0, None)
    through = [one for one in plans if one.startswith("SCAN file") and "COVERING INDEX" not in one]
    assert plans and through == []
    # What is held up is sorted, and it is not all.
    sorting = [one for one in plans if "TEMP B-TREE FOR ORDER BY, for SELECT changed" in one]
    assert [one for one in sorting if "reason <> ''" not in one] == []


def test_it_is_fast_with_many_filesets(tmp_path: Path) -> None:
    """200,000 of them; the limit leaves room for a busy machine."""
    import sqlite3

    file = tmp_path / "journal.sqlite"
    url = f"sqlite:///{file}"
    Journal(url).close()
    with sqlite3.connect(file) as connection:
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) "
        connection.execute(
            'INSERT INTO fileset (id, "user", root, path, state, reason, origin, attempts, '
            "refusals, verified, images, created, changed) "
            f"{numbers} SELECT i, 'amy', '/d/amy', '/d/amy/' || i, 'waiting', '', 'dropbox', 0, "
            "0, 0, '', i, i FROM n"
        )
        connection.execute(
            "INSERT INTO file (fileset, position, path, device, inode, size, mtime_ns, ctime_ns) "
            f"{numbers} SELECT i, 0, '/d/amy/' || i, 1, i, 5, 5, 5 FROM n"
        )
    connection.close()
    begun = time.process_time()
    with glance(url) as look:
        assert look is not None
        assert sum(look.counts(Asked()).values()) == 200_000
        look.held(Asked())
        look.attention(Asked(), 20)
        look.under_way(Asked(), 20)
        assert len(look.latest(Asked(), 20)) == 20
    assert time.process_time() - begun < 1.5


def test_who_has_news_and_whether_they_may_need_the_user(
    url: str, journal: Journal, filled: dict[State, Fileset]
) -> None:
    def after(event: int) -> tuple[int, dict[str, bool]]:
        with glance(url) as look:
            assert look is not None
            return look.users_after(event)

    last, users = after(0)
    assert users == {"amy": True, "zak": True}  # one has failed, one waits for something
    assert after(last) == (last, {})
    journal.wait("amy", "/dropbox/amy", [met(60)])
    last, users = after(last)
    assert users == {"amy": False}


def test_what_is_new_is_found_without_a_look_at_every_fileset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.sqlite"
    journal, asked = Journal(f"sqlite:///{file}"), list[str]()
    ask = Glance.ask
    monkeypatch.setattr(
        Glance, "ask", lambda look, text, *values: asked.append(text) or ask(look, text, *values)
    )
    try:
        journal.wait("amy", "/dropbox/amy", [met(number) for number in range(200)])
        with glance(f"sqlite:///{file}") as look:
            assert look is not None
            look.users_after(190)
        connection = sqlite3.connect(file)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}", [190])]
        connection.close()
    finally:
        journal.close()
    assert not any(step.startswith("SCAN") for step in plan), plan
