"""The pictures in docs/: they are what the tables give, and can be read."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from itertools import pairwise
from types import ModuleType
from xml.etree import ElementTree

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import CHECKOUT

from .floors import FLOORS, WAY

NAMES = ("rooms.svg", "states.svg")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(CHECKOUT)
    return importlib.import_module("tools.pictures")


@pytest.fixture
def routes(script: ModuleType) -> ModuleType:
    return importlib.import_module("tools.routes")


def picture(name: str) -> ElementTree.Element:
    return ElementTree.fromstring((CHECKOUT / "docs" / name).read_bytes())


def test_the_screen_is_what_the_command_shows(script: ModuleType) -> None:
    screens = importlib.import_module("tools.screens")
    kept = screens.SCREEN.read_text(encoding="utf-8")
    assert kept == screens.screen(), "run: python -m tools.screens"
    lines = kept.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_the_tables_give(script: ModuleType, name: str) -> None:
    drawn = script.PICTURES[name]()
    assert drawn == (CHECKOUT / "docs" / name).read_text("utf-8"), "run `make pictures`"


def test_make_pictures_says_whether_they_are(tmp_path, script: ModuleType, monkeypatch) -> None:
    command = [sys.executable, CHECKOUT / "tools/pictures.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    monkeypatch.setattr(script, "DOCS", tmp_path)
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    with (tmp_path / NAMES[1]).open("a", encoding="utf-8") as file:
        file.write("<!-- by hand -->")
    assert script.main(["--check"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read_everywhere(name: str) -> None:
    svg, source = picture(name), (CHECKOUT / "docs" / name).read_text("utf-8")
    assert svg.findtext(f"{SVG}title")
    assert len(svg.findtext(f"{SVG}desc") or "") > 60
    assert set(re.findall(r"font-family[=:]\s*\"?([^\";]+)", source)) == {"sans-serif"}
    assert "prefers-color-scheme: dark" in source
    assert not re.search(r"href|<image|<script|@import|url\((?!#)", source)


def test_every_room_state_and_step_has_a_place() -> None:
    told = [text.text or "" for text in picture("rooms.svg").iter(f"{SVG}text")]
    for room in FLOORS:
        name = room.rpartition(".")[2]
        rooms = [other for other in FLOORS if other.rpartition(".")[2] == name]
        assert told.count(name) == len(rooms), room
    for number, step in enumerate(WAY, 1):
        assert any(f"{number} {step}" in text for text in told)
        assert told.count(str(number)) == len(WAY[step])
    states = {text.text for text in picture("states.svg").iter(f"{SVG}text")}
    assert states >= {str(state) for state in State}


def test_the_way_leads_through_rooms() -> None:
    assert {room for rooms in WAY.values() for room in rooms} <= FLOORS.keys()


def reached(edges: list[tuple[str, str]], room: str) -> set[str]:
    below = {end for start, end in edges if start == room}
    return below.union(*(reached(edges, other) for other in below))


def test_the_arrows_stand_for_the_whole_table(script: ModuleType) -> None:
    table = [(room, used) for room, below in FLOORS.items() for used in below.split()]
    drawn = script.uses()
    assert set(drawn) <= set(table)
    for room in FLOORS:
        assert reached(drawn, room) == reached(table, room), room
    # ... and none for what others stand for already.
    for edge in drawn:
        others = [other for other in drawn if other != edge]
        assert edge[1] not in reached(others, edge[0])


def test_arrows_lead_downwards_and_through_no_room(script: ModuleType, routes: ModuleType) -> None:
    for (above, below), points in routes.routes(script.PLACES, sorted(script.uses())).items():
        start, end = script.PLACES[above], script.PLACES[below]
        assert (points[0][1], points[-1][1]) == (start.bottom, end.top)
        assert start.left < points[0][0] < start.right and end.left < points[-1][0] < end.right
        for (x, y), (to_x, to_y) in pairwise(points):
            assert to_y >= y and (x == to_x or y == to_y)
            for room, box in script.PLACES.items():
                beside = max(x, to_x) <= box.left or min(x, to_x) >= box.right
                assert beside or to_y <= box.top or y >= box.bottom, (above, below, room)


def test_arrows_to_two_rooms_never_lie_on_each_other(
    script: ModuleType, routes: ModuleType
) -> None:
    pieces = [
        (*edge, one, other)
        for edge, points in routes.routes(script.PLACES, sorted(script.uses())).items()
        for one, other in pairwise(points)
    ]
    for above, below, one, other in pieces:
        for from_, to, start, end in pieces:
            if to == below or from_ == above:  # they leave, or end, together
                continue
            for along, across in ((0, 1), (1, 0)):
                if one[across] == other[across] == start[across] == end[across]:
                    low = max(min(one[along], other[along]), min(start[along], end[along]))
                    high = min(max(one[along], other[along]), max(start[along], end[along]))
                    assert low >= high, f"{above} -> {below} lies on {from_} -> {to}"


def test_rooms_stand_apart(script: ModuleType) -> None:
    cells = [
        (box.floor, column)
        for box in [*script.PLACES.values(), script.DISK, script.OMERO]
        for column in range(box.column, box.column + box.span)
    ]
    assert len(cells) == len(set(cells))


def test_an_arrow_upwards_is_refused(routes: ModuleType) -> None:
    boxes = {"a": routes.Box(0, 0), "b": routes.Box(1, 0)}
    assert routes.routes(boxes, [("a", "b")])
    with pytest.raises(ValueError, match="b uses a"):
        routes.routes(boxes, [("b", "a")])


def test_a_new_room_wants_a_place(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(script.FLOORS, "attic", "")
    with pytest.raises(SystemExit, match="attic"):
        script.rooms()


def test_a_new_transition_wants_a_place(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = importlib.import_module("tools.states_picture")
    monkeypatch.setitem(states.TRANSITIONS, State.IMPORTED, (State.FAILED,))
    with pytest.raises(SystemExit, match="imported -> failed"):
        states.picture()


def test_each_state_says_what_it_is(script: ModuleType) -> None:
    states = importlib.import_module("tools.states_picture")
    assert states.meanings().keys() == {str(state) for state in State}


def test_the_page_speaks_of_every_room_and_state() -> None:
    page = (CHECKOUT / "docs/how-it-works.rst").read_text("utf-8")
    assert all(f".. image:: {name}" in page for name in NAMES)
    named = set(re.findall(r"``([a-z_.]+)``", page))
    assert [room for room in FLOORS if named.isdisjoint({room, room.rpartition(".")[2]})] == []
    assert [state for state in State if f"*{state}*" not in page] == []
    for number, (step, rooms) in enumerate(WAY.items(), 1):
        names = ", ".join(f"``{room}``" for room in rooms)
        assert f"\n{number}. {step.capitalize()}: {names}\n" in page
