"""The layout {owner} in DropBox as a whole: users share a directory, and a file is its owner's.

As root the files are given away, as they are at a site.  Other accounts may not do so: then a
table says to whom a file was given.  The accounts are those of the system in both cases.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin import accounts as names
from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.importing import importing, turns
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.targets.sidecar import FILE
from omero_fs_plugin.dropbox.watching import rescanner
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox import accounts
from tests import samples
from tests.integration.whole import Whole

from .test_targets import rows

# Each system has these; in OMERO the first two are users.
ONE, OTHER, NOT_IN_OMERO = "daemon", "bin", "sys"
NOBODYS = 61_437  # a uid without an account


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Gives files to an account, by its name or number."""
    given: dict[int, int] = {}  # inode -> uid
    of = FileStat.of.__func__  # type: ignore[attr-defined]

    def told(cls: type[FileStat], found: os.stat_result) -> FileStat:
        stat: FileStat = of(cls, found)
        return replace(stat, owner=given.get(found.st_ino, stat.owner))

    def now(to: str | int, *paths: Path) -> None:
        uid = to if isinstance(to, int) else pwd.getpwnam(to).pw_uid
        for path in paths:
            if os.geteuid() == 0:
                os.chown(path, uid, -1)
            else:
                given[path.stat().st_ino] = uid
                path.chmod(path.stat().st_mode)  # which chown does too: ctime changes

    if os.geteuid() != 0:
        monkeypatch.setattr(FileStat, "of", classmethod(told))
    monkeypatch.setattr(names, "KEPT_S", 0.0)
    monkeypatch.setattr(rescanner, "_UNKNOWN_S", 0.2)
    yield now


@pytest.fixture
def shared(make_whole: Callable[..., Whole]) -> Callable[..., Whole]:
    def make(**properties: str) -> Whole:
        whole = make_whole(**{"layout": "{owner}", **properties})
        join(whole, ONE, OTHER)
        return whole

    return make


def join(whole: Whole, *users: str) -> None:
    """They become users of OMERO."""
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        for user in users:
            group = accounts.create_group(store, db, f"{user}_group")
            accounts.create_user(store, db, user, user, [accounts.USER_GROUP, group])


def drop(whole: Whole, name: str, give: Callable[..., None], to: str | int) -> Path:
    """As by a copy that keeps owners: it has its owner when it gets its name."""
    made = whole.drop(f".{name}", "on its way")
    give(to, made)
    return made.rename(whole.watch_dir / "project" / name)


def owners(whole: Whole) -> list[str]:
    """Of each image in OMERO."""
    found = rows(whole, "select o.omeName from Image i join i.details.owner o")
    return sorted(str(row[0]) for row in found)


def left(whole: Whole, path: Path) -> str:
    return str(whole.dropbox.figures().get(f"left.{path}", ""))


def reason(whole: Whole, path: Path) -> str:
    return "".join(row.reason for row in whole.journal.select() if row.path == str(path))


def project(whole: Whole) -> Path:
    made = whole.watch_dir / "project"
    made.mkdir(exist_ok=True)
    return made


def test_a_file_is_its_owners(shared: Callable[..., Whole], give: Callable[..., None]) -> None:
    whole = shared()
    project(whole)
    files = [drop(whole, f"{to}.tif", give, to) for to in (ONE, OTHER)]
    whole.until_known(*files)
    assert owners(whole) == sorted((ONE, OTHER))
    assert {whole.row(path).user for path in files} == {ONE, OTHER}
    assert {whole.row(path).root for path in files} == {str(whole.watch_dir)}
    give(OTHER, files[0])  # after its import it stays whose it was
    files[1].rename(files[1].with_name("renamed.tif"))
    ended = whole.dropbox.rescanner.ended
    whole.dropbox.rescanner.ask()
    whole.until("it was looked at", lambda: whole.dropbox.rescanner.ended > ended)
    last = drop(whole, "last.tif", give, ONE)
    whole.until_known(last)
    whole.until_settled()
    assert owners(whole) == sorted((ONE, ONE, OTHER))
    assert "before it was given away" in reason(whole, files[0])


