"""What `omero fs check` says of the page My drops."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.checks import Level, Subject
from omero_fs_plugin.checks.web import page
from omero_fs_plugin.deployment.sources import Origin, Sources

APPS, ADDRESS, INTERVAL = "omero.web.apps", "omero.fs.webAddress", "omero.fs.publishInterval"


@pytest.mark.parametrize(
    ("given", "level", "says"),
    [
        (
            {},
            Level.OK,
            "where OMERO.web is, is not set; omero_fs_web is not in",
        ),
        ({APPS: '["x", "omero_fs_web"]'}, Level.OK, "OMERO.web has the page"),
        ({ADDRESS: "https://o.example.org/w/"}, Level.OK, "https://o.example.org/w/omero_fs_web/"),
        ({INTERVAL: "off"}, Level.OK, "no page shows users their files"),
        ({INTERVAL: "off", APPS: '["omero_fs_web"]'}, Level.WARNING, "has nothing to show"),
        ({APPS: "omero_fs_web"}, Level.OK, "is not in omero.web.apps"),
        ({APPS: '{"omero_fs_web": 1}'}, Level.OK, "is not in omero.web.apps"),
        ({APPS: "[" * 5000}, Level.OK, "is not in omero.web.apps"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_where_the_page_is(tmp_path: Path, given: dict[str, str], level: Level, says: str) -> None:
    (line,) = page(Subject(tmp_path, Sources(given, dict.fromkeys(given, Origin.CONFIG))))
    assert (line.level, says in line.what) == (level, True), line
    assert bool(line.remedy) == (level is not Level.OK)
