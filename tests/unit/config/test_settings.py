"""The properties: what each value means, and what is said of one that means nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.config import lists
from omero_fs_plugin.config.after_import import KEEP, AfterImport
from omero_fs_plugin.config.changes import needs_restart
from omero_fs_plugin.config.layout import LAYOUTS
from omero_fs_plugin.config.parsing import read, read_monitoring
from omero_fs_plugin.config.properties import BY_NAME, PROPERTIES
from omero_fs_plugin.config.schedule import Window
from omero_fs_plugin.config.settings import Rule, Settings, effective
from omero_fs_plugin.errors import ConfigurationError
from tests.rules import as_properties, settings_of


def of(user: str, settings: Settings) -> Rule:
    (rule,) = [rule for rule in settings.rules if rule.user == user]
    return rule


# One value


def test_the_defaults_are_the_documented_ones() -> None:
    settings = read({"omero.data.dir": "/OMERO"})
    (rule,) = settings.rules
    assert (rule.user, rule.watch_dir) == ("default", Path("/OMERO/DropBox"))
    assert rule.quiet_period == 60
    assert settings.journal_url == "sqlite:////OMERO/omero-fs-journal.sqlite"
    assert rule.event_types == ("Creation", "Modification")
    assert (rule.path_mode, rule.ignore_sys_files) == ("Follow", True)
    assert not settings.problems
    assert not settings.warnings


@pytest.mark.parametrize("name", [p.name for p in PROPERTIES])
@pytest.mark.parametrize("empty", ["", " ", ";"])
def test_an_empty_value_takes_the_default(name: str, empty: str) -> None:
    if empty == ";" and BY_NAME[name].kind.name == "text" and name != "importUsers":
        pytest.skip("a text may have a ; in it")
    key = f"omero.fs.{name}"
    assert read({key: empty}) == read({})
    assert read_monitoring({key: empty}) == read_monitoring({})


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("dirImportWait", "2", "quiet_period", 2.0),
        ("dirImportWait", " 0.5 ", "quiet_period", 0.5),
        ("dirImportWait", '"7"', "quiet_period", 7.0),
        ("watchDir", "/data/in", "watch_dir", Path("/data/in")),
        ("watchDir", "/data//in/./x/", "watch_dir", Path("/data/in/x")),
        ("watchDir", '"/data/a;b"', "watch_dir", Path("/data/a;b")),
        ("watchDir", '"/data/ ""q"" "', "watch_dir", Path('/data/ "q" ')),
        ("defaultDropBoxDir", "In", "watch_dir", Path("/OMERO/In")),
        ("ignoreSysFiles", "false", "ignore_sys_files", False),
        ("whitelist", ".tif, .czi,", "whitelist", (".tif", ".czi")),
        ("whitelist", '"a,b", c', "whitelist", ("a,b", "c")),
        ("eventTypes", "All", "event_types", ("All",)),
        ("pathMode", "Flat", "path_mode", "Flat"),
        ("readers", "/etc/r.txt", "readers", Path("/etc/r.txt")),
        ("importArgs", "-report -send", "import_args", ("-report", "-send")),
        ("importArgs", "--name 'a; b' -d 5", "import_args", ("--name", "a; b", "-d", "5")),
        ("importArgs", '--name "it\'s"', "import_args", ("--name", "it's")),
    ],
)
def test_a_value_means_what_it_says(name: str, value: str, field: str, expected: object) -> None:
    (rule,) = settings_of(**{name: value}).rules
    assert getattr(rule, field) == expected


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("importers", "4", "importers", 4),
        ("importers", "4;4", "importers", 4),
        ("journal", "postgresql://h/db;x", "journal_url", "postgresql://h/db;x"),
        ("quarantine", "/failed", "quarantine", Path("/failed")),
        ("duplicates", "import", "duplicates", "import"),
        ("rescanInterval", "0", "rescan_interval", 0.0),
    ],
)
def test_a_value_for_everyone(name: str, value: str, field: str, expected: object) -> None:
    assert getattr(settings_of(**{name: value}), field) == expected


def test_dropbox_without_importers_needs_others_to_have_some() -> None:
    shared = {"journal": "postgresql://h/db", "importers": "0"}
    settings = settings_of(nodeImporters="2", **shared)
    assert not settings.problems
    assert (settings.importers, settings.importers_elsewhere) == (0, 2)
    assert settings_of(importers="3").importers_elsewhere == 3


# Lists of users


def test_the_documented_example_of_two_directories() -> None:
    """OMERO's documentation: the remaining properties are at their defaults for both users."""
    settings = settings_of(importUsers="amy;zak", watchDir="/home/amy/myData;/home/zak/work/data")
    assert [rule.watch_dir for rule in settings.rules] == [
        Path("/home/amy/myData"),
        Path("/home/zak/work/data"),
    ]
    assert {rule.quiet_period for rule in settings.rules} == {60.0}


