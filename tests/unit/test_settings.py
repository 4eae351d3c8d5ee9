"""The properties: what each value means, and what is said of one that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.settings import PROPERTIES, read


def test_the_defaults_are_the_documented_ones() -> None:
    settings = read({"omero.data.dir": "/OMERO"})
    assert settings.watch_dir == Path("/OMERO/DropBox")
    assert settings.quiet_period == 60
    assert settings.journal_url == "sqlite:////OMERO/omero-fs-journal.sqlite"
    assert settings.event_types == ("Creation", "Modification")
    assert (settings.path_mode, settings.ignore_sys_files) == ("Follow", True)


@pytest.mark.parametrize("name", [p.name for p in PROPERTIES])
def test_an_empty_value_takes_the_default(name: str) -> None:
    assert read({f"omero.fs.{name}": " "}) == read({})


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("dirImportWait", "2", "quiet_period", 2.0),
        ("dirImportWait", " 0.5 ", "quiet_period", 0.5),
        ("watchDir", "/data/in", "watch_dir", Path("/data/in")),
        ("defaultDropBoxDir", "In", "watch_dir", Path("/OMERO/In")),
        ("ignoreSysFiles", "false", "ignore_sys_files", False),
        ("whitelist", ".tif, .czi,", "whitelist", (".tif", ".czi")),
        ("eventTypes", "All", "event_types", ("All",)),
        ("importers", "4", "importers", 4),
        ("journal", "postgresql://h/db", "journal_url", "postgresql://h/db"),
    ],
)
def test_a_value_means_what_it_says(name: str, value: str, field: str, expected: object) -> None:
    assert getattr(read({f"omero.fs.{name}": value}), field) == expected


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("dirImportWait", "soon", "a number of seconds, 0 or more"),
        ("dirImportWait", "-1", "a number of seconds, 0 or more"),
        ("dirImportWait", "nan", "a number of seconds, 0 or more"),
        ("dirImportWait", "60;60", "one value for all users"),
        ("watchDir", "in", "an absolute path"),
        ("ignoreSysFiles", "yes", "True or False"),
        ("pathMode", "follow", "Flat or Recurse or Follow"),
        ("eventTypes", "Creation,Change", "one or more of Creation"),
        ("importers", "0", "a whole number from 1 to 64"),
        ("port", "99999", "a whole number from 1 to 65535"),
        ("blockSize", "1.5", "a whole number from 0"),
        ("importUsers", "amy;zak", "must be default"),
        ("readers", "/etc/readers.txt", "natively only"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_told(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read({f"omero.fs.{name}": value})
    assert f"omero.fs.{name}" in str(error.value)
    assert told in str(error.value)


def test_all_of_them_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        read({"omero.fs.importers": "x", "omero.fs.port": "y"})
    assert "omero.fs.importers" in str(error.value)
    assert "omero.fs.port" in str(error.value)


def test_every_property_says_what_it_is() -> None:
    assert len({p.name for p in PROPERTIES}) == len(PROPERTIES)
    for prop in PROPERTIES:
        assert prop.meaning
        assert prop.key == f"omero.fs.{prop.name}"
