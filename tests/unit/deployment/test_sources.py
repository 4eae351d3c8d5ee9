"""Where a value comes from, and that what is printed means the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omero.cli import NonZeroReturnCode
from omero.config import ConfigXml

from omero_fs_plugin.cli import config
from omero_fs_plugin.config.parsing import read, read_monitoring
from omero_fs_plugin.config.properties import PROPERTIES
from omero_fs_plugin.deployment.sources import Origin, Row, Sources, look, rows_of
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import Site
from tests.omerodirs import GRID, installed
from tests.rules import as_properties


@pytest.fixture
def omerodir(tmp_path: Path) -> Path:
    """With our servers in its templates, before its first start."""
    return installed(tmp_path)


def configure(omerodir: Path, **properties: str) -> None:
    written = ConfigXml(str(omerodir / "etc/grid/config.xml"))
    for name, value in properties.items():
        written[f"omero.fs.{name}"] = value
    written.close()


def start(omerodir: Path) -> Path:
    """As far as `omero admin rewrite` matters here; the templates.xml that it writes."""
    for name in ("templates.xml", "default.xml"):
        text = (omerodir / "etc/templates/grid" / name).read_text()
        text = text.replace("@omero.ports.prefix@@omero.ports.ssl@", "14064")
        (omerodir / "etc/grid" / name).write_text(text)
    return omerodir / "etc/grid/templates.xml"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def given_by(properties: Mapping[str, str]) -> Sources:
    named = {f"omero.fs.{name}": value for name, value in properties.items()}
    return Sources(named, dict.fromkeys(named, Origin.CONFIG))


def column(rows: list[Row], name: str) -> list[tuple[str, str, Origin]]:
    return [(row.user, row.cells[name].value, row.cells[name].origin) for row in rows]


# Where it comes from


def test_nothing_is_set(omerodir: Path) -> None:
    sources = look(omerodir)
    assert sources.settings == read({})
    for server in ("DropBox", "FSServer"):
        assert {cell.origin for cell in sources.for_everyone(server).values()} == {Origin.DEFAULT}
    (row,) = sources.rows()
    assert {cell.origin for cell in row.cells.values()} == {Origin.DEFAULT}


def test_an_edited_templates_xml_counts(omerodir: Path) -> None:
    path = start(omerodir)
    edit(path, 'name="omero.fs.pathMode" value="Follow"', 'name="omero.fs.pathMode" value="Flat"')
    sources = look(omerodir)
    assert column(sources.rows(), "pathMode") == [("default", "Flat", Origin.TEMPLATES)]
    assert sources.settings.rules[0].path_mode == "Flat"


def test_the_templates_behind_it_count_before_the_first_start(omerodir: Path) -> None:
    path = omerodir / "etc/templates/grid/templates.xml"
    edit(path, 'name="omero.fs.importers" value="2"', 'name="omero.fs.importers" value="3"')
    cell = look(omerodir).for_everyone("DropBox")["importers"]
    assert (cell.value, cell.origin) == ("3", Origin.TEMPLATES)


def test_omero_config_wins(omerodir: Path) -> None:
    path = start(omerodir)
    edit(path, 'name="omero.fs.pathMode" value="Follow"', 'name="omero.fs.pathMode" value="Flat"')
    configure(omerodir, pathMode="Recurse")
    assert column(look(omerodir).rows(), "pathMode") == [("default", "Recurse", Origin.CONFIG)]


def test_an_empty_value_of_omero_config_is_the_default(omerodir: Path) -> None:
    """Ice drops a property that is set to nothing: what was in templates.xml goes too."""
    path = start(omerodir)
    edit(path, 'name="omero.fs.pathMode" value="Follow"', 'name="omero.fs.pathMode" value="Flat"')
    configure(omerodir, pathMode="")
    assert column(look(omerodir).rows(), "pathMode") == [("default", "Follow", Origin.DEFAULT)]


def test_what_a_stock_server_has_is_not_ours(omerodir: Path) -> None:
    """Before `omero fs install`, <properties id="DropBox"> is for servers that are not ours."""
    shutil.copy(GRID / "templates.xml", omerodir / "etc/templates/grid/templates.xml")
    assert column(look(omerodir).rows(), "throttleImport") == [("default", "0", Origin.DEFAULT)]


def test_the_port_is_the_routers(omerodir: Path) -> None:
    start(omerodir)
    cell = look(omerodir).for_everyone("DropBox")["port"]
    assert (cell.value, cell.origin) == ("14064", Origin.DEFAULT)


def test_each_entry_has_a_source_of_its_own() -> None:
    sources = given_by({"importUsers": "amy;zak;bob", "dirImportWait": "1;;2", "pathMode": "Flat"})
    assert column(sources.rows(), "dirImportWait") == [
        ("amy", "1", Origin.CONFIG),
        ("zak", "60", Origin.DEFAULT),
        ("bob", "2", Origin.CONFIG),
    ]
    assert [origin for _, _, origin in column(sources.rows(), "pathMode")] == [Origin.CONFIG] * 3


def test_a_wrong_entry_stands_with_what_is_wrong() -> None:
    sources = given_by({"importUsers": "amy;zak;amy", "dirImportWait": "1;2;soon"})
    wrong = "must be a number of seconds from 0 to 1000000000"
    cells = [row.cells["dirImportWait"] for row in sources.rows()]
    assert [(cell.value, cell.problem) for cell in cells] == [("1", ""), ("2", ""), ("soon", wrong)]


def test_of_two_directories_the_one_that_another_has() -> None:
    sources = given_by({"importUsers": "amy;zak;zak", "watchDir": "/a;/b;/a/"})
    cells = [row.cells["watchDir"].problem for row in sources.rows()]
    assert cells == ["", "", "is watched for amy already; each needs a directory of its own"]


def test_a_file_that_cannot_be_read_is_told(omerodir: Path) -> None:
    (omerodir / "etc/grid/templates.xml").write_text("<icegrid><FSServerTemplate")
    with pytest.raises(ConfigurationError, match="not well-formed"):
        look(omerodir)


# What the other commands go by


def test_every_command_goes_by_templates_xml_too(omerodir: Path) -> None:
    path = start(omerodir)
    edit(path, 'name="omero.fs.watchDir" value=""', 'name="omero.fs.watchDir" value="/drop"')
    configure(omerodir, importers="3")
    settings = Site(omerodir).settings()
    assert settings.rules[0].watch_dir == Path("/drop")
    assert (settings.importers, settings.port) == (3, 14064)


def test_without_a_configuration_no_command_guesses(omerodir: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no configuration: is OMERODIR set"):
        Site(omerodir).settings()
    (omerodir / "etc/grid/config.xml").write_text("<icegrid>")
    with pytest.raises(ConfigurationError, match=r"config\.xml is not well-formed XML"):
        Site(omerodir).settings()


# For one user


def test_the_rules_of_a_user() -> None:
    rows = given_by({"importUsers": "amy;default;amy", "watchDir": "/a;;/b"}).rows()
    assert [row.cells["watchDir"].value for row in rows_of(rows, "amy")] == ["/a", "/b"]
    assert [row.user for row in rows_of(rows, "zak")] == ["default"]


def test_a_user_for_whom_nothing_is_imported() -> None:
    with pytest.raises(ConfigurationError, match="nothing is imported for zak") as told:
        rows_of(given_by({"importUsers": "amy;bob"}).rows(), "zak")
    assert "amy, bob" in str(told.value)


# What is printed means the same

_NAMES = [prop.name for prop in PROPERTIES if prop.name != "importUsers"]
_USERS = st.sampled_from(["", "amy", "amy;zak", "default;amy", "amy;zak;amy", '"a;b";zak', "a/b"])
_ENTRIES = st.lists(
    st.sampled_from(
        (
            *("", " ", '""', "1", "0.5", "soon", "True", "Flat", "/a", '"/a;b"', "/OMERO"),
            *(".tif,x", "All", "'a; b' c", '"', "x y", "skip"),
        )
    ),
    max_size=4,
).map(";".join)


@given(users=_USERS, texts=st.dictionaries(st.sampled_from(_NAMES), _ENTRIES, max_size=8))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_printed_is_read_as_the_same(users: str, texts: dict[str, str]) -> None:
    """With the same problems, where there are any."""
    sources = given_by({**texts, "importUsers": users})
    printed = sources.printed()
    assert read(printed) == sources.settings
    assert read_monitoring(printed) == sources.monitoring
    assert set(printed) >= {prop.key for prop in PROPERTIES}


@given(users=_USERS, texts=st.dictionaries(st.sampled_from(_NAMES), _ENTRIES, max_size=8))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_right_values_are_printed_as_settings_write_them(users: str, texts: dict[str, str]) -> None:
    sources = given_by({**texts, "importUsers": users})
    if sources.settings.problems or sources.monitoring.problems:
        return
    printed, written = sources.printed(), as_properties(sources.settings)
    assert read(written) == read(printed) == replace(sources.settings, warnings=())


# The command


class Context:
    def __init__(self, omerodir: Path) -> None:
        self.dir = str(omerodir)
        self.lines: list[str] = []
        self.errors: list[str] = []

    def out(self, text: str) -> None:
        self.lines += text.splitlines()

    def err(self, text: str) -> None:
        self.errors.append(text)

    def die(self, code: int, text: str) -> None:
        self.errors.append(text)
        raise NonZeroReturnCode(code, text)


def run(omerodir: Path, **options: Any) -> tuple[int, Context]:
    context = Context(omerodir)
    given_options = {"json": False, "user": None, "show_password": False, **options}
    try:
        config.run(context, SimpleNamespace(**given_options))
    except NonZeroReturnCode as ended:
        return ended.rv, context
    return 0, context


def test_every_property_is_shown(omerodir: Path) -> None:
    code, told = run(omerodir)
    assert code == 0
    shown = [line.split()[0] for line in told.lines]
    assert shown[:2] == ["Property", "omero.data.dir"]
    assert set(shown[1:]) == {"omero.data.dir", *(prop.key for prop in PROPERTIES)}


def test_a_wrong_value_is_shown_and_ends_with_2(omerodir: Path) -> None:
    configure(omerodir, pathMode="follow", importers="2;3", observer="fam")
    code, told = run(omerodir)
    assert code == 2
    (line,) = [line for line in told.lines if line.startswith("omero.fs.pathMode")]
    assert line.split()[1:5] == ["default", "follow", "omero", "config"]
    assert line.endswith("must be Flat or Recurse or Follow; did you mean Follow?")
    for name in ("pathMode", "importers", "observer"):
        assert f"omero.fs.{name} = " in told.errors[-1]


def test_a_name_that_is_no_property_is_a_warning(omerodir: Path) -> None:
    configure(omerodir, dirImportWiat="2")
    code, told = run(omerodir)
    assert code == 0
    assert told.errors == [
        "warning: omero.fs.dirImportWiat = '2': is not a property of OMERO.fs; "
        "did you mean omero.fs.dirImportWait?"
    ]


def test_json_can_be_set_again(omerodir: Path) -> None:
    configure(omerodir, importUsers="amy;default", watchDir="/home/amy", dirImportWait=";5")
    code, told = run(omerodir, json=True)
    # One directory for both, as one value applies to all.
    assert code == 2
    answer = json.loads("\n".join(told.lines))
    assert read(answer["properties"]) == look(omerodir).settings
    assert [user["values"]["dirImportWait"]["value"] for user in answer["users"]] == ["60", "5"]
    assert "default" in answer["problems"][0]


def test_a_user_of_default_has_a_subdirectory(omerodir: Path) -> None:
    configure(omerodir, watchDir="/data/in")
    code, told = run(omerodir, user="zak")
    assert (code, told.lines[0]) == (0, "zak drops files into /data/in/zak")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:se:c@ret@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me@h/db?password=secret&x=1", "postgresql://me@h/db?password=***&x=1"),
        ("sqlite:////a/b", "sqlite:////a/b"),
    ],
)
def test_a_password_is_shown_on_demand_only(omerodir: Path, url: str, shown: str) -> None:
    configure(omerodir, journal=url)
    for as_json in (False, True):
        _, told = run(omerodir, json=as_json)
        assert shown in "\n".join(told.lines)
        assert "secret" not in "\n".join(told.lines)
    assert url in "\n".join(run(omerodir, show_password=True)[1].lines)
