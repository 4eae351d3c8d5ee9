"""What `omero fs check` says of the next start: other servers, and properties that are dropped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from omero_fs_plugin.checks import Level, Line, Subject
from omero_fs_plugin.checks.next_start import configuration, loaded, servers, variables
from omero_fs_plugin.checks.running import Running
from omero_fs_plugin.deployment import descriptor
from omero_fs_plugin.deployment.sources import Origin, Sources
from tests.omerodirs import GRID, installed

OURS = {
    "FSServer": ("-m", "omero_fs_plugin.monitor.server"),
    "DropBox": ("-m", "omero_fs_plugin.dropbox.server"),
    "Blitz-0": ("-Xmx1g",),
}
KEY = "omero.fs.dirImportWait"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """OMERO.server/ in a directory, as the image and the role lay it out."""
    top = tmp_path / "OMERO.server"
    top.mkdir()
    return installed(top)


def subject(site: Path, **named: str) -> Subject:
    given = {f"omero.fs.{name}": value for name, value in named.items()}
    return Subject(site, Sources(given, dict.fromkeys(given, Origin.CONFIG)))


def stock(site: Path) -> dict[str, tuple[str, ...]]:
    """The servers of a stock OMERO.server, of which nothing is set aside."""
    found = descriptor.options(*((GRID / name).read_bytes() for name in _NAMES))
    assert {"MonitorServer", "FileServer", "DropBox"} <= found.keys()
    return found


_NAMES = ("templates.xml", "default.xml")


def only(lines: list[Line]) -> Line:
    (line,) = lines
    return line


def deployed(site: Path, commands: dict[str, tuple[str, ...]]) -> list[Line]:
    return list(servers(subject(site), Running(away="", commands=commands)))


def test_the_grid_that_runs_is_that_of_the_templates(site: Path) -> None:
    assert only(deployed(site, OURS)).level is Level.OK
    assert list(servers(subject(site), Running())) == []  # it was not asked


def test_the_grid_that_runs_still_has_omeros_own(site: Path) -> None:
    line = only(deployed(site, stock(site)))
    assert line.level is Level.ERROR
    assert "MonitorServer of other templates" in line.what
    assert "DropBox of other templates" in line.what  # the same name, and another program
    assert "no FSServer" in line.what
    assert line.remedy == "`omero admin restart`"


def test_the_grid_that_runs_has_ours_and_the_templates_have_not(site: Path) -> None:
    for name in _NAMES:
        shutil.copy(GRID / name, site / "etc/templates/grid" / name)
    line = only(deployed(site, OURS))
    assert line.level is Level.ERROR
    assert "FSServer of other templates" in line.what
    assert line.remedy.startswith("`omero fs install`")


def test_a_stock_server_has_no_line_of_its_own(site: Path) -> None:
    for name in _NAMES:
        shutil.copy(GRID / name, site / "etc/templates/grid" / name)
    assert deployed(site, stock(site)) == []  # `grid` says that ours are not installed


def kept(site: Path, lines: str, **environment: str) -> list[Line]:
    config = site.parent / "config"
    config.mkdir(exist_ok=True)
    (config / "50.omero").write_text(lines)
    return list(configuration(subject(site, dirImportWait="5"), environment))


def test_without_such_files_nothing_is_dropped(site: Path) -> None:
    assert list(configuration(subject(site, dirImportWait="5"), {})) == []


@pytest.mark.parametrize(
    "lines",
    [
        f"config set {KEY} 5",
        f"config set -- {KEY} '5'",
        f"config set --report {KEY} 5  # why",
        f"config set {KEY} 7\nconfig drop default\nconfig set -- {KEY} 5",
    ],
)
def test_what_the_files_set_stays(site: Path, lines: str) -> None:
    assert only(kept(site, lines)).level is Level.OK


@pytest.mark.parametrize(
    "lines",
    [
        "# nothing",
        f"config set {KEY} 7",
        f"config set {KEY} 5\nconfig drop default",
        f"config set {KEY} 5\nconfig set {KEY}",
        f"config get {KEY}\nuser list",
    ],
)
def test_what_the_files_do_not_set_is_dropped(site: Path, lines: str) -> None:
    line = only(kept(site, lines))
    assert line.level is Level.WARNING
    assert KEY in line.what
    assert line.remedy.endswith(f"config set -- {KEY} 5`")


@pytest.mark.parametrize(
    "lines",
    ["config load more.txt", f"config set -f value {KEY}", f"config append {KEY} 5", "config 'set"],
)
def test_nothing_is_said_of_what_nobody_knows(site: Path, lines: str) -> None:
    assert all(line.level is Level.OK for line in kept(site, lines))


def test_the_environment_counts_as_in_the_image(site: Path) -> None:
    assert only(kept(site, "", CONFIG_omero_fs_dirImportWait="5")).level is Level.OK
    found, _ = loaded(site.parent / "config", {"CONFIG_omero_a__b_c": "1", "PATH": "x"})
    assert found == {"omero.a_b.c": "1"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, ""),
        ({"CONFIG_omero_fs_dirImportWait": "5", "CONFIG_omero_db_host": "x"}, ""),
        ({"CONFIG_omero_fs_dirImportWait": "5", "omero_fs_dirImportWait": "6"}, ""),
        (
            {"CONFIG_omero_fs_dirImportWait": "5", "CONFIG_omero.fs.dirImportWait": "6"},
            "differently; OMERO's image takes the one that it meets last, "
            "CONFIG_omero.fs.dirImportWait",
        ),
        ({"CONFIG_omero_fs_dirImportWait": "5", "CONFIG_omero.fs.dirImportWait": "5"}, ""),
        (
            {"CONFIG_omero_fs__dirImportWait": "5"},
            "CONFIG_omero_fs__dirImportWait sets omero.fs_dirImportWait, which nothing reads",
        ),
        (
            {"CONFIG_omero_fs_dirImportWait": "5", "CONFIG_omero_fs__dirImportWait": "6"},
            f"which nothing reads; CONFIG_omero_fs_dirImportWait sets {KEY}",
        ),
        ({"CONFIG_omero__fs__dirImportWait": "5"}, "sets omero_fs_dirImportWait, which nothing"),
    ],
)
def test_variables_that_clash_are_named(environment: dict[str, str], words: str) -> None:
    found = list(variables(environment))
    assert [line.level for line in found] == ([Level.WARNING] if words else [])
    assert all(words in line.what for line in found)


def test_a_link_to_the_release_is_followed(site: Path) -> None:
    """The role has OMERO.server as a link to the directory of a release."""
    kept(site, f"config set {KEY} 7")
    above = site.parent / "elsewhere"
    above.mkdir()
    (above / "OMERO.server").symlink_to(site)
    of = Subject(above / "OMERO.server", subject(site, dirImportWait="5").sources)
    assert only(list(configuration(of, {}))).level is Level.WARNING
