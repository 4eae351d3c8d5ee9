"""Users' directories beside OMERO's users, on a real file system."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.cli.users import render
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.userdirs import directories as userdirs
from omero_fs_plugin.dropbox.userdirs.directories import Finding, State, compare, create

ME = pwd.getpwuid(os.geteuid()).pw_name
USERS = {"amy": True, "zak": True, "gone": False, "root": True, "guest": False}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An omero.data.dir with an empty DropBox."""
    (tmp_path / "DropBox").mkdir()
    return tmp_path


@pytest.fixture
def make(data: Path) -> Callable[..., Path]:
    """Makes a directory in the DropBox."""

    def make(name: str, mode: int = 0o770) -> Path:
        path = data / "DropBox" / name
        path.mkdir()
        path.chmod(mode)
        return path

    return make


def rules(data: Path, **properties: str) -> tuple[Rule, ...]:
    of = {f"omero.fs.{name}": value for name, value in properties.items()}
    settings = read({"omero.data.dir": str(data), **of})
    settings.check()
    return settings.rules


def states(findings: list[Finding]) -> dict[str, list[str]]:
    """Directory's name -> what is said of it."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        found.setdefault(finding.user, []).append(finding.state.value)
    return found


def account(name: str, uid: int, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> dict[str, pwd.struct_passwd]:
    """The system accounts that there are, beside those of this machine's numbers."""
    known: dict[str, pwd.struct_passwd] = {}
    names = userdirs.user_name

    def by_number(uid: int) -> str:
        return next((one.pw_name for one in known.values() if one.pw_uid == uid), "") or names(uid)

    monkeypatch.setattr(userdirs, "account", known.get)
    monkeypatch.setattr(userdirs, "user_name", by_number)
    return known


def test_what_is_there_and_what_is_not(data: Path, make: Callable[..., Path]) -> None:
    for name in ("amy", "gone", "amz", ".hidden", "lost+found"):
        make(name)
    (data / "DropBox" / "stray.txt").write_text("x")
    findings = compare(rules(data), USERS)
    assert states(findings) == {
        "amy": ["ok"],
        "zak": ["missing"],
        "gone": ["inactive", "ok"],
        "amz": ["unknown"],
    }
    (unknown,) = (finding for finding in findings if finding.state is State.UNKNOWN)
    assert "did you mean amy?" in unknown.what


def test_roots_own_directory_is_not_needed_and_no_mistake(
    data: Path, make: Callable[..., Path]
) -> None:
    assert compare(rules(data), {"root": True, "guest": False}) == []
    make("root")
    assert states(compare(rules(data), {"root": True})) == {"root": ["ok"]}


@pytest.mark.parametrize("kind", ["link", "file", "broken link"])
def test_what_is_no_directory_is_not_followed(data: Path, tmp_path: Path, kind: str) -> None:
    amy = data / "DropBox" / "amy"
    if kind == "file":
        amy.write_text("x")
    else:
        target = tmp_path / "elsewhere"
        amy.symlink_to(target)
        if kind == "link":
            target.mkdir()
    findings = compare(rules(data), {"amy": True})
    assert states(findings) == {"amy": ["no directory"]}
    assert create(findings, {"amy": True}) == findings


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", "", ".amy", "a\x1b[31m", "a\nb", "x" * 256, "lost+found"]
)
def test_names_that_are_no_directorys(data: Path, name: str) -> None:
    findings = compare(rules(data), {name: True})
    assert [finding.state for finding in findings] == [State.UNSAFE]
    assert create(findings, {name: True}) == findings
    assert list((data / "DropBox").iterdir()) == []
    assert "\x1b" not in render(findings) and "\nb" not in render(findings)


