"""What becomes of an existing site's properties: the headings, and the lines to run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omero.cli import CLI
from omero.plugins.prefs import PrefsControl

from omero_fs_plugin.config import lists
from omero_fs_plugin.config.parsing import read, read_monitoring
from omero_fs_plugin.config.properties import BY_NAME, PROPERTIES
from omero_fs_plugin.migration.carried import Migration, as_shipped, migrate, run
from omero_fs_plugin.migration.differences import SHIPPED
from omero_fs_plugin.migration.former import read as former_read
from tests import CHECKOUT
from tests.conftest import examples


def site(**properties: str) -> dict[str, str]:
    return {f"omero.fs.{name}": value for name, value in properties.items()}


def differs(migration: Migration) -> dict[str, str]:
    return {one.key.removeprefix("omero.fs."): one.what for one in migration.differs}


def to_run(migration: Migration) -> list[str]:
    return [str(line) for line in migration.lines if not line.blocked]


def test_defaults_need_no_line() -> None:
    migration = migrate(site(**{prop.name: prop.default for prop in PROPERTIES}))
    assert migration.lines == migration.same == migration.differs == migration.impossible == ()
    assert len(migration.defaults) == len(PROPERTIES)
    assert migration.exit_code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("dirImportWait", "60.0", id="written otherwise"),
        pytest.param("readers", ";", id="empty for each"),
        pytest.param("ignoreSysFiles", "true", id="in lower case"),
        pytest.param("eventTypes", " Creation, Modification ", id="with spaces"),
        pytest.param("importUsers", "default;", id="everyone"),
        pytest.param("port", "${ROUTERPORT}", id="the grid's own port"),
        pytest.param("throttleImport", "10", id="as every server was shipped"),
    ],
)
def test_what_is_at_its_default_needs_no_line(name: str, value: str) -> None:
    migration = migrate(site(**{name: value}))
    assert migration.lines == ()
    assert migration.exit_code == 0


@pytest.mark.parametrize(
    ("value", "line"),
    [
        pytest.param("30", "omero config set omero.fs.importArgs 30", id="plain"),
        pytest.param(
            "-n 'a b'",
            "omero config set -- omero.fs.importArgs '-n '\"'\"'a b'\"'\"''",
            id="a dash, and quotes",
        ),
        pytest.param("$(x)`y`", "omero config set omero.fs.importArgs '$(x)`y`'", id="a shell's"),
    ],
)
def test_lines_are_quoted_for_a_shell(value: str, line: str) -> None:
    (made,) = migrate(site(importArgs=value)).lines
    assert str(made) == line


@pytest.mark.parametrize(
    ("properties", "name", "what"),
    [
        pytest.param({"throttleImport": "10"}, "throttleImport", "not carried over", id="throttle"),
        pytest.param({"throttleImport": "3"}, "throttleImport", "all users together", id="chosen"),
        pytest.param({"blacklist": "old"}, "blacklist", "never used", id="blacklist"),
        pytest.param({"whitelist": "tif"}, "whitelist", "never used", id="whitelist"),
        pytest.param({"pathMode": "Flat"}, "pathMode", "should be Follow", id="Flat"),
        pytest.param({"pathMode": "Recurse"}, "pathMode", "when DropBox starts", id="Recurse"),
        pytest.param({"maxRetries": "9"}, "maxRetries", "still tried", id="maxRetries"),
        pytest.param(
            {"importUsers": "amy"}, "importUsers", "temporarily disabled", id="importUsers"
        ),
        pytest.param({"importUsers": "amy;zak"}, "importUsers", "IndexError", id="one for all"),
        pytest.param({"importUsers": "amy; zak"}, "importUsers", "KeyError", id="a space"),
        pytest.param({"importUsers": "default; zak"}, "importUsers", "KeyError", id="and default"),
        pytest.param(
            {"importArgs": "-n 'a;b'"}, "importArgs", "cut, silently", id="; within quotes"
        ),
        pytest.param(
            {"importArgs": "-s x"}, "importArgs", "session itself", id="an option of ours"
        ),
        pytest.param({"importArgs": "-report -send"}, "importArgs", "nothing leaves", id="-report"),
        pytest.param({"importArgs": "--new"}, "importArgs", "Java", id="an option of Java's"),
    ],
)
def test_what_differs(properties: Mapping[str, str], name: str, what: str) -> None:
    migration = migrate(site(**properties))
    assert what in differs(migration)[name]
    assert migration.exit_code == 0


def test_a_value_for_each_of_two_users_was_no_index_error() -> None:
    each = {prop.name: ";".join([prop.default] * 2) for prop in PROPERTIES if prop.each}
    each["watchDir"] = "/home/amy;/home/zak"
    migration = migrate(site(importUsers="amy;zak", **each))
    assert "IndexError" not in differs(migration)["importUsers"]
    assert len(migration.lines) == 2


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("omero.fs.watchdirs", "omero.fs.watchDir"),
        ("omero.fs.whiteList", "omero.fs.whitelist"),
        ("omero.FS.watchDir", "omero.fs.watchDir"),
        ("omero.watchDir", "omero.fs.watchDir"),
        ("watchDir", "omero.fs.watchDir"),
        ("omerofs.dirImportWait", "omero.fs.dirImportWait"),
    ],
)
def test_names_that_nobody_looked_at(key: str, near: str) -> None:
    migration = migrate({key: "x"})
    (told,) = migration.ignored
    assert (told.key, migration.exit_code) == (key, 1)
    assert told.what.endswith(f"did you mean {near}?")
    assert migration.lines == ()


@pytest.mark.parametrize(
    "key",
    [
        *("omero.web.port", "omero.host", "omero.data.dir", "omero.db.host", "Ice.Default.Host"),
        *("omero.fs.repo.path", "omero.fs.monitorServerIdString", "omero.fstest.config"),
        "omero.fs.fileServerAdapterName",
    ],
)
def test_names_of_others_and_of_stock_servers_are_no_mistake(key: str) -> None:
    migration = migrate({key: "x"})
    assert migration.exit_code == 0
    assert migration.ignored == ()


def test_a_value_too_many_is_told_even_if_it_is_the_default() -> None:
    migration = migrate(site(dirImportWait="60;60"))
    assert "2 values for 1 user" in migration.impossible[0].what
    assert to_run(migration) == []


def test_what_cannot_be_honoured_is_told_and_not_to_be_run() -> None:
    migration = migrate(
        site(
            importUsers="amy;zak",
            dirImportWait="30;sixty",
            readers="${OMERO_HOME}/readers.txt",
            importArgs="file.tif",
            observer="magic",
            watchDir="/home/amy;/home/zak",
        )
    )
    told = {one.key.removeprefix("omero.fs."): one.what for one in migration.impossible}
    assert set(told) == {"dirImportWait", "readers", "importArgs", "observer"}
    assert told["dirImportWait"].startswith("for zak, 'sixty': must be a number")
    assert "${OMERO_HOME}" in told["readers"]
    assert "only options" in told["importArgs"]
    assert migration.exit_code == 2
    assert [line.split()[3] for line in to_run(migration)] == [
        "omero.fs.importUsers",
        "omero.fs.watchDir",
    ]


def test_control_characters_are_shown_as_such_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "templates.xml"
    file.write_text(
        '<icegrid><properties id="DropBox"><property name="omero.fs.watchDir"'
        ' value="/a&#x9b;31m&#10;omero config set x y"/></properties></icegrid>',
        encoding="utf-8",
    )
    run(SimpleNamespace(out=print), file)
    said = capsys.readouterr().out
    assert "\x9b" not in said
    assert "/a\\x9b31m\\nomero config" in said
    assert "cannot be shown" in said


def _entry() -> st.SearchStrategy[str]:
    text = st.text(
        st.one_of(
            st.sampled_from(";,\"'\\$`~!-# "),
            st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), max_codepoint=0x2FF),
        ),
        max_size=8,
    )
    return st.one_of(
        text,
        st.sampled_from(["", "30", "10", "60", "True", "false", "Follow", "Creation,All", "2"]),
        text.map(lambda name: lists.quoted(f"/data/{name}")),
        st.sampled_from(["amy", "zak", "default", "-report -send", "-n 'a; b'", "DropBox/two"]),
    )


def _value() -> st.SearchStrategy[str]:
    return st.lists(_entry(), min_size=1, max_size=3).map(";".join)


NAMES = [prop.name for prop in PROPERTIES]


@settings(max_examples=examples(300), deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), _value(), max_size=6))
def test_the_lines_give_the_settings_that_the_file_has(given: dict[str, str]) -> None:
    properties = site(**given)
    migration = migrate(properties)
    set_: dict[str, str] = {}
    for line in migration.lines:
        words = shlex.split(str(line))
        assert words[:3] == ["omero", "config", "set"]
        *dashes, key, value = words[3:]
        assert dashes == (["--"] if value.startswith("-") else [])
        set_[key] = value
    shipped = {
        key
        for key, value in properties.items()
        if key not in set_ and as_shipped(BY_NAME[key[9:]], value.strip())
    }
    kept = {
        key: value for key, value in properties.items() if key not in shipped and "${" not in value
    }
    assert read({k: v for k, v in set_.items() if "${" not in v}) == read(kept)
    assert read_monitoring(set_) == read_monitoring(kept)
    assert shipped <= {f"omero.fs.{name}" for name in SHIPPED}


def released() -> list[Path]:
    named = os.environ.get("OMERO_FS_TEST_TEMPLATES")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data" / "omero-templates"
    return sorted(root.rglob("templates.xml"))


@pytest.mark.skipif(not released(), reason="no descriptors of a released OMERO.server here")
@pytest.mark.parametrize("file", released(), ids=str)
def test_released_servers_have_nothing_to_run(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(SimpleNamespace(out=print), file) == 0
    said = capsys.readouterr().out
    assert "To run: nothing" in said
    assert "Was ignored there" not in said
    assert "temporarily disabled" not in said


def test_the_lines_are_what_omero_config_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc" / "grid").mkdir(parents=True)
    for variable in ("OMERO_CONFIG", "OMERO_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OMERODIR", str(tmp_path))
    properties = site(
        importUsers="amy; zak",
        watchDir='"/home/amy;old";/home/zak/my data',
        importArgs="-report;-report -send -n \"it's ${x\" -x 'a;b'",
        blacklist='tmp,"a,b";',
        dirImportWait="30;",
    )
    cli = CLI()
    cli.register("config", PrefsControl, "")
    for line in migrate(properties).lines:
        assert not line.blocked
        cli.invoke(shlex.split(str(line))[1:], strict=True)
    former = former_read(tmp_path / "etc" / "grid" / "config.xml")
    assert read(former.properties) == read(properties)
    assert len(read(properties).rules) == 2