def test_the_documented_full_example() -> None:
    settings = settings_of(
        importUsers="amy;zak",
        watchDir="/home/amy/myData;/home/zak/work/data",
        eventTypes="Creation,Modification;Creation,Modification",
        pathMode="Follow;Follow",
        whitelist=";",
        blacklist=";",
        timeout="0.0;0.0",
        blockSize="0;0",
        ignoreSysFiles="True;True",
        ignoreDirEvents="True;True",
        dirImportWait="60;60",
        readers="/home/amy/my_readers.txt;",
        importArgs="-report;-report -send",
    )
    amy, zak = of("amy", settings), of("zak", settings)
    assert (amy.readers, zak.readers) == (Path("/home/amy/my_readers.txt"), None)
    assert (amy.import_args, zak.import_args) == (("-report",), ("-report", "-send"))


@pytest.mark.parametrize(
    ("value", "periods"),
    [
        ("1;;2", [1, 60, 2]),  # OMERO's documentation: what is missing takes the default
        ("1;2", [1, 2, 60]),
        ("1;2;", [1, 2, 60]),
        ("1;2;3;", [1, 2, 3]),
        ("5", [5, 5, 5]),  # one for all
        ("5;", [5, 60, 60]),
        (";5", [60, 5, 60]),
        (" 1 ; 2 ;3 ", [1, 2, 3]),
        (";;;;", [60, 60, 60]),
    ],
)
def test_the_entry_of_each_user(value: str, periods: list[float]) -> None:
    settings = settings_of(importUsers="amy; bob ;zak", dirImportWait=value)
    assert [rule.user for rule in settings.rules] == ["amy", "bob", "zak"]
    assert [rule.quiet_period for rule in settings.rules] == periods


def test_a_named_user_without_a_directory_has_one_in_the_dropbox() -> None:
    settings = settings_of(importUsers="amy;zak")
    assert of("zak", settings).watch_dir == Path("/OMERO/DropBox/zak")


def test_everyone_beside_named_users() -> None:
    settings = settings_of(importUsers="default;amy", watchDir=";/home/amy")
    assert of("default", settings).watch_dir == Path("/OMERO/DropBox")
    assert of("amy", settings).watch_dir == Path("/home/amy")


def test_a_user_may_have_several_directories() -> None:
    settings = settings_of(importUsers="amy;amy", watchDir="/a;/b", dirImportWait="1;2")
    assert [(str(r.watch_dir), r.quiet_period) for r in settings.rules] == [("/a", 1), ("/b", 2)]


# What cannot be

