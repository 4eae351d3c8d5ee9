"""Templates of targets: read, printed, filled in; and what is wrong with one, in one line."""

from __future__ import annotations

import re
from datetime import date, datetime
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.targets.sidecar import understand
from omero_fs_plugin.dropbox.targets.targets import (
    LONGEST_NAME,
    Container,
    Part,
    Source,
    Step,
    Target,
    Template,
    clean,
)
from omero_fs_plugin.dropbox.targets.templates import parse, parse_option
from omero_fs_plugin.errors import ConfigurationError, ImportRefused
from tests import CHECKOUT

DAY = date(2026, 3, 4)


def source(*directories: str) -> Source:
    return Source("amy", "/drop/amy", "/".join(("/drop/amy", *directories, "x.tif")), DAY)


def filled(text: str, *directories: str, plate: bool = False) -> list[tuple[str, str | int, str]]:
    target = parse(text).fill(source(*directories), plate=plate)
    return [(c.kind, c.id or c.name, c.which) for c in target.containers]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Project:name:{dir1}/Dataset:name:{dir2}",
            [("Project", "a", "+"), ("Dataset", "b", "+")],
        ),
        ("Dataset:id:5", [("Dataset", 5, "+")]),
        ("Dataset:5", [("Dataset", 5, "+")]),
        ("Project:id:3/Dataset:name:d", [("Project", 3, "+"), ("Dataset", "d", "+")]),
        ("Screen:name:{dir}", [("Screen", "c", "+")]),
        ("Dataset:name:foo", [("Dataset", "foo", "+")]),
        ("Dataset:+name:foo", [("Dataset", "foo", "+")]),
        ("Dataset:-name:foo", [("Dataset", "foo", "-")]),
        ("Dataset:%name:foo", [("Dataset", "foo", "%")]),
        ("Screen:@name:foo", [("Screen", "foo", "@")]),
        ("Project:name:p/Dataset:@name:d", [("Project", "p", "+"), ("Dataset", "d", "@")]),
        ("Dataset:name:{user} {date}", [("Dataset", "amy 2026-03-04", "+")]),
        ("Dataset:name:{path}", [("Dataset", "a/b/c", "+")]),
        ("Dataset:name:one: two // three {{dir1}}", [("Dataset", "one: two / three {dir1}", "+")]),
        ("Dataset:name: {dir1} ", [("Dataset", "a", "+")]),
        ("", []),
    ],
)
def test_filled_in(text: str, expected: list[tuple[str, str | int, str]]) -> None:
    assert filled(text, "a", "b", "c") == expected


@pytest.mark.parametrize(
    ("text", "directories", "expected", "told"),
    [
        (
            "Project:name:{dir1}/Dataset:name:{dir2}",
            ["a"],
            [],
            "Dataset:name:{dir2}: there is no {dir2} for this file",
        ),
        (
            "Project:name:{dir2}/Dataset:name:{dir1}",
            ["a"],
            [("Dataset", "a", "+")],
            "Project:name:{dir2}: there is no {dir2} for this file",
        ),
        ("Dataset:name:{dir}", [], [], "Dataset:name:{dir}: there is no {dir} for this file"),
        ("Dataset:name:{path}", [], [], "Dataset:name:{path}: there is no {path} for this file"),
        ("Screen:name:day {dir9}", ["a"], [], "there is no {dir9}"),
        ("Dataset:name:{dir1}", [" "], [], "there is no Dataset:name:{dir1}"),
    ],
)
def test_what_cannot_be_filled_in_is_left_out(
    text: str, directories: list[str], expected: list[object], told: str
) -> None:
    target = parse(text).fill(source(*directories), plate=False)
    assert [(c.kind, c.name, c.which) for c in target.containers] == expected
    assert told in target.left_out


def test_a_file_handed_over_from_elsewhere_has_no_directories() -> None:
    place = Source("amy", "/drop/amy", "/home/amy/a/x.tif", DAY)
    assert place.directories == ()
    assert parse("Dataset:name:{user}").fill(place, plate=False).containers[0].name == "amy"


