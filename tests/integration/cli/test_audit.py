"""`omero fs audit` over a repository that was damaged in many ways: all is found, and no more."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from omero_fs_plugin.blitz import inventory
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.cli import audit as audit_
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.audit import directories, filesets, ghosts, strays
from omero_fs_plugin.dropbox.audit.findings import Kind
from omero_fs_plugin.dropbox.importing.importers.answers import delete_filesets
from omero_fs_plugin.dropbox.journal.nodes import LEFTOVER
from omero_fs_plugin.errors import ServerAwayError
from tests.integration.dropbox.journal.test_journal import postgres
from tests.integration.whole import Whole
from tests.unit.cli.audit_fields import assert_as_documented

from .test_commands_on_sets import Run, runner

__all__ = ["postgres"]  # a fixture

HOURS_3 = 10_800.0
PACE = ("--pace", "0.001")


def repository(whole: Whole) -> Path:
    return whole.watch_dir.parent / "ManagedRepository"


def in_repository(whole: Whole, path: Path) -> Path:
    (found,) = (one for one in repository(whole).rglob("*") if one.name == path.name)
    return found


def in_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """OMERO and the disk are asked for a row or two at a time."""
    for module in (filesets, ghosts, inventory):
        monkeypatch.setattr(module, "MOST", 2)
    for module in (filesets, inventory):
        monkeypatch.setattr(module, "FILES", 2)
    for module in (strays, directories):
        monkeypatch.setattr(module, "_AT_ONCE", 1)


def audited(run: Run, *options: object) -> tuple[int, dict[str, Any]]:
    """The exit code, and what it says as JSON, which is as documented."""
    code, lines = run("audit", *PACE, "--json", *options)
    told, _ = json.JSONDecoder().raw_decode("\n".join(lines))
    assert_as_documented(told)
    assert code == (1 if told["findings"] else 10 if told["not_looked_at"] else 0), lines
    return code, told


def later(monkeypatch: pytest.MonkeyPatch, seconds: float = HOURS_3) -> None:
    """The audit is made so much later, by the clock of this machine."""
    clock = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    monkeypatch.setattr(audit_, "time", clock)


@pytest.fixture
def site(make_whole: Callable[..., Whole], request: pytest.FixtureRequest, tmp_path: Path) -> Whole:
    """amy's files are uploaded, zak's are in place.  A parameter: the journal's database."""
    given = {"quarantine": str(tmp_path / "quarantine")}
    if getattr(request, "param", "sqlite") == "postgresql":
        given["journal"] = request.getfixturevalue("postgres").url("audit")
    whole = make_whole(importUsers="amy;zak", transfer="upload;ln_s", blacklist="*.skip", **given)
    whole.watch_dir.joinpath("amy/day 1").mkdir()
    return whole


def ghost(whole: Whole, user: str, path: str, hours: float, client: str = "") -> int:
    """A fileset without images, made so long ago; its id."""
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        owner = store.first(db, "Experimenter", omeName=user)
        assert owner is not None
        mine = {"owner": owner["id"], "group": 1}
        fileset = store.insert(db, "Fileset", **mine)
        file = store.insert(db, "OriginalFile", **mine, path="x/", name="x", size=1)
        store.insert(
            db, "FilesetEntry", **mine, fileset=fileset, originalFile=file, clientPath=path[1:]
        )
        if client:
            job = store.insert(db, "UploadJob", **mine, versionInfo=[["client", client]])
            store.insert(db, "FilesetJobLink", **mine, parent=fileset, child=job)
        made = int((time.time() - hours * 3600) * 1000)
        store.update(db, "Fileset", fileset, creation=made)
    return fileset


def drop_row(whole: Whole, path: Path) -> None:
    """The journal forgets a file."""
    engine = sa.create_engine(read(whole.properties).journal_url)
    with engine.begin() as db:
        db.execute(sa.text("delete from file where path = :path"), {"path": str(path)})
    engine.dispose()


def others_now(whole: Whole, path: Path) -> None:
    """OMERO's fileset of the same id is of another file: an older database was put back."""
    copy = in_repository(whole, path)
    copy.write_bytes(b"other")
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        entry = store.first(db, "FilesetEntry", fileset=whole.row(path).server_fileset)
        assert entry is not None
        store.update(db, "FilesetEntry", entry["id"], clientPath="home/eve/new.czi")
        store.update(db, "OriginalFile", entry["originalFile"], size=5)


