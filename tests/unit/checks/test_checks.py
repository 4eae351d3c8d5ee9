"""What `omero fs check` says of a site, one kind of check after the other."""

from __future__ import annotations

import ast
import errno
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from omero_fs_plugin import __version__, filesystems
from omero_fs_plugin.checks import (
    Level,
    Line,
    Subject,
    account,
    configuration,
    directories,
    grid,
    inotify,
    java,
    mail,
    space,
    timely,
)
from omero_fs_plugin.checks import ok as fine
from omero_fs_plugin.checks.running import Running, changes, servers, users
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.deployment import installation
from omero_fs_plugin.deployment.sources import Origin, Sources, variables
from omero_fs_plugin.dropbox.grouping.child import landlock
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.starts import Condition, Life, condition
from tests.omerodirs import GRID, installed

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An OMERODIR with our servers in its templates, and data/DropBox."""
    installed(tmp_path)
    (tmp_path / "data/DropBox").mkdir(parents=True)
    return tmp_path


def subject(site: Path, properties: Mapping[str, str] = {}, **named: str) -> Subject:
    """With data/ as omero.data.dir, and these omero.fs properties."""
    given = {
        "omero.data.dir": str(site / "data"),
        **{f"omero.fs.{name}": value for name, value in named.items()},
        **properties,
    }
    return Subject(site, Sources(given, dict.fromkeys(given, Origin.CONFIG)))


def rule(of: Subject) -> Rule:
    (one,) = of.settings.rules
    return one


def levels(lines: Iterable[Line]) -> list[Level]:
    found = list(lines)
    for line in found:
        assert (line.remedy == "") == (line.level is OK), line
        assert "\n" not in line.what + line.remedy
    return [line.level for line in found]


def only(lines: Iterable[Line]) -> Line:
    (line,) = lines
    return line


_PROGRAMS = (
    r"omero (?:fs|config|admin|user|group) |(?:mkdir|chmod|chown|setfacl|sysctl|mv|df) [-/\w{]"
)


def test_every_command_that_is_advised_stands_in_backquotes() -> None:
    """So it is broken nowhere on a terminal, and one sees where it ends."""
    bare = []
    for file in sorted(Path(directories.__file__).parent.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and isinstance(node.body[0], ast.Expr)
        }
        parts = {id(part) for node in ast.walk(tree) for part in getattr(node, "values", ())}
        for node in ast.walk(tree):
            whole = isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts
            if whole and id(node) not in documented:
                text = ast.unparse(node)
                bare += [
                    f"{file.name}:{node.lineno}: {text}"
                    for found in re.finditer(_PROGRAMS, text)
                    if text[: found.start()].count("`") % 2 == 0
                ]
    assert bare == []


# Time


def test_what_does_not_answer_is_told_with_what_it_said() -> None:
    never = threading.Event()

    def share() -> Iterator[Line]:
        yield fine("share", "begun")
        never.wait()

    try:
        lines = timely.within(
            0.5,
            [timely.Check("share", share), timely.Check("disk", lambda: [fine("disk", "good")])],
        )
    finally:
        never.set()
    assert [(line.about, line.what) for line in lines] == [
        ("share", "begun"),
        ("share", "no answer within 0.5 s"),
        ("disk", "good"),
    ]
    assert lines[1].level is ERROR


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ConfigurationError("the file is wrong"), "the file is wrong"),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied"),
        (OSError(5, "Input/output error"), "it: Input/output error"),
        (KeyError("x"), "could not be looked at: KeyError: 'x'"),
    ],
)
def test_whatever_goes_wrong_is_a_line(raised: Exception, told: str) -> None:
    def look() -> Iterator[Line]:
        raise raised
        yield

    line = only(timely.within(5, [timely.Check("it", look)]))
    assert (line.level, line.what) == (ERROR, told)
    assert line.remedy


# Properties


def test_right_values(site: Path) -> None:
    line = only(configuration.values(subject(site, importers="3")))
    assert line.level is OK
    assert line.what.startswith("1 of ")


def test_wrong_values_of_both_servers_are_told_once(site: Path) -> None:
    lines = list(
        configuration.values(
            subject(site, importers="x", serverIdString="A;B", observer="fam", importer5="1")
        )
    )
    assert levels(lines) == [ERROR, ERROR, WARNING]
    assert len({line.what for line in lines}) == len(lines)
    assert "omero config set -- omero.fs.importers VALUE" in lines[0].remedy
    assert lines[-1].remedy == "remove it: `omero config set omero.fs.importer5`"


def test_a_wrong_value_in_templates_xml_says_where_it_is(site: Path) -> None:
    key = "omero.fs.importers"
    of = Subject(site, Sources({key: "x"}, {key: Origin.TEMPLATES}))
    assert "templates.xml" in only(configuration.values(of)).remedy


def test_an_edit_that_the_next_start_undoes(site: Path) -> None:
    written = (site / "etc/templates/grid/templates.xml").read_text()
    generated = site / "etc/grid/templates.xml"
    generated.write_text(written)
    assert list(configuration.edited(subject(site))) == []
    generated.write_text(written.replace('importers" value="2"', 'importers" value="4"'))
    line = only(configuration.edited(subject(site)))
    assert line.level is WARNING
    assert line.remedy == "`omero config set -- omero.fs.importers 4`"


def methods(site: Path, **named: str) -> list[Line]:
    of = subject(site, **named)
    return list(configuration.method(of, rule(of)))


def test_readers(site: Path) -> None:
    file = site / "readers.txt"
    (missing,) = methods(site, readers=str(file))
    assert missing.level is ERROR
    file.write_text("TiffReader\nZeissCZIReader\n")
    assert f", 2 readers of {file};" in methods(site, readers=str(file))[0].what
    file.write_text("TifReader\n")
    (wrong,) = methods(site, readers=str(file))
    assert (wrong.level, wrong.what.endswith("did you mean TiffReader?")) == (ERROR, True)
    assert wrong.remedy.startswith("`omero config set -- omero.fs.readers VALUE`")


def test_import_args(site: Path) -> None:
    assert levels(methods(site)) == [OK]
    assert levels(methods(site, importArgs="--name 'a b'")) == [OK]
    # OMERO's documentation has it as an example.
    assert levels(methods(site, importArgs="-report -send")) == [OK]
    assert levels(methods(site, importArgs="-s other")) == [WARNING, OK]
    assert levels(methods(site, importArgs="--name", target="Nothing:x")) == [ERROR, ERROR]
    assert levels(methods(site, importArgs="--annotation-ns x")) == [ERROR]
    assert levels(methods(site, importer="java")) == [ERROR]


# Directories


def watched(of: Subject) -> Iterator[Line]:
    """What is said of the directory of its first rule."""
    return directories.watched(of, directories.roots_of(of), rule(of))


def test_each_users_directory(site: Path) -> None:
    for name in ("amy", "zak", ".hidden"):
        (site / "data/DropBox" / name).mkdir(mode=0o755)
    of = subject(site)
    line = only(watched(of))
    assert line.level is OK
    assert line.what == f"{site}/data/DropBox has 2 directories that can be read: amy, zak"


def test_nobody_has_a_directory(site: Path) -> None:
    of = subject(site)
    line = only(watched(of))
    assert (line.level, line.remedy) == (WARNING, "`omero fs users --create`, while OMERO runs")


def test_a_directory_that_dropbox_makes_itself(site: Path) -> None:
    (site / "data/DropBox").rmdir()
    of = subject(site)
    assert only(watched(of)).what.endswith("is made when DropBox starts")


def test_a_directory_that_is_not_there_or_none(site: Path) -> None:
    of = subject(site, importUsers="amy", watchDir=str(site / "amy"))
    line = only(watched(of))
    assert (line.level, line.about) == (ERROR, "directory of amy")
    assert f"mkdir -p {site}/amy" in line.remedy
    (site / "amy").write_text("")
    assert only(watched(of)).what == f"{site}/amy is not a directory"


def test_a_link_and_a_directory_that_everybody_may_write_to(site: Path) -> None:
    dropbox = site / "data/DropBox"
    (dropbox / "amy").symlink_to("/tmp")
    (dropbox / "zak").mkdir()
    (dropbox / "zak").chmod(0o777)
    dropbox.chmod(0o777)
    of = subject(site)
    lines = list(watched(of))
    assert levels(lines) == [WARNING] * 4
    assert [line.about for line in lines] == [
        "directory of default",
        "directory of amy",
        "directory of zak",
        "directory of default",
    ]
    assert lines[0].remedy == f"`chmod o-w {dropbox}`"


def test_a_directory_whose_name_is_not_utf8(site: Path) -> None:
    """The command that is advised is one that bash takes."""
    dropbox = site / "data/DropBox"
    odd = Path(os.fsdecode(os.fsencode(dropbox) + b"/am\xe9 \n1"))
    odd.mkdir(mode=0o755)
    (dropbox / "zak").mkdir(mode=0o755)
    line, other = watched(subject(site))
    assert (line.level, other.level) == (WARNING, OK)
    assert "is not valid UTF-8" in line.what and "1 directories" in other.what
    command = line.remedy.split("`")[1]
    assert command.isprintable()
    subprocess.run(["bash", "-c", command.replace("USER", "amy")], check=True)
    assert sorted(path.name for path in dropbox.iterdir()) == ["amy", "zak"]
    running = Running(away="", users={odd.name: "no OMERO user", f"lab/{odd.name}": "no user"})
    told = list(users(running))
    assert [one.level for one in told] == [WARNING, OK]
    assert "rename the directory" in told[0].remedy and "user add" not in told[0].remedy


@pytest.mark.parametrize("name", ["with a space", "amy's", "a&b", "$(x)"])
def test_a_command_that_is_advised_has_the_path_as_a_shell_reads_it(site: Path, name: str) -> None:
    directory = site / name
    line = only(watched(subject(site, importUsers="amy", watchDir=str(directory))))
    command = line.remedy.split("`")[1]
    subprocess.run(["bash", "-c", command], check=True)
    assert directory.is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_directories_that_cannot_be_read(site: Path) -> None:
    dropbox, above = site / "data/DropBox", site / "above"
    (dropbox / "amy").mkdir(mode=0)
    (dropbox / "zak").mkdir(mode=0o555)
    (above / "in").mkdir(parents=True)
    of, elsewhere = subject(site), subject(site, watchDir=str(above / "in"))
    above.chmod(0)
    try:
        lines = list(watched(of))
        assert [(line.level, line.about) for line in lines[:2]] == [
            (ERROR, "directory of amy"),
            (WARNING, "directory of zak"),
        ]
        assert "setfacl" in lines[0].remedy
        assert lines[1].remedy == f"`chmod u+w {dropbox}/zak`"
        assert levels(watched(elsewhere)) == [ERROR]
        above.chmod(0o755)
        (above / "in").chmod(0)
        assert levels(watched(elsewhere)) == [ERROR]
    finally:
        above.chmod(0o755)
        (above / "in").chmod(0o755)


@pytest.mark.parametrize(
    ("observer", "level", "words"),
    [("auto", OK, "polled each 10 s"), ("inotify", WARNING, "only what this machine writes")],
)
def test_a_network_file_system(
    site: Path, monkeypatch: pytest.MonkeyPatch, observer: str, level: Level, words: str
) -> None:
    monkeypatch.setattr(filesystems, "shared", lambda path: "nfs4")
    of = subject(site, importUsers="amy", watchDir=str(site / "data/DropBox"), observer=observer)
    told = next(line for line in watched(of) if "nfs4" in line.what)
    assert told.level is level
    assert words in told.what


def test_where_dropbox_writes(site: Path) -> None:
    assert levels(directories.written(subject(site))) == [OK]
    assert levels(directories.written(subject(site, quarantine=str(site / "bad")))) == [OK, OK]
    missing = subject(site, {"omero.data.dir": str(site / "none")})
    assert levels(directories.written(missing)) == [ERROR]


def test_a_quarantine_that_cannot_be_used(site: Path) -> None:
    """The advice gives away no directory that belongs to others."""
    (site / "file").touch()
    for place in (site / "file", site / "file/bad"):
        line = only(directories.quarantined(subject(site, quarantine=str(place))))
        assert (line.level, line.what) == (ERROR, f"{site}/file is not a directory")
        assert not line.remedy.endswith(f"chown {account.name_of(site)} {site}`")


def test_the_directory_that_imported_files_are_moved_to(site: Path) -> None:
    done = site / "done"
    of = subject(site, afterImport=f"move:{done}")
    (line,) = directories.moved_to(of, *directories.moves(of.settings))
    assert (line.level, line.what) == (ERROR, f"{done} is not there, so no file is moved")
    assert f"mkdir -p {done}; chown " in line.remedy
    done.touch()
    assert levels(directories.written(of)) == [OK, ERROR]
    done.unlink()
    done.mkdir()
    assert levels(directories.written(of)) == [OK, OK]
    assert directories.moves(subject(site).settings) == []


def test_images_without_a_target_are_told_of(site: Path) -> None:
    of = subject(site)
    lines = list(configuration.method(of, rule(of)))
    assert "no dataset" in lines[-1].what and "omero.fs.target" in lines[-1].what
    of = subject(site, target="Dataset:name:{dir1}")
    assert "no dataset" not in " ".join(line.what for line in configuration.method(of, rule(of)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_dropbox_cannot_write(site: Path) -> None:
    shut = site / "shut"
    shut.mkdir(mode=0o555)
    of = subject(site, {"omero.data.dir": str(shut)}, quarantine=str(shut / "bad"))
    lines = list(directories.written(of))
    assert levels(lines) == [ERROR, ERROR]
    assert lines[1].what == f"{shut}/bad cannot be made"
    (line,) = directories.moved_to(of, shut)
    assert (line.level, line.what) == (ERROR, f"{shut} cannot be written to")


# inotify


def proc(tmp_path: Path, *, watches: int, instances: int = 128, queued: int = 16384) -> Path:
    """A /proc with these limits, and no process."""
    made = tmp_path / "proc"
    for name, value in {
        "max_user_watches": watches,
        "max_user_instances": instances,
        "max_queued_events": queued,
    }.items():
        file = made / "sys/fs/inotify" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    return made


FOREVER = float("inf")


def test_directories_are_counted_as_they_are_watched(site: Path) -> None:
    top = site / "data/DropBox"
    for name in ("amy/a/b", "amy/skip/c", "amy/.hidden/d", "zak"):
        (top / name).mkdir(parents=True)
    (top / "amy/file").write_text("")
    (top / "amy/link").symlink_to(site)

    def counted(**named: str) -> inotify.Count:
        return inotify.count(rule(subject(site, **named)), observer="auto", end=FOREVER)

    assert counted() == inotify.Count(7, True)
    assert counted(blacklist="skip") == inotify.Count(5, True)
    assert counted(ignoreSysFiles="False") == inotify.Count(9, True)
    # Its monitor follows all the same, for the users' directories are below.
    assert counted(pathMode="Flat") == inotify.Count(7, True)
    assert counted(importUsers="amy", pathMode="Flat") == inotify.Count(1, True)


def test_what_is_polled_takes_no_watch(site: Path) -> None:
    of = rule(subject(site))
    assert inotify.count(of, observer="polling", end=FOREVER) == inotify.Count(0, True)


def test_a_tree_that_takes_too_long_is_counted_in_part(site: Path) -> None:
    (site / "data/DropBox/amy/a").mkdir(parents=True)
    counted = inotify.count(rule(subject(site)), observer="auto", end=0.0)
    assert counted == inotify.Count(2, False)


@pytest.mark.parametrize(
    ("most", "taken", "level"),
    [(1000, 0, OK), (124, 0, WARNING), (125, 0, OK), (50, 0, WARNING)],
)
def test_the_limit_of_watches(tmp_path: Path, most: int, taken: int, level: Level) -> None:
    counts = [inotify.Count(60, True), inotify.Count(40, True)]
    made = proc(tmp_path, watches=most)
    lines = list(inotify.enough(counts, inotify.Taken(taken), proc=made))
    assert levels(lines) == [level, OK, OK]
    assert "directories to watch: 100 of" in lines[0].what
    assert ("polled" in lines[0].what) == (most < 100)


def test_the_other_limits(tmp_path: Path) -> None:
    made = proc(tmp_path, watches=1000, instances=2, queued=100)
    counts = [inotify.Count(1, False), inotify.Count(0, True), inotify.Count(1, True)]
    lines = list(inotify.enough(counts, inotify.Taken(), proc=made))
    assert levels(lines) == [OK, WARNING, WARNING]
    assert "at least 2" in lines[0].what
    assert "fs.inotify.max_user_instances=" in lines[1].remedy


def test_what_fsserver_has_already_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify.limits, "use", lambda proc: inotify.limits.Use(150, 3))
    made = proc(tmp_path, watches=200, instances=4)
    counts = [inotify.Count(100, True)]
    assert levels(inotify.enough(counts, inotify.Taken(100, 1), proc=made))[0] is OK
    assert levels(inotify.enough(counts, inotify.Taken(), proc=made))[0] is WARNING


# Space


@pytest.mark.parametrize(
    ("gib", "inodes", "level"),
    [(0.5, 1.0, ERROR), (1, 1.0, WARNING), (9.9, 1.0, WARNING), (10, 1.0, OK), (99, 0.01, WARNING)],
)
def test_free_space(site: Path, gib: float, inodes: float, level: Level) -> None:
    asked: list[Path] = []

    def look(path: Path) -> space.Free:
        asked.append(path)
        return space.Free(int(gib * space.GIB), inodes)

    assert levels(space.repository(subject(site), look)) == [level]
    assert levels(space.journal(subject(site), look)) == [level]
    assert asked == [site / "data", site / "data"]  # the repository is not there yet
    elsewhere = subject(site, {"omero.managed.dir": "${omero.data.dir}/DropBox"})
    assert levels(space.repository(elsewhere, look)) == [level]
    assert asked[2] == site / "data/DropBox"


def test_a_journal_in_postgresql_takes_no_room_here(site: Path) -> None:
    assert list(space.journal(subject(site, journal="postgresql://h/db"))) == []


def test_free_space_is_asked_of_the_disk(tmp_path: Path) -> None:
    found = space.free(tmp_path)
    assert found.bytes > 0
    assert 0 < found.inodes <= 1


# The grid


def test_installed(site: Path) -> None:
    assert levels(grid.installed(subject(site))) == [OK]
    generated = site / "etc/grid/templates.xml"
    shutil.copy(GRID / "templates.xml", generated)
    line = only(grid.installed(subject(site)))
    assert (line.level, line.remedy) == (WARNING, "`omero admin restart`")


def test_another_version_is_installed(site: Path) -> None:
    path = site / "etc/templates/grid/templates.xml"
    path.write_text(path.read_text().replace('name="omero.fs.importers"', 'name="omero.fs.imps"'))
    line = only(grid.installed(subject(site)))
    assert (line.level, line.remedy) == (ERROR, "`omero fs install`; `omero admin restart`")
    assert "another version" in line.what


def test_nothing_is_installed(site: Path, tmp_path: Path) -> None:
    installation.uninstall(site)
    assert "not in it" in only(grid.installed(subject(site))).what
    line = only(grid.installed(Subject(tmp_path / "none", Sources({}, {}))))
    assert (line.level, "OMERODIR" in line.remedy) == (ERROR, True)


def test_an_upgrade_brings_omeros_own_servers_back(site: Path) -> None:
    for name in ("templates.xml", "default.xml"):
        shutil.copy(GRID / name, site / "etc/templates/grid" / name)
    line = only(grid.installed(subject(site)))
    assert line.level is ERROR
    assert "OMERO's own servers are back" in line.what
    assert list(grid.router(subject(site), running=False)) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", []), ("master:Blitz-0,FSServer,DropBox", [OK]), ("master:Blitz-0,DropBox", [ERROR])],
)
def test_node_descriptors(site: Path, value: str, expected: list[Level]) -> None:
    of = subject(site, {"omero.server.nodedescriptors": value})
    assert levels(grid.nodes(of)) == expected


@pytest.mark.parametrize(
    ("running", "answers", "level"),
    [(True, True, OK), (True, False, ERROR), (False, True, WARNING), (False, False, OK)],
)
def test_the_port(
    site: Path, monkeypatch: pytest.MonkeyPatch, running: bool, answers: bool, level: Level
) -> None:
    monkeypatch.setattr(grid, "_connects", lambda host, port: answers)
    assert levels(grid.router(subject(site), running=running)) == [level]


def test_a_port_that_is_not_the_routers(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "_connects", lambda host, port: True)
    (site / "etc/grid/default.xml").write_text(
        '<icegrid><application name="OMERO"><variable name="ROUTERPORT" value="14064"/>'
        "</application></icegrid>"
    )
    lines = list(grid.router(subject(site), running=True))
    assert levels(lines) == [WARNING, OK]
    assert "14064" in lines[0].what


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        ({}, 4064),
        ({"omero.ports.prefix": "2"}, 24064),
        ({"omero.ports.prefix": "2", "omero.ports.ssl": "4074"}, 24074),
    ],
    ids=["default", "prefix", "prefix and port"],
)
def test_before_the_first_start_the_port_is_that_of_the_configuration(
    site: Path, ports: dict[str, str], port: int
) -> None:
    """Then there is only the template of default.xml."""
    (site / "etc/grid/default.xml").unlink(missing_ok=True)
    (site / "etc/templates/grid/default.xml").write_text(
        '<icegrid><application name="OMERO"><variable name="ROUTERPORT" '
        'value="@omero.ports.prefix@@omero.ports.ssl@"/><variable name="OTHER" '
        'value="@omero.host@"/></application></icegrid>'
    )
    assert variables(site, ports) == {"ROUTERPORT": str(port)}


def test_run_as_whom(site: Path) -> None:
    assert levels(account.who(subject(site))) == [OK]
    if os.geteuid() != 0:
        # /etc is root's, and so would be its OMERO.server.
        assert levels(account.who(subject(Path("/")))) == [WARNING]


def test_mail(site: Path) -> None:
    assert levels(mail.mail(subject(site, {"omero.mail.config": "true"}))) == [OK]
    told = subject(site, {"omero.fs.notify": "both", "omero.mail.port": "smtp"})
    doubtful, by = mail.mail(told)
    assert "omero.mail.port" in doubtful.what and doubtful.level == WARNING
    assert by.what == (
        "users and admins are told by mail, by localhost:25 (omero.mail.host and port)"
    )


# The servers that run

ACTIVE = {"FSServer": "active", "DropBox": "active"}


def told(**figures: str) -> Running:
    """Both run, and DropBox says this."""
    said = {"state": "running", "version": __version__, **figures}
    figures = {"FSServer": {"monitors": "1"}, "DropBox": said}
    return Running(away="", states=ACTIVE, conditions=conditions(figures), figures=figures)


def conditions(
    figures: dict[str, dict[str, str]], states: dict[str, str] = ACTIVE
) -> dict[str, Condition]:
    """As the grid tells them."""
    return {
        server: condition(server, state, Life(), answers=bool(figures.get(server)))
        for server, state in states.items()
    }


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