@pytest.mark.parametrize(
    ("text", "directories", "expected"),
    [
        ("regex:^.*/(?<Container1>.*?)", ["a", "b"], [("Dataset", "b", "+")]),
        ("regex:^.*/(?<Container1>.*?)", [], [("Dataset", "amy", "+")]),  # as OMERO's importer
        ("regex:-name:^.*/(?<Container1>.*?)", ["a", "b"], [("Dataset", "b", "-")]),
        ("regex:^.*amy/(?<Container1>[^/]*)/.*", ["a", "b"], [("Dataset", "a", "+")]),
        ("regex:(?<Ignore>(/[^/]+){2})/(?<Container1>.*?)", ["a", "b"], [("Dataset", "a/b", "+")]),
        ("regex:(?:/drop|/x)/(?<Container1>.*)", [], [("Dataset", "amy", "+")]),
        ("regex:name:.*(?<!amy)/(?<Container1>b)", ["a", "b"], [("Dataset", "b", "+")]),
        (r"regex:.*/\(?<?(?<Container1>.*)", ["(<a"], [("Dataset", "a", "+")]),
    ],
)
def test_regex(text: str, directories: list[str], expected: list[object]) -> None:
    assert filled(text, *directories) == expected
    as_plate = [("Screen", *rest) for _, *rest in expected]  # type: ignore[misc]
    assert filled(text, *directories, plate=True) == as_plate


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Dataset:name:2026/05 {dir}", "Dataset:name:2026//05 {{dir}}"),
        ("Screen:%name:a:b//c", "Screen:%name:a:b////c"),
        ("Dataset:5", "Dataset:id:5"),
        ("regex:^.*/(?<Container1>.*?)", "regex:^.*/(?<Container1>.*?)"),
        ("", ""),
    ],
)
def test_in_the_importers_own_option_a_name_is_a_name(text: str, same: str) -> None:
    assert parse_option(text) == parse(same)