# Each with exactly what is said of it.
# ruff: noqa: E501
BAD = [
    (
        {"dirImportWait": "soon"},
        "dirImportWait = 'soon' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"dirImportWait": "-1"},
        "dirImportWait = '-1' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"dirImportWait": "nan"},
        "dirImportWait = 'nan' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"dirImportWait": "inf"},
        "dirImportWait = 'inf' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"dirImportWait": "60s"},
        "dirImportWait = '60s' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"throttleImport": "1,5"},
        "throttleImport = '1,5' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"timeout": "never"},
        "timeout = 'never' for default: must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"rescanInterval": "-0.1"},
        "rescanInterval = '-0.1': must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"timeToLive": "1e10"},
        "timeToLive = '1e10': must be a number of seconds from 0 to 1000000000",
    ),
    ({"timeToIdle": "x"}, "timeToIdle = 'x': must be a number of seconds from 0 to 1000000000"),
    (
        {"longestWait": "1 h"},
        "longestWait = '1 h': must be a number of seconds from 0 to 1000000000",
    ),
    (
        {"retryInterval": "3601"},
        "retryInterval = '3601': must be a number of seconds from 0 to 3600",
    ),
    ({"watchDir": "in"}, "watchDir = 'in' for default: must be an absolute path"),
    ({"watchDir": "~/in"}, "watchDir = '~/in' for default: must be an absolute path"),
    (
        {"watchDir": "/a/../b"},
        "watchDir = '/a/../b' for default: must be an absolute path without '..'",
    ),
    ({"watchDir": '"/a'}, "watchDir = '\"/a': has a \" that is not closed"),
    (
        {"watchDir": "/OMERO"},
        "watchDir = '/OMERO' for default: must lie apart from OMERO's own /OMERO/ManagedRepository",
    ),
    (
        {"watchDir": "/OMERO/ManagedRepository/amy"},
        "watchDir = '/OMERO/ManagedRepository/amy' for default: must lie apart from OMERO's own /OMERO/ManagedRepository",
    ),
    (
        {"watchDir": "/a;/b"},
        "watchDir = '/a;/b': has 2 values for 1 user of omero.fs.importUsers; name the missing ones, "
        "or, if it is one value: `omero config set omero.fs.watchDir '\"/a;/b\"'`",
    ),
    (
        {"defaultDropBoxDir": "/abs"},
        "defaultDropBoxDir = '/abs': must be the name of a directory, relative and without '..'",
    ),
    (
        {"defaultDropBoxDir": "../x"},
        "defaultDropBoxDir = '../x': must be the name of a directory, relative and without '..'",
    ),
    ({"ignoreSysFiles": "yes"}, "ignoreSysFiles = 'yes' for default: must be True or False"),
    (
        {"ignoreDirEvents": "Ture"},
        "ignoreDirEvents = 'Ture' for default: must be True or False; did you mean True?",
    ),
    ({"platformCheck": "1"}, "platformCheck = '1': must be True or False"),
    (
        {"pathMode": "follow"},
        "pathMode = 'follow' for default: must be Flat or Recurse or Follow; did you mean Follow?",
    ),
    (
        {"pathMode": "Recursive"},
        "pathMode = 'Recursive' for default: must be Flat or Recurse or Follow; did you mean Recurse?",
    ),
    ({"pathMode": "deep"}, "pathMode = 'deep' for default: must be Flat or Recurse or Follow"),
    (
        {"eventTypes": "Creation,Change"},
        "eventTypes = 'Creation,Change' for default: must be one or more of Creation, Modification, Deletion, All, with commas between",
    ),
    (
        {"eventTypes": "Creations"},
        "eventTypes = 'Creations' for default: must be one or more of Creation, Modification, Deletion, All, with commas between; did you mean Creation?",
    ),
    (
        {"eventTypes": ","},
        "eventTypes = ',' for default: must be one or more of Creation, Modification, Deletion, All, with commas between",
    ),
    (
        {"eventTypes": '""'},
        "eventTypes = '\"\"' for default: must be one or more of Creation, Modification, Deletion, All, with commas between",
    ),
    (
        {"importers": "0"},
        "importers = '0': leaves all to other machines, which need omero.fs.journal in PostgreSQL",
    ),
    (
        {"importers": "0", "journal": "postgresql://h/db"},
        "importers = '0': leaves all to other machines: set omero.fs.nodeImporters to their number",
    ),
    ({"importers": "-1"}, "importers = '-1': must be a whole number from 0 to 64"),
    ({"importers": "+-3"}, "importers = '+-3': must be a whole number from 0 to 64"),
    (
        {"importers": "9" * 5000},
        f"importers = '{'9' * 300}'... (5,000 characters): must be a whole number from 0 to 64",
    ),
    ({"importers": "65"}, "importers = '65': must be a whole number from 0 to 64"),
    (
        {"importers": "2;3"},
        "importers = '2;3': has one value for all users, and cannot have one for each",
    ),
    ({"fileBatch": "ten"}, "fileBatch = 'ten': must be a whole number from 1 to 1000000000"),
    ({"maxRetries": "0"}, "maxRetries = '0': must be a whole number from 1 to 1000"),
    ({"port": "99999"}, "port = '99999': must be a whole number from 1 to 65535"),
    ({"port": "4064x"}, "port = '4064x': must be a whole number from 1 to 65535"),
    ({"host": "a b"}, "host = 'a b': must be one word without spaces"),
    (
        {"blockSize": "1.5"},
        "blockSize = '1.5' for default: must be a whole number from 0 to 1000000000",
    ),
    (
        {"blockSize": "-1"},
        "blockSize = '-1' for default: must be a whole number from 0 to 1000000000",
    ),
    (
        {"blockSize": "٣"},
        "blockSize = '٣' for default: must be a whole number from 0 to 1000000000",
    ),
    ({"readers": "readers.txt"}, "readers = 'readers.txt' for default: must be an absolute path"),
    (
        {"importArgs": "--name it's"},
        "importArgs = \"--name it's\": has a ' that is not closed",
    ),
    (
        {"importArgs": "a\\"},
        "importArgs = 'a\\\\' for default: must be arguments as a shell takes them, with every quote closed",
    ),
    ({"duplicates": "Skip"}, "duplicates = 'Skip': must be skip or import; did you mean skip?"),
    ({"quarantine": "failed"}, "quarantine = 'failed': must be an absolute path"),
    (
        {"quarantine": "/OMERO/DropBox/failed"},
        "quarantine = '/OMERO/DropBox/failed': must lie outside /OMERO/DropBox, which is watched",
    ),
    (
        {"clientIdString": "Drop Box"},
        "clientIdString = 'Drop Box': must be one word without spaces",
    ),
    ({"importUsers": "a/b"}, "importUsers = 'a/b': 'a/b' is not a user's name"),
    (
        {"importUsers": '"amy'},
        "importUsers = '\"amy': has a \" that is not closed",
    ),
    (
        {"importUsers": "amy;zak", "watchDir": "/a;/b;/c"},
        "watchDir = '/a;/b;/c': has 3 values for 2 users of omero.fs.importUsers; name the missing ones",
    ),
    (
        {"importUsers": "amy;zak", "watchDir": "/same"},
        "watchDir = '/same' for zak: is watched for amy already; each needs a directory of its own",
    ),
    (
        {"importUsers": "amy;zak", "pathMode": "Follow;Folow"},
        "pathMode = 'Folow' for zak: must be Flat or Recurse or Follow; did you mean Follow?",
    ),
]