def test_everybody_may_write(data: Path, make: Callable[..., Path]) -> None:
    make("amy", 0o777)
    make("zak", 0o775)
    assert states(compare(rules(data), USERS)) == {"amy": ["wrong mode"], "zak": ["ok"]}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "Mu\u0308ller",
            "; Müller has the same letters, with an accent that is written in",
        ),
        ("müller", "; did you mean Müller?"),
        ("Moller", "; did you mean Müller?"),
        ("somebody else", ""),
    ],
)
def test_whom_somebody_meant_is_told_and_not_guessed(
    data: Path, make: Callable[..., Path], name: str, hint: str
) -> None:
    """macOS writes an accent as a character of its own, and both look the same."""
    make(name)
    found = {one.directory.name: one for one in compare(rules(data), {"Müller": True})}
    assert found[name].state is State.UNKNOWN and found["Müller"].state is State.MISSING
    assert f"named {name}{hint}" in found[name].what


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_unreadable(data: Path, make: Callable[..., Path]) -> None:
    make("amy", 0o300)
    make("zak", 0o600)
    findings = compare(rules(data), USERS)
    assert states(findings) == {"amy": ["unreadable"], "zak": ["unreadable"]}
    assert f"{ME} cannot read it" in findings[0].what
    (data / "DropBox").chmod(0o000)
    try:
        assert states(compare(rules(data), USERS)) == {"": ["unreadable"]}
    finally:
        (data / "DropBox").chmod(0o700)


def test_another_users_directory(
    data: Path,
    make: Callable[..., Path],
    accounts: dict[str, pwd.struct_passwd],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts["zak"] = account("zak", os.geteuid(), os.getegid())
    monkeypatch.setattr(userdirs.os, "geteuid", lambda: 64999)
    make("amy")
    make("zak")
    findings = compare(rules(data), USERS)
    assert states(findings) == {"amy": ["wrong owner"], "zak": ["ok"]}
    assert "imported as amy's" in findings[0].what


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "state"),
    [
        pytest.param(0o700, os.geteuid(), 64999, "ok", id="owner"),
        pytest.param(0o570, os.geteuid(), os.getegid(), "wrong mode", id="owner may not write"),
        pytest.param(0o770, 64999, os.getegid(), "ok", id="group"),
        pytest.param(0o750, 64999, os.getegid(), "wrong owner", id="group may not write"),
        pytest.param(0o770, 64999, 64999, "wrong owner", id="a stranger"),
    ],
)
def test_whether_the_system_account_of_that_name_may_write(
    data: Path,
    make: Callable[..., Path],
    accounts: dict[str, pwd.struct_passwd],
    mode: int,
    uid: int,
    gid: int,
    state: str,
) -> None:
    if uid == 0:
        pytest.skip("root may write everywhere")
    accounts["amy"] = account("amy", uid, gid)
    make("amy", mode)
    assert states(compare(rules(data), {"amy": True})) == {"amy": [state]}


def test_users_with_a_directory_of_their_own(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "real").mkdir(parents=True)
    (home / "amy").symlink_to(home / "real")
    named = rules(
        data, importUsers="default;amy;zak;nobody", watchDir=f";{home}/amy;{home}/zak/data;{home}/x"
    )
    findings = compare(named, {**USERS, "eve": True})
    assert states(findings) == {
        "eve": ["missing"],
        "amy": ["ok"],  # a link that the admin has named is followed
        "zak": ["missing"],
        "nobody": ["unknown", "missing"],
    }
    after = create(findings, {**USERS, "eve": True})
    assert states(after)["zak"] == ["missing"]
    assert "make that first" in next(f.what for f in after if f.user == "zak")
    assert not (home / "x").exists(), "what nobody is to have is not made"
    assert (data / "DropBox" / "eve").is_dir()


def test_a_named_users_directory_in_the_dropbox_is_told_once(
    data: Path, make: Callable[..., Path]
) -> None:
    make("amy")
    assert states(compare(rules(data, importUsers="default;amy"), USERS)) == {
        "amy": ["ok"],
        "zak": ["missing"],
    }