def test_one_of_nobody_waits_and_is_told(
    shared: Callable[..., Whole], give: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shared()
    project(whole)
    strange = drop(whole, "strange.tif", give, NOBODYS)
    roots = drop(whole, "root.tif", give, "root")
    later = drop(whole, "later.tif", give, NOT_IN_OMERO)
    whole.until("it is told", lambda: f"uid {NOBODYS}" in left(whole, strange))
    whole.until("root's is told", lambda: "chown it to its user" in left(whole, roots))
    whole.until("the third is told", lambda: "who is no user of OMERO" in left(whole, later))
    assert owners(whole) == []
    join(whole, NOT_IN_OMERO)  # as LDAP does at the first login
    known = names._owner_name
    account = {NOBODYS: OTHER}  # as LDAP has it from now on
    monkeypatch.setattr(names, "_owner_name", lambda uid: account.get(uid) or known(uid))
    whole.until(
        "both are imported",
        lambda: owners(whole) == sorted((OTHER, NOT_IN_OMERO)),
    )
    whole.until("only root's is told", lambda: not left(whole, strange) + left(whole, later))
    assert left(whole, roots)


@pytest.mark.parametrize("state", [State.WAITING, State.QUEUED], ids=str)
def test_one_that_is_given_away_before_its_import(
    shared: Callable[..., Whole],
    give: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    state: State,
) -> None:
    """No event tells it, and nothing else of the file has changed."""
    whole = shared()
    project(whole)
    begin = turns.Turns.next
    if state is State.QUEUED:
        monkeypatch.setattr(turns.Turns, "next", lambda *args, **named: None)
    else:
        whole.stop_dropbox()
        whole.start_dropbox(dirImportWait="2")
    with whole.clock.halted() if state is State.WAITING else nullcontext():
        path = drop(whole, "given.tif", give, ONE)
        whole.until_known(path, states=(state,))
        assert whole.row(path).user == ONE
        give(OTHER, path)
    monkeypatch.setattr(turns.Turns, "next", begin)
    whole.until_known(path)
    assert owners(whole) == [OTHER]
    assert whole.row(path).user == OTHER


def test_a_set_of_several_owners_is_held(
    shared: Callable[..., Whole], give: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shared()
    made = whole.watch_dir / ".made"
    made.mkdir()
    samples.ome_companion_plain(made)
    members = sorted(made.iterdir())
    give(ONE, *members[:-1])
    give(OTHER, members[-1])
    to = made.rename(project(whole).with_name("set"))
    files = [to / path.name for path in members]
    told = f"its files belong to {OTHER} and {ONE}"
    whole.until("it is told", lambda: any(told in reason(whole, path) for path in files))
    assert owners(whole) == []
    give(ONE, files[-1])
    whole.until(
        "one owner has it", lambda: whole.leap(10) or whole.journal.counts()[State.IMPORTED]
    )
    whole.until_settled()
    assert set(owners(whole)) == {ONE}
    (row,) = whole.journal.select(State.IMPORTED)
    assert sorted(met.path for met in row.files) == sorted(map(str, files))


def test_the_sidecar_of_another_holds_them(
    shared: Callable[..., Whole], give: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write into a shared directory must not say where images of others go."""
    monkeypatch.setattr(importing, "owner_of", lambda root: NOBODYS)  # the admin's
    whole = shared()
    sidecar = project(whole) / FILE
    sidecar.write_text('name = "from a sidecar"\n')
    give(OTHER, sidecar)
    own = drop(whole, "own.tif", give, OTHER)
    path = drop(whole, "held.tif", give, ONE)
    whole.until_known(own)
    told = f"belongs to {OTHER}, and the files beside it to {ONE}"
    whole.until("it is told", lambda: told in reason(whole, path))
    give("root", sidecar)
    whole.until_known(path)
    assert rows(whole, "select i.name from Image i") == [("from a sidecar",)] * 2


def test_a_name_service_that_does_not_answer_decides_nothing(
    shared: Callable[..., Whole], give: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shared()
    project(whole)
    known = names._owner_name

    def silent(uid: int) -> str:
        raise names.NoAnswer(f"uid {uid}")

    monkeypatch.setattr(names, "_owner_name", silent)
    path = drop(whole, "a.tif", give, ONE)
    whole.until("it is told", lambda: "name service does not answer" in left(whole, path))
    monkeypatch.setattr(names, "_owner_name", known)
    whole.until("it is imported", lambda: owners(whole) == [ONE])


def start_without_a_journal(whole: Whole) -> None:
    for file in whole.watch_dir.parent.glob(f"{JOURNAL_FILE}*"):
        file.unlink()
    whole.start_dropbox()
    whole.journal.close()
    whole.journal = Journal(f"sqlite:///{whole.watch_dir.parent / JOURNAL_FILE}")


@pytest.mark.parametrize("before", [False, True], ids=["only theirs", "after another of the owner"])
def test_a_journal_that_was_lost_and_files_that_were_given_away(
    shared: Callable[..., Whole], give: Callable[..., None], before: bool
) -> None:
    """Only OMERO knows whose they were.  What the new owner drops there anew is imported."""
    whole = shared()
    project(whole)
    files = [drop(whole, f"{n}.tif", give, ONE) for n in range(2)]
    copied = drop(whole, "copied.tif", give, ONE)
    written = drop(whole, "written.tif", give, ONE)
    whole.until_known(*files, copied, written)
    whole.stop_dropbox()
    give(OTHER, *files)
    copy = drop(whole, "copy.tif", give, OTHER)
    copy.write_bytes(copied.read_bytes())
    written.unlink()
    drop(whole, "written.tif", give, OTHER)  # another image
    start_without_a_journal(whole)
    if before:  # so that the journal has got from OMERO what that one has
        whole.until_known(drop(whole, "before.tif", give, ONE))
    whole.until_known(*files, copy, written)
    whole.until_settled()
    assert owners(whole) == sorted([ONE] * (4 + before) + [OTHER] * 2)
    for path in files:
        assert f"imported for {ONE}, before it was given away" in reason(whole, path)
    whole.dropbox.rescanner.ask()
    whole.until_known(drop(whole, "last.tif", give, OTHER))
    assert owners(whole) == sorted([ONE] * (4 + before) + [OTHER] * 3)


def test_a_journal_that_was_lost_finds_again_what_each_owner_has(
    shared: Callable[..., Whole], give: Callable[..., None]
) -> None:
    """They share a directory, so only OMERO says whose a file there was."""
    whole = shared()
    project(whole)
    files = [drop(whole, f"{to} {n}.tif", give, to) for to in (ONE, OTHER) for n in range(3)]
    whole.until_known(*files)
    whole.stop_dropbox()
    start_without_a_journal(whole)
    last = drop(whole, "last.tif", give, ONE)
    whole.until_known(last)
    whole.until_settled()
    assert owners(whole) == sorted([ONE] * 4 + [OTHER] * 3)


@pytest.mark.parametrize("state", [State.WAITING, State.QUEUED], ids=str)
def test_a_layout_that_changes_with_filesets_on_their_way(
    shared: Callable[..., Whole],
    give: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    state: State,
) -> None:
    """From directories to owners: each is then its owner's, and none is imported twice."""
    whole = shared(layout="{user}", dirImportWait="2" if state is State.WAITING else "0.3")
    begin = turns.Turns.next
    monkeypatch.setattr(turns.Turns, "next", lambda *args, **named: None)
    with whole.clock.halted() if state is State.WAITING else nullcontext():
        made = whole.drop(".made.tif", "amy")
        give(OTHER, made)
        path = made.rename(made.with_name("a.tif"))
        whole.until_known(path, states=(state,))
        assert whole.row(path).user == "amy"
    whole.stop_dropbox()
    monkeypatch.setattr(turns.Turns, "next", begin)
    whole.start_dropbox(layout="{owner}", dirImportWait="0.3")
    whole.until_known(path)
    whole.until_settled()
    assert owners(whole) == [OTHER]