def test_there_are_enough_of_them() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize(("properties", "told"), BAD, ids=[str(bad[0]) for bad in BAD])
def test_a_value_that_cannot_be_honoured_is_told(properties: dict[str, str], told: str) -> None:
    settings = read({f"omero.fs.{name}": value for name, value in properties.items()})
    (problem,) = settings.problems
    assert str(problem) == f"omero.fs.{told}"
    with pytest.raises(ConfigurationError):
        settings.check()


def test_arguments_with_a_semicolon_between_are_shown_as_they_were_meant() -> None:
    """As in a recipe that many sites have copied."""
    text = '-T "regex:^.*/(?<Container1>.*?)"; --transfer=ln_s'
    (problem,) = read({"omero.fs.importArgs": text}).problems
    meant = '-T "regex:^.*/(?<Container1>.*?)" --transfer=ln_s'
    assert f"`omero config set -- omero.fs.importArgs '{meant}'`" in str(problem)
    assert read({"omero.fs.importArgs": meant}).problems == ()


@pytest.mark.parametrize(
    "argument",
    [r'"a \" ; b"', r"a\;b", r"'a \'"],
    ids=["a quote in quotes", "outside quotes", "not in single quotes"],
)
def test_a_backslash_in_arguments_protects_as_in_a_shell(argument: str) -> None:
    settings = read({"omero.fs.importArgs": f"-n {argument}"})
    assert settings.problems == ()
    assert settings.rules[0].import_args == ("-n", *shlex.split(argument))


def test_all_of_them_are_told_at_once() -> None:
    settings = read({"omero.fs.importers": "x", "omero.fs.port": "y", "omero.fs.pathMode": "z"})
    assert [p.key for p in settings.problems] == [
        "omero.fs.importers",
        "omero.fs.port",
        "omero.fs.pathMode",
    ]


def test_a_bad_entry_stops_that_user_and_no_other() -> None:
    settings = read(
        {"omero.fs.importUsers": "amy;zak;default", "omero.fs.dirImportWait": "1;soon;3"}
    )
    assert [rule.user for rule in settings.rules] == ["amy", "default"]
    assert settings.held == {"zak"}
    (problem,) = settings.problems
    assert str(problem) == (
        "omero.fs.dirImportWait = 'soon' for zak: must be a number of seconds from 0 to 1000000000"
    )


def test_what_is_wrong_for_everyone_stops_everyone() -> None:
    settings = read({"omero.fs.importUsers": "amy;zak", "omero.fs.duplicates": "maybe"})
    assert settings.rules == ()
    assert settings.held == {""}


def test_a_name_that_is_no_property_is_told_with_the_nearest() -> None:
    settings = read({"omero.fs.dirImportWiat": "5", "omero.fs.repo.path": "%user%", "omero.x": ""})
    (warning,) = settings.warnings
    assert str(warning) == (
        "omero.fs.dirImportWiat = '5': is not a property of OMERO.fs; "
        "did you mean omero.fs.dirImportWait?"
    )
    assert not settings.problems


def test_fsserver_goes_on_with_the_default() -> None:
    monitoring = read_monitoring(
        {"omero.fs.observer": "fsevents", "omero.fs.fileServerRoots": "data", "omero.fs.port": "x"}
    )
    assert (monitoring.observer, monitoring.file_server_roots) == ("auto", ())
    assert [problem.key for problem in monitoring.problems] == [
        "omero.fs.observer",
        "omero.fs.fileServerRoots",
    ]