@pytest.mark.parametrize("text", ["Project:name:p/Dataset:name:d", "Dataset:name:", "Dataset:5/6"])
def test_what_the_importers_own_option_cannot_say(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_option(text)


@pytest.mark.parametrize("mtime_ns", [2**63 - 1, -(2**63)])
def test_a_file_of_no_year_that_there_is(mtime_ns: int) -> None:
    place = Source.of("amy", "/drop/amy", "/drop/amy/x.tif", mtime_ns * 1000)
    target = parse("Dataset:name:{date}").fill(place, plate=False)
    assert (target.containers, target.left_out) == (
        (),
        "Dataset:name:{date}: there is no {date} for this file",
    )


def test_the_day_is_the_servers() -> None:
    noon = datetime(2026, 3, 4, 12)
    assert Source.of("amy", "/d", "/d/x", int(noon.timestamp() * 1e9)).day == DAY


@pytest.mark.parametrize("pattern", ["/nowhere/(?<Container1>.*)", ".*/amy(?<Container1>.*)"])
def test_a_regex_that_gives_no_name_leaves_images_orphaned(pattern: str) -> None:
    target = parse(f"regex:{pattern}").fill(source(), plate=False)
    assert target.containers == ()
    assert "/drop/amy" in target.left_out


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("Datset:name:x", 1, "did you mean Dataset?"),
        ("dataset:name:x", 1, "did you mean Dataset?"),
        ("rexeg:.*", 1, "did you mean regex?"),
        ("Project:name:x", 15, "Project holds no images"),
        ("Project:name:x/dataset:name:y", 16, "did you mean Dataset?"),
        ("Screen:name:x/Dataset:name:y", 15, "Screen/Dataset holds no images"),
        ("Project:@name:x/Dataset:name:y", 1, "not for its Project"),
        ("Dataset:nam:x", 9, "did you mean name?"),
        ("Dataset:foo", 9, "Dataset:name:foo"),
        ("Dataset:id:0", 12, "not an id"),
        ("Dataset:id:{dir1}", 12, "not an id"),
        ("Dataset:+id:5", 9, "goes with name"),
        ("Dataset", 8, "followed by"),
        ("Dataset:name:", 14, "a name is missing"),
        ("Dataset:name:{Dir1}", 14, "did you mean dir1?"),
        ("Dataset:name:{dir0}", 14, "there is no {dir0}"),
        ("Dataset:name:{", 14, "not closed"),
        ("Dataset:name:a}", 15, "closes nothing"),
        ("Dataset:name:2026/05", 19, "a slash in a name is written //"),
        ("Dataset:name:x/", 16, "not a container"),
        ("regex:(", 7, "unterminated"),
        ("regex:nme:(?<Container1>.*)", 7, "did you mean name?"),
        ("regex:(?<Container>.*)", 7, "did you mean Container1?"),
        ("regex:[a-z&&[^b]](?<Container1>.*)", 7, "set intersection"),
        (r"regex:\Qa\E(?<Container1>.*)", 7, "bad escape"),
    ],
)
def test_what_is_wrong_where(text: str, place: int, says: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse(text)
    told = str(wrong.value)
    assert told.startswith(f"{text!r}, at character {place}: ")
    assert says in told
    assert "\n" not in told


def test_names_that_omero_could_not_keep() -> None:
    assert filled("Dataset:name:{dir1}", "a\nb\udcff")[0][1] == "a_b\ufffd"
    fits = "n" * LONGEST_NAME
    assert filled("Dataset:name:{dir1}", fits)[0][1] == fits
    for text in ("Dataset:name:{dir1}", "regex:.*/(?<Container1>.*)"):
        with pytest.raises(ImportRefused, match="256 characters") as refused:
            parse(text).fill(source(fits + "n"), plate=False)
        assert refused.value.final


@pytest.mark.parametrize(
    ("kind", "plate", "ok"),
    [
        ("Dataset", False, True),
        ("Screen", True, True),
        ("Dataset", True, False),
        ("Screen", False, False),
    ],
)
def test_plates_go_to_screens_and_images_to_datasets(kind: str, plate: bool, ok: bool) -> None:
    target = Target((Container(kind, "x"),))
    if ok:
        target.check(plate=plate)
        return
    with pytest.raises(ImportRefused, match=f"{kind} 'x'") as refused:
        target.check(plate=plate)
    assert refused.value.final


@pytest.mark.parametrize("plate", [False, True])
def test_orphans_are_of_any_kind(plate: bool) -> None:
    Target().check(plate=plate)


# On a new machine hypothesis first builds its tables of characters, in its own time.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Any text, and more often than not the characters that mean something
_texts = st.text(st.characters(codec="utf-8") | st.sampled_from("{}/:+-%@ "), min_size=1)
_fields = st.sampled_from(["dir", "dir1", "dir2", "dir17", "path", "user", "date"])


@st.composite
def _names(draw: st.DrawFn) -> tuple[Part, ...]:
    """Texts and placeholders by turns, without blanks around the whole."""
    parts = [Part(draw(_fields), field=True) for _ in range(draw(st.integers(0, 2)))]
    name: list[Part] = []
    for part in [*parts, None]:
        text = draw(st.just("") | _texts)
        if text:
            name.append(Part(text))
        name += [part] if part else []
    if name and not name[0].field:
        name[0] = Part(name[0].text.lstrip())
    if name and not name[-1].field:
        name[-1] = Part(name[-1].text.rstrip())
    return tuple(part for part in name if part.text) or (Part("n"),)


def _steps(kind: str, which: str = "+-%@") -> st.SearchStrategy[Step]:
    by_id = st.builds(Step, st.just(kind), id=st.integers(1, 2**63 - 1))
    return by_id | st.builds(Step, st.just(kind), _names(), which=st.sampled_from(which))


_templates = (
    st.tuples(_steps("Dataset") | _steps("Screen"))
    | st.tuples(_steps("Project", "+-%"), _steps("Dataset"))
).map(Template)


@_patient
@given(_templates)
def test_what_is_printed_reads_the_same(template: Template) -> None:
    assert parse(str(template)) == template


@_patient
@given(_texts.filter(lambda text: "/" not in text and text not in (".", "..")))
def test_a_directory_is_a_name_and_never_syntax(directory: str) -> None:
    expected = [("Dataset", clean(directory), "+")] if clean(directory) else []
    assert filled("Dataset:name:{dir1}", directory) == expected


DOCUMENT = CHECKOUT / "docs" / "targets.rst"


def test_the_documentation_reads() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = re.findall(r'^    omero config set omero\.fs\.target "(.*)"$', text, re.MULTILINE)
    assert len(shown) == 4
    for template in shown:
        parse(template)
    wrong = re.search(r"^    '(.*)', at character 16", text, re.MULTILINE)
    assert wrong
    with pytest.raises(ConfigurationError, match="at character 16: 'dataset' is not a container"):
        parse(wrong[1])
    sidecar = text.split(".. code-block:: toml\n\n")[1].split("\n``target``")[0]
    said = understand("f", dedent(sidecar).encode())
    assert said.target and said.group and said.name and said.description and said.tags
    assert len(said.key_value) == 4
