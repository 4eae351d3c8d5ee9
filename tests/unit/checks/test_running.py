"""`omero fs check` over the servers that run."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from omero_fs_plugin.checks import Level, Subject, configuration, directories, inotify, java
from omero_fs_plugin.checks.running import Running, changes, servers, users
from omero_fs_plugin.deployment.sources import Sources
from omero_fs_plugin.dropbox.grouping.child import landlock
from omero_fs_plugin.starts import Condition, Life, condition

from .sites import ERROR, OK, WARNING, conditions, levels, only, subject, told, watched


def test_all_is_well(site: Path) -> None:
    assert levels(servers(subject(site), told())) == [OK, OK]


def test_omero_does_not_run(site: Path) -> None:
    line = only(servers(subject(site), Running(away="the registry cannot be reached")))
    assert (line.level, line.kind) == (WARNING, "down")
    assert "the registry cannot be reached" in line.what
    assert list(users(Running(away="so"))) == []


@pytest.mark.parametrize(
    ("figures", "level", "words"),
    [
        ({"problem.1": "omero.fs.x = 'y': wrong"}, ERROR, "omero.fs.x"),
        ({"refused": "omero.fs.x = 'y': wrong"}, ERROR, "refused"),
        ({"restart": "omero.fs.port"}, WARNING, "omero.fs.port"),
        ({"version": "0.0.1"}, WARNING, "0.0.1"),
        ({"beside": "OMERO: another DropBox"}, ERROR, "is not alone: OMERO: another DropBox"),
        ({"state": "waiting for OMERO", "reason": "it is away"}, WARNING, "it is away"),
        ({"watch.1.problem": "gone", "watch.1.directory": "/d"}, WARNING, "/d: gone"),
    ],
)
def test_the_servers_own_word(
    site: Path, figures: dict[str, str], level: Level, words: str
) -> None:
    found = [line for line in servers(subject(site), told(**figures)) if line.level is not OK]
    assert levels(found) == [level]
    assert words in found[0].what


def test_what_the_configuration_says_itself_is_told_once(site: Path) -> None:
    of = subject(site, importers="x")
    running = told(**{"problem.1": str(of.settings.problems[0])})
    assert levels(servers(of, running)) == [OK, OK]


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("not deployed", "omero fs install"),
        ("inactive", "omero admin ice server start DropBox"),
        ("inactive (disabled)", "omero admin ice server enable DropBox"),
    ],
)
def test_a_server_that_does_not_run(site: Path, state: str, remedy: str) -> None:
    running = told()
    running.figures["DropBox"] = {}
    running.conditions = conditions(running.figures, {"FSServer": "active", "DropBox": state})
    lines = list(servers(subject(site), running))
    assert levels(lines) == [OK, ERROR]
    assert remedy in lines[1].remedy


def test_a_server_that_does_not_answer(site: Path) -> None:
    running = told()
    running.figures["DropBox"] = {}
    running.conditions = conditions(running.figures)
    assert levels(servers(subject(site), running)) == [OK, ERROR]


@pytest.mark.parametrize(
    ("life", "level", "words"),
    [
        (Life(began=2.0), OK, "DropBox is starting, for 2 s"),
        (Life(began=99.0), ERROR, "DropBox does not come up: it has been starting for 99 s"),
        (Life(began=2.0, ends=3), ERROR, "DropBox ends again and again (3 times in 2 minutes)"),
    ],
    ids=["a moment", "too long", "again and again"],
)
def test_a_server_that_is_being_started(site: Path, life: Life, level: Level, words: str) -> None:
    running = told()
    running.figures["DropBox"] = {}
    running.conditions = {
        "FSServer": Condition(),
        "DropBox": condition("DropBox", "activating", life, answers=False),
    }
    line = list(servers(subject(site), running))[-1]
    assert (line.level, line.what) == (level, words)


@pytest.mark.parametrize(("new", "level"), [(True, OK), (False, WARNING)])
def test_dropbox_waits_for_an_fsserver(site: Path, new: bool, level: Level) -> None:
    running = told(state="waiting for FSServer", reason="not connected to FSServer yet")
    running.conditions["FSServer"] = Condition(new=new)
    (line,) = [one for one in servers(subject(site), running) if "waiting" in one.what]
    assert line.level is level
    assert "not connected to FSServer yet" in line.what


def test_what_was_set_since(site: Path) -> None:
    running = told()
    running.properties = {"DropBox": {"omero.data.dir": f"{site}/data", "omero.fs.importers": "2"}}
    line = next(line for line in servers(subject(site, importers="3"), running) if line.remedy)
    assert line.what == "DropBox runs with other values of omero.fs.importers"
    assert line.remedy == "`omero fs reload`"


def test_an_empty_value_is_no_value() -> None:
    assert changes({"omero.fs.watchDir": "", "omero.x": "1"}, {"omero.fs.importers": ""}) == []
    assert changes({"omero.fs.watchDir": "/a"}, {}) == []  # it did not say


def test_who_is_a_user() -> None:
    running = Running(
        away="",
        users={"amy": "", "eve": "there is no OMERO user named eve", "lost+found": "there is none"},
        listed={"amy", "eve"},
    )
    lines = list(users(running))
    assert levels(lines) == [ERROR, WARNING, OK]
    assert lines[2].what == "1 are active users of OMERO: amy"


def test_omero_is_away() -> None:
    assert levels(users(Running(away="", omero="OMERO does not answer"))) == [ERROR]


def test_omero_has_no_checksum_of_ours() -> None:
    running = Running(away="", lacking="OMERO does not offer the checksum algorithm SHA1-160")
    lines = list(users(running))
    assert levels(lines) == [ERROR, OK]
    assert "omero.checksum.supported" in lines[0].remedy


@pytest.mark.parametrize(
    ("importers", "pool", "level"),
    [
        ("2", "", OK),
        ("5", "10", OK),
        ("6", "10", WARNING),
        ("8", "", WARNING),
        ("8", "20", OK),
        ("2", "x", OK),
    ],
)
def test_importers_beside_the_pool(site: Path, importers: str, pool: str, level: Level) -> None:
    given = {"omero.db.poolsize": pool} if pool else {}
    line = only(configuration.connections(subject(site, given, importers=importers)))
    assert line.level is level
    assert "omero.db.poolsize" in line.what


def test_a_busy_omero_is_told_of(site: Path) -> None:
    busy = "OMERO is busy, 1 of 2 imports at a time: no connection"
    lines = list(servers(subject(site), told(busy=busy)))
    assert [line.what for line in lines if line.level is WARNING] == [f"DropBox: {busy}"]


def test_what_fsserver_has(site: Path) -> None:
    running = told()
    running.figures["FSServer"] = {"monitor.a.watches": "5", "monitor.b.watches": "7"}
    assert running.taken == inotify.Taken(12, 2)


def test_a_link_that_a_user_may_have_made_and_what_is_omeros_own(site: Path) -> None:
    home = site / "home"
    home.mkdir()
    home.chmod(0o777)
    (home / "myData").symlink_to(site)
    of = subject(site, importUsers="amy", watchDir=str(home / "myData"))
    line = only(watched(of))
    assert line.level is ERROR
    assert "is a symbolic link" in line.what
    assert "omero.fs.watchDir" in line.remedy
    (site / "data" / "ManagedRepository").mkdir()
    (site / "link").symlink_to(site / "data" / "ManagedRepository")
    of = subject(site, importUsers="amy", watchDir=str(site / "link"))
    assert "it is OMERO's managed repository" in only(watched(of)).what


def test_two_watch_directories_that_are_one(
    site: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.mktemp("elsewhere")
    (top / "amy").mkdir()
    (top / "link").symlink_to(top / "amy")
    of = subject(site, importUsers="amy;zak", watchDir=f"{top}/link;{top}/amy")
    roots = directories.roots_of(of)
    levels_of_both = [levels(directories.watched(of, roots, one)) for one in of.settings.rules]
    (line,) = directories.in_each_others_way(roots, of.settings.rules)
    assert line.level is ERROR
    assert line.what.startswith(f"{top}/link is not followed: {top}/amy, which is watched as")
    assert levels_of_both == [[OK], [OK]], "the first, as it was taken before the other was known"


@pytest.mark.parametrize(
    ("version", "missing", "level", "says"),
    [
        (7, 0, OK, "can open the watched directories and their own program, and nothing else"),
        (0, errno.ENOSYS, WARNING, "may read what the server may: this kernel has no Landlock"),
        (0, errno.EOPNOTSUPP, WARNING, "Landlock is switched off in this kernel"),
    ],
    ids=["there", "none", "switched off"],
)
def test_what_the_kernel_keeps_readers_from(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: int,
    missing: int,
    level: Level,
    says: str,
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: version)
    monkeypatch.setattr(landlock, "missing", lambda: missing)
    (line,) = java.reading(Subject(tmp_path, Sources({}, {})))
    assert line.level is level and says in line.what
    assert ("lsm=" in line.remedy) is (level is WARNING)