def test_missing_ones_are_made_and_others_left_as_they_are(
    data: Path, make: Callable[..., Path]
) -> None:
    amy = make("amy", 0o700)
    before = amy.stat()
    after = create(compare(rules(data), USERS), USERS)
    assert states(after) == {"amy": ["ok"], "zak": ["made"]}
    zak = (data / "DropBox" / "zak").stat()
    assert stat.S_IMODE(zak.st_mode) == 0o2770
    assert (zak.st_uid, zak.st_gid) == (os.geteuid(), os.getegid())
    assert amy.stat() == before
    assert states(compare(rules(data), USERS)) == {"amy": ["ok"], "zak": ["ok"]}


def test_the_mode_does_not_hang_on_the_umask(data: Path) -> None:
    former = os.umask(0o077)
    try:
        create(compare(rules(data), {"amy": True}), {"amy": True})
    finally:
        os.umask(former)
    assert stat.S_IMODE((data / "DropBox" / "amy").stat().st_mode) == 0o2770


def test_the_watched_directory_is_made_too(data: Path) -> None:
    (data / "DropBox").rmdir()
    findings = compare(rules(data), {"amy": True})
    assert states(findings) == {"": ["missing"], "amy": ["missing"]}
    assert states(create(findings, {"amy": True})) == {"": ["made"], "amy": ["made"]}
    assert stat.S_IMODE((data / "DropBox").stat().st_mode) == 0o755


def test_of_a_race_the_first_is_left_alone(data: Path, make: Callable[..., Path]) -> None:
    findings = compare(rules(data), {"amy": True})
    make("amy", 0o711)
    (after,) = create(findings, {"amy": True})
    assert (after.state, after.what) == (State.MISSING, "cannot be made: File exists")
    assert stat.S_IMODE((data / "DropBox" / "amy").stat().st_mode) == 0o711


def test_one_that_could_not_be_finished_is_not_left_behind(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(userdirs.os, "fchmod", refuse)
    (after,) = create(compare(rules(data), {"amy": True}), {"amy": True})
    assert after.what == "cannot be made: Read-only file system"
    assert list((data / "DropBox").iterdir()) == []


@pytest.mark.parametrize("may", [True, False], ids=["it may be given away", "it may not"])
def test_the_account_of_that_name_becomes_the_owner(
    data: Path,
    accounts: dict[str, pwd.struct_passwd],
    monkeypatch: pytest.MonkeyPatch,
    may: bool,
) -> None:
    accounts["amy"] = account("amy", 64999, 64999)
    given: list[tuple[int, int]] = []

    def chown(_: int, uid: int, gid: int) -> None:
        if not may:
            raise PermissionError(1, "Operation not permitted")
        given.append((uid, gid))

    monkeypatch.setattr(userdirs.os, "fchown", chown)
    after = create(compare(rules(data), {"amy": True}), {"amy": True})
    assert given == ([(64999, -1)] if may else [])
    # Nothing was really given away: that amy cannot write is told.
    assert states(after) == {"amy": ["made", "wrong owner"]}


def test_what_people_read(data: Path, make: Callable[..., Path]) -> None:
    make("amy")
    make("nobody\x1b[0m")
    lines = render(compare(rules(data), USERS)).splitlines()
    assert lines[-1] == "1 well"
    assert lines[0].split() == ["missing", str(data / "DropBox" / "zak")]
    assert lines[1].startswith("unknown")
    assert "\\x1b" in lines[1]


class TestLinksThatAUserMayHaveMade:
    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        home = tmp_path / "home"
        home.mkdir()
        home.chmod(0o777)
        return home

    def test_are_told_and_not_followed(self, data: Path, home: Path, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        (home / "myData").symlink_to(tmp_path / "secret")
        of = rules(data, importUsers="amy", watchDir=str(home / "myData"))
        (finding,) = compare(of, USERS)
        assert finding.state is State.UNREADABLE
        assert "is a symbolic link" in finding.what

    def test_nothing_is_made_behind_them(self, data: Path, home: Path, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        (home / "lab").symlink_to(tmp_path / "secret")
        wanted = Finding("amy", home / "lab" / "amy", State.MISSING)
        (finding,) = create([wanted], USERS)
        assert finding.state is State.MISSING
        assert "is a symbolic link" in finding.what
        assert list((tmp_path / "secret").iterdir()) == []
