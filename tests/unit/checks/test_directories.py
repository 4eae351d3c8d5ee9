"""`omero fs check` over watched directories, where DropBox writes, and inotify's limits."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from omero_fs_plugin import filesystems
from omero_fs_plugin.checks import Level, account, configuration, directories, inotify
from omero_fs_plugin.checks.running import Running, users

from .sites import ERROR, OK, WARNING, levels, only, rule, subject, watched


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
    ("most", "taken", "level"), [(1000, 0, OK), (124, 0, WARNING), (125, 0, OK), (50, 0, WARNING)]
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
