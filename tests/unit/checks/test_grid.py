"""`omero fs check` over the grid: what is installed, and the port."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from omero_fs_plugin.checks import Level, Subject, account, grid, mail
from omero_fs_plugin.deployment import installation
from omero_fs_plugin.deployment.sources import Sources, variables
from tests.omerodirs import GRID

from .sites import ERROR, OK, WARNING, levels, only, subject


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