def test_a_directory_without_a_name_is_none() -> None:
    (problem,) = read_monitoring({"omero.fs.fileServerRoots": '""'}).problems
    assert str(problem) == (
        "omero.fs.fileServerRoots = '\"\"': "
        "must be absolute paths without '..', with commas between"
    )


def test_the_directory_in_force_is_written_as_it_is_read() -> None:
    (rule,) = settings_of(watchDir='"/data/a;b"').rules
    assert effective(rule)["watchDir"] == '"/data/a;b"'


def test_a_change_that_needs_a_restart() -> None:
    before = read({})
    assert needs_restart(before, read({"omero.fs.dirImportWait": "1"})) == []
    after = read({"omero.fs.port": "4065", "omero.fs.duplicates": "import", "omero.data.dir": "/x"})
    assert needs_restart(before, after) == ["omero.fs.port", "omero.data.dir"]


def test_every_property_says_what_it_is() -> None:
    assert len({p.name for p in PROPERTIES}) == len(PROPERTIES)
    for prop in PROPERTIES:
        assert prop.meaning
        prop.kind.read(prop.default)


# Any values: what is printed is read as the same

_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
_NAMES = _TEXTS.filter(lambda text: "/" not in text and text not in (".", ".."))
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(lambda names: Path("/", *names))
_SECONDS = st.floats(0, 10**9, allow_nan=False)
_ITEMS = st.lists(_TEXTS, max_size=3).map(tuple)

_AFTER_IMPORT = st.one_of(
    st.just(KEEP),
    _NAMES.map(lambda name: AfterImport("move", Path("/archive", name))),
    st.floats(0, 36_500).map(lambda days: AfterImport("delete", days=days)),
)


_SPANS = st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda span: len({*span}) > 1)
_WINDOWS = st.lists(_SPANS, max_size=3).map(lambda spans: Window(tuple(spans)))


@st.composite
def _rule(draw: st.DrawFn, number: int) -> Rule:
    return Rule(
        user=draw(st.one_of(st.just("default"), _NAMES)),
        watch_dir=Path("/watched", str(number), draw(_NAMES)),
        node=draw(st.sampled_from(["", "node2", "fs.example.org", "_1-2"])),
        layout=draw(st.sampled_from(LAYOUTS)),
        path_mode=draw(st.sampled_from(["Flat", "Recurse", "Follow"])),
        event_types=tuple(draw(st.lists(st.sampled_from(["Creation", "All"]), min_size=1))),
        whitelist=draw(_ITEMS),
        blacklist=draw(_ITEMS),
        ignore_sys_files=draw(st.booleans()),
        ignore_dir_events=draw(st.booleans()),
        block_size=draw(st.integers(0, 10**9)),
        timeout=draw(_SECONDS),
        quiet_period=draw(_SECONDS),
        throttle_import=draw(_SECONDS),
        window=draw(_WINDOWS),
        target=draw(st.just("") | _TEXTS),
        group=draw(st.just("") | _TEXTS),
        importer=draw(st.sampled_from(["auto", "java", "native"])),
        transfer=draw(st.sampled_from(["upload", "ln_s"])),
        readers=draw(st.none() | _PATHS),
        import_args=draw(st.lists(_TEXTS, max_size=3).map(tuple)),
        after_import=draw(_AFTER_IMPORT),
        tidy_directories=draw(st.booleans()),
    )


_RULES = st.integers(1, 3).flatmap(lambda n: st.tuples(*(_rule(number) for number in range(n))))


@given(rules=_RULES, quarantine=st.none() | _NAMES.map(lambda name: Path("/failed", name)))
def test_what_is_printed_is_read_as_the_same(
    rules: tuple[Rule, ...], quarantine: Path | None
) -> None:
    from dataclasses import replace

    settings = replace(read({}), rules=rules, quarantine=quarantine)
    again = read(as_properties(settings))
    assert not again.problems
    assert again == settings


@given(st.lists(_TEXTS, min_size=1))
def test_what_is_quoted_is_one_entry(texts: list[str]) -> None:
    text = lists.joined(map(lists.quoted, texts), ";")
    assert [lists.bare(entry) for entry in lists.entries(text)] == texts


@given(st.text(alphabet=' ;,"a\n'), st.sampled_from([p.name for p in PROPERTIES]))
def test_no_text_is_too_much(text: str, name: str) -> None:
    """Whatever it is, it is a value or a problem."""
    settings = read({f"omero.fs.{name}": text, "omero.fs.importUsers": "amy;zak"})
    assert settings.rules or settings.problems