def damage(whole: Whole, files: dict[str, Path]) -> dict[tuple[str, str], str]:
    """Damages each file as its name says: (kind, path) -> words of why."""
    uploaded = {name: in_repository(whole, files[name]) for name in ("lost", "cut")}
    expected: dict[tuple[str, str], str] = {}

    def expect(kind: Kind, path: object, words: str) -> None:
        expected[str(kind), str(path)] = words

    files["gone"].unlink()
    expect(Kind.BROKEN_LINK, files["gone"], "nothing is there")
    with files["longer"].open("ab") as file:
        file.write(b"x")
    expect(Kind.CHANGED_TARGET, files["longer"], "were imported")
    data = files["other bytes"].read_bytes()
    files["other bytes"].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    expect(Kind.CHANGED_TARGET, files["other bytes"], "its content is not what was imported")
    link = in_repository(whole, files["elsewhere"])
    link.unlink()
    link.symlink_to("/etc/hostname")
    expect(Kind.CHANGED_TARGET, files["elsewhere"], "")
    files["a directory"].unlink()
    files["a directory"].mkdir()
    expect(Kind.CHANGED_TARGET, files["a directory"], "which is no file")
    in_repository(whole, files["no link"]).unlink()
    expect(Kind.MISSING_COPY, files["no link"], "not in OMERO's repository")
    uploaded["lost"].unlink()
    expect(Kind.MISSING_COPY, files["lost"], "not in OMERO's repository")
    os.truncate(uploaded["cut"], 100)
    expect(Kind.CHANGED_COPY, files["cut"], "it has 100 bytes")
    folder = in_repository(whole, files["folder"])
    folder.unlink()
    folder.mkdir()
    expect(Kind.CHANGED_COPY, files["folder"], "it is no file any more")
    others_now(whole, files["others"])
    expect(Kind.IMAGES_GONE, files["others"], "is of other files, such as /home/eve/new.czi")
    session = whole._omero.session_for(whole._omero.user("amy"))
    delete_filesets(session, [whole.row(files["deleted"]).server_fileset or 0])
    session.close()
    expect(Kind.IMAGES_GONE, files["deleted"], "no images of it any more")
    ghost(whole, "amy", str(files["fine"]), hours=2)
    expect(Kind.GHOST, files["fine"], "an import was cut off; the file is imported now")
    ghost(whole, "amy", "/lost/journal.tif", hours=2, client="OMERO.fs 0.1.0")
    expect(Kind.GHOST, "/lost/journal.tif", "the journal does not know its file")
    drop_row(whole, files["no row"])
    expect(Kind.NO_ROW, files["no row"], "DropBox has not met it")
    stray = repository(whole) / "old \x1b[31m" / "2020"
    stray.mkdir(parents=True)
    (stray / "a.tif").write_bytes(b"x")
    expect(Kind.UNREGISTERED, stray, "registered nothing")
    left = Path(read(whole.properties).quarantine or "") / "amy" / "700"
    left.mkdir(parents=True)
    (left / "a.tif").write_bytes(b"x")
    expect(Kind.LEFT_BEHIND, left, "1 file, such as a.tif, of which the journal knows nothing")
    return expected


def leave_harmless(whole: Whole, files: dict[str, Path]) -> None:
    """What looks odd, and is none of an audit's business."""
    os.utime(files["touched"])
    moved = files["moved"].rename(files["moved"].with_name("moved away.skip"))
    link = in_repository(whole, files["moved"])
    link.unlink()
    link.symlink_to(moved)
    for name in (".hidden", "Thumbs.db", "x.skip"):
        (whole.watch_dir / "amy" / name).write_bytes(b"x")
    (whole.watch_dir / "amy" / "link.tif").symlink_to("/etc/hostname")
    os.mkfifo(whole.watch_dir / "amy" / "fifo.tif")
    (repository(whole) / "empty").mkdir()
    (repository(whole) / ".omero").mkdir()
    (repository(whole) / ".omero" / "config").write_bytes(b"x")
    ghost(whole, "amy", "/home/amy/by-hand.tif", hours=2)
    ghost(whole, "amy", str(files["fine"]), hours=0)
    ghost(whole, "zak", str(files["fine"]), hours=2)


UPLOADED = ("fine", "lost", "cut", "folder", "others", "deleted", "no row")
IN_PLACE = (
    *("good", "gone", "longer", "other bytes", "elsewhere", "a directory", "no link"),
    *("touched", "moved"),
)


