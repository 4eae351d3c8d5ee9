"""omero.fs.importArgs: its options, the importers that take them, and errors in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.importing.importers.arguments import parse
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.errors import ConfigurationError

UNDERSTOOD = [
    ("", {}),
    ("-c", {}),
    ("--", {}),
    ('-n "a; b"', {"name": "a; b"}),
    ("--name=a=b", {"name": "a=b"}),
    ("-na", {"name": "a"}),
    ("--plate_name a --plate_description b", {"name": "a", "description": "b"}),
    ("-x '-dash'", {"description": "-dash"}),
    ("--desc y", {"description": "y"}),
    ("-d 5", {"target": "Dataset:id:5"}),
    ("-dDataset:5", {"target": "Dataset:id:5"}),
    ("-r 6", {"target": "Screen:id:6"}),
    ("-T 'Dataset:name:a b'", {"target": "Dataset:name:a b"}),
    ("--target=regex:name:^(?<Container1>.*?)$", {"target": "regex:name:^(?<Container1>.*?)$"}),
    ("--transfer=ln_s", {"transfer": Transfer.LN_S}),
    ("-- --transfer cp_rm", {"transfer": Transfer.CP_RM}),
    ("--skip all", {"thumbnails": False, "stats": False}),
    ("--skip=thumbnails --skip upgrade", {"thumbnails": False}),
    ("--no-stats-info --no-upgrade-check", {"stats": False}),
    ("--no_thumbnails", {"thumbnails": False}),
    ("--exclude clientpath", {"exclude_imported_paths": True}),
]


@pytest.mark.parametrize(("text", "wanted"), UNDERSTOOD)
def test_what_needs_no_java(text: str, wanted: dict[str, object]) -> None:
    said = parse(text)
    plain = parse("")
    for name in vars(plain):
        assert getattr(said, name) == wanted.get(name, getattr(plain, name)), name


def test_reports_of_old_and_new_spelling_are_told_by_status_instead() -> None:
    for text in ("-report -send", "--report --upload", "--report --send"):
        said = parse(text)
        assert [option for option, _ in said.needless] == text.split()
        assert all("omero fs status" in why for _, why in said.needless)
        assert said.for_java == ("--report", "--upload")
        assert said.unknown == ()
    assert parse("-report -email a@b.org").for_java == ("--report", "--email=a@b.org")


@pytest.mark.parametrize("option", ["-k", "-w", "--password", "-s", "-u", "--sudo", "-g"])
def test_whose_session_it_is_cannot_be_said_and_no_secret_is_repeated(option: str) -> None:
    said = parse(f"{option} secret")
    assert [name for name, _ in said.ignored] == [option]
    assert "secret" not in repr(said)


BREAKING = """
    -f | -h | --output ids | --file x | --minutes_wait 0 | --checksum-algorithm MD5-128
    | --skip checksum | --bulk x.yml | --clientdir x | --fetch-jars 5.6 | --depth 7
"""


@pytest.mark.parametrize("option", [text.strip() for text in BREAKING.split("|")])
def test_what_would_break_the_import_reaches_nobody(option: str) -> None:
    said = parse(option)
    assert len(said.ignored) == 1 and said.ignored[0][1]
    assert (said.for_java, said.unknown) == ((), ())


@pytest.mark.parametrize(
    ("text", "unknown", "for_java"),
    [
        ("-l /r.txt", ("-l",), ("-l/r.txt",)),
        ("--readers /r.txt", ("--readers",), ("--readers=/r.txt",)),
        ("--annotation-ns 'a; b'", ("--annotation-ns",), ("--annotation-ns=a; b",)),
        ("--exclude filename", ("--exclude",), ("--exclude=filename",)),
        ("--frob 3 --debug", ("--frob", "3"), ("--frob", "3", "--debug=DEBUG")),
        ("--debug ERROR -Z", ("-Z",), ("--debug=ERROR", "-Z")),
    ],
)
def test_what_only_java_may_know(
    text: str, unknown: tuple[str, ...], for_java: tuple[str, ...]
) -> None:
    said = parse(text)
    assert (said.unknown, said.for_java) == (unknown, for_java)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("-n 'a", "no closing quotation"),
        ("--name", "--name: a value is wanted after it"),
        ("-d five", "-d five: the id of a Dataset is wanted"),
        ("--transfer mv", "--transfer mv: one of upload, upload_rm, ln, ln_s, ln_rm, cp, cp_rm"),
        ("--skip some", "--skip some: one of all, checksum"),
        ("-n a --name b", "--name: given twice, and differently"),
        ("-d 1 -r 2", "-r: given twice, and differently"),
        ("--report=yes", "--report takes no value"),
        ("/data/a.tif", "/data/a.tif: DropBox names the files itself"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert str(caught.value).startswith("omero.fs.importArgs: ")
    assert wrong in str(caught.value) and "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        said = parse(text)
    except ConfigurationError as error:
        assert str(error).startswith("omero.fs.importArgs: ")
    else:
        assert all(why for _, why in (*said.ignored, *said.needless))