@pytest.mark.parametrize(
    "site",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)],
    indirect=True,
)
def test_all_damage_is_found_and_nothing_else(
    site: Whole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = runner(site, monkeypatch)
    files = {name: site.drop(f"day 1/{name}.tif") for name in UPLOADED}
    files |= {name: site.drop(f"{name}.tif", user="zak") for name in IN_PLACE}
    site.until_known(*files.values())
    site.until_settled()
    site.stop_dropbox()
    later(monkeypatch)
    leave_harmless(site, files)
    code, told = audited(run)
    assert (code, told["findings"], told["not_looked_at"]) == (0, [], [])
    assert told["looked_at"]["filesets"] == told["looked_at"]["files"] == len(files)

    expected = damage(site, files)
    before = _all(site, tmp_path)
    code, told = audited(run)
    assert code == 1
    found = {(one["kind"], one["path"]): one for one in told["findings"]}
    assert len(found) == len(told["findings"])
    assert found.keys() == expected.keys()
    for key, words in expected.items():
        assert words in found[key]["why"], found[key]
    assert told["not_looked_at"] == []
    assert {one["kind"] for one in told["findings"]} == set(map(str, Kind))
    assert _all(site, tmp_path) == before, "it changes nothing"

    code, lines = run("audit", *PACE)
    text = "\n".join(lines)
    assert code == 1 and lines[-1] == f"{len(expected)} do not agree"
    assert "\x1b" not in text and r"old \x1b[31m/2020" in text
    assert f"zak: {files['gone']} (fileset " in text

    # Pages of two rows show the same as one page.
    in_small_pages(monkeypatch)
    _, again = audited(run)
    assert _as_found(again) == _as_found(told)
    _repairs(site, run, told)


def _as_found(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((one["kind"], one["path"], one["why"]) for one in told["findings"])


def _all(whole: Whole, tmp_path: Path) -> dict[str, str]:
    """Every file and link of the site but the databases, with its content."""
    found = {}
    for path in tmp_path.rglob("*"):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file() and ".sqlite" not in path.name:
            found[str(path)] = hashlib.sha1(path.read_bytes()).hexdigest()
    return found


def _repairs(whole: Whole, run: Run, told: dict[str, Any]) -> None:
    """A ghost whose file the journal knows is handed to DropBox, when somebody says yes."""
    (known,) = [
        one for one in told["findings"] if one["kind"] == "ghost" and one["fileset"] is not None
    ]
    _, asked = audited(run, "--repair")
    (repair,) = asked["repairs"]
    assert repair["server_fileset"] == known["server_fileset"]
    assert not whole.journal.notes(LEFTOVER)
    code, lines = run("audit", *PACE, "--repair", "--yes")
    assert code == 1
    told_at = next(i for i, line in enumerate(lines) if "deletes it if nobody is at it" in line)
    done_at = next(i for i, line in enumerate(lines) if "noted for DropBox" in line)
    assert told_at < done_at
    assert list(whole.journal.notes(LEFTOVER)) == [f"{LEFTOVER}{known['fileset']}"]


def test_an_audit_that_was_broken_off_goes_on(
    site: Whole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = runner(site, monkeypatch)
    files = [site.drop(f"{number}.tif") for number in range(5)]
    site.until_known(*files)
    site.until_settled()
    site.stop_dropbox()
    for path in files:
        in_repository(site, path).unlink()
    for module in (filesets, inventory):
        monkeypatch.setattr(module, "MOST", 2)
        monkeypatch.setattr(module, "FILES", 2)
    state = tmp_path / "state"
    asked: list[str] = []
    broken = Omero.asked
    left = 9

    def away(self: Omero, what: str, question: Any) -> Any:
        asked.append(what)
        if len(asked) == left:
            raise ServerAwayError("OMERO is not there")
        return broken(self, what, question)

    monkeypatch.setattr(Omero, "asked", away)
    code, lines = run("audit", *PACE, "--state", state)
    assert (code, lines) == (5, [f"OMERO is not there; the same command goes on, from {state}"])
    with state.open("ab") as file:
        file.write(b'{"finding": {"kind"')  # it was killed while it wrote
    before = len(asked)
    code, told = audited(run, "--state", state)
    assert sorted(one["path"] for one in told["findings"]) == list(map(str, files))
    assert told["looked_at"]["filesets"] == 5
    # Of the three pages, with four questions each, two had been asked whole.
    assert asked[before:].count("counting images") == 1
    assert state.stat().st_mode & 0o777 == 0o600
    before = len(asked)
    audited(run, "--state", state)
    assert asked[before:].count("counting images") == 3, "after its end it begins anew"


def test_what_it_cannot_look_at_is_told_and_not_missing(
    site: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner(site, monkeypatch)
    path, other = site.drop("a.tif"), site.drop("b.tif", user="zak")
    site.until_known(path, other)
    site.until_settled()
    site.stop_dropbox()
    here = repository(site)
    away = here.with_name("away")
    here.rename(away)
    for prepare, words in (
        (lambda: None, "there is no such directory on this machine: run the audit where"),
        (here.mkdir, "it is empty here: is its disk mounted?"),
    ):
        prepare()
        code, told = audited(run)
        assert (code, told["findings"]) == (10, [])
        (left,) = told["not_looked_at"]
        assert left["path"] == str(here) and words in left["why"]
    here.rmdir()
    away.rename(here)
    if os.geteuid() == 0:
        return  # root may read everything
    day = in_repository(site, path).parent
    for directory, number in ((day, 2), (site.watch_dir / "zak", 2)):
        directory.chmod(0)
        try:
            code, told = audited(run)
        finally:
            directory.chmod(0o700)
        assert (code, told["findings"]) == (10, []), told
        assert 1 <= len(told["not_looked_at"]) <= number
        assert all("Permission denied" in one["why"] for one in told["not_looked_at"])


def test_files_of_nobody_are_told_once(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_whole()
    run = runner(whole, monkeypatch)
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.until_settled()
    whole.stop_dropbox()
    shutil.copytree(path.parent, whole.watch_dir / "bob")
    shutil.copy(path, whole.watch_dir / "bob" / "b.tif")
    later(monkeypatch)
    _, told = audited(run)
    (one,) = told["findings"]
    assert (one["kind"], one["path"]) == ("no-row", str(whole.watch_dir / "bob"))
    assert one["why"] == "its files wait: the OMERO user bob is not there"


def test_a_tree_that_changes_while_an_audit_is_broken_off(
    site: Whole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After any question.  What is told was so before the change or after it; nothing is lost."""
    run = runner(site, monkeypatch)
    uploaded = [site.drop(f"day 1/{number}.tif") for number in range(4)]
    linked = [site.drop(f"linked {number}.tif", user="zak") for number in range(3)]
    site.until_known(*uploaded, *linked)
    site.until_settled()
    site.stop_dropbox()
    later(monkeypatch)
    in_small_pages(monkeypatch)
    stray, nothings = site.watch_dir / "amy" / "stray.tif", repository(site) / "a" / "b"
    copy = in_repository(site, uploaded[0])

    def delete() -> None:
        session = site._omero.session_for(site._omero.user("amy"))
        delete_filesets(session, [site.row(uploaded[1]).server_fileset or 0])
        session.close()

    changes: list[Callable[[], object]] = [
        lambda: stray.write_bytes(b"x"),
        copy.unlink,
        linked[0].unlink,
        delete,
        lambda: (nothings.mkdir(parents=True), (nothings / "x").write_bytes(b"x")),
        lambda: shutil.rmtree(nothings.parent),
        lambda: stray.rename(stray.with_name("renamed.tif")),
        lambda: uploaded[2].parent.rename(site.watch_dir / "amy" / "day 2"),
        lambda: shutil.rmtree(site.watch_dir / "zak"),
        lambda: (site.watch_dir / "zak").write_bytes(b"no directory"),
        lambda: copy.parent.rmdir(),
    ]
    broken, asked = Omero.asked, [0, 0]

    def away(self: Omero, what: str, question: Any) -> Any:
        asked[0] += 1
        if asked[0] == asked[1]:
            raise ServerAwayError("OMERO is not there")
        return broken(self, what, question)

    monkeypatch.setattr(Omero, "asked", away)

    def fresh() -> set[tuple[str, str, str]]:
        asked[:] = [0, 0]
        return set(_as_found(audited(run)[1]))

    before = fresh()
    for number, change in enumerate(changes):
        state = tmp_path / f"state {number}"
        cut = 1 + (3 * number) % asked[0]
        asked[:] = [0, cut]
        code, _ = run("audit", *PACE, "--state", state)
        assert code == 5, "it was broken off"
        change()
        asked[:] = [0, 0]
        _, told = audited(run, "--state", state)
        found, after = set(_as_found(told)), fresh()
        assert before & after <= found <= before | after, f"after question {cut}"
        before = after
