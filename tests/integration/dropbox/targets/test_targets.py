"""Containers found or made, and annotations, over real Ice against the sandbox.

What the sandbox refuses here is what OMERO.server refuses or passes over.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from unittest import mock

import numpy
import omero.all
import pytest
import tifffile
from omero.constants.metadata import NSCLIENTMAPANNOTATION, NSINSIGHTTAGSET
from omero.model import (
    DatasetAnnotationLinkI,
    DatasetI,
    ImageAnnotationLinkI,
    ImageI,
    PlateI,
    ProjectDatasetLinkI,
    ProjectI,
    ScreenI,
    TagAnnotationI,
)
from omero.rtypes import rstring, unwrap

import omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.targets import annotations
from omero_fs_plugin.dropbox.targets.annotations import annotate
from omero_fs_plugin.dropbox.targets.containers import (
    Containers,
    Destination,
    _Search,
    ensure_linked,
)
from omero_fs_plugin.dropbox.targets.sidecar import Sidecar
from omero_fs_plugin.dropbox.targets.targets import Source
from omero_fs_plugin.dropbox.targets.templates import parse
from omero_fs_plugin.errors import ImportRefused, UserError
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.store import Store
from tests.integration.blitz import Client, enter, repository_of
from tests.integration.sandbox.imports.clients import answer, fileset, settings
from tests.steps import before_each

ALL = {"omero.group": "-1"}


class Someone:
    """One user's session in one group, and what the tests ask in it."""

    def __init__(self, blitz: Any, name: str, group: str) -> None:
        self.services = blitz.login(name, group)
        user = User(blitz.users[name], name, group)
        self.session = UserSession(Client(self.services), user, lambda: None)

    def find(self, text: str, *, plate: bool = False, made_for: str = "a/x.tif") -> Any:
        source = Source("amy", "/d/amy", "/d/amy/one/two/x.tif", date(2026, 3, 4))
        target = parse(text).fill(source, plate=plate)
        return Containers().find(self.session, target, plate=plate, made_for=made_for)

    def refused(self, text: str, *, plate: bool = False) -> str:
        with pytest.raises(ImportRefused) as refusal:
            self.find(text, plate=plate)
        assert refusal.value.final
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    def make(self, value: Any, name: str = "") -> int:
        if name:
            value.name = rstring(name)
        return int(self.services.getUpdateService().saveAndReturnObject(value).id.val)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        rows = self.services.getQueryService().projection(text, None, ALL)
        return [tuple(unwrap(cell) for cell in row) for row in rows]

    def imported(self, content: bytes, target: Any = None) -> list[int]:
        """Ids of the images that OMERO makes of one file."""
        wanted = settings()
        wanted.userSpecifiedTarget = target
        process = repository_of(self.services).importFileset(fileset("a.ome.tiff"), wanted)
        store = process.getUploader(0)
        store.write(content, 0, len(content))
        store.close()
        response = answer(process.verifyUpload([hashlib.sha1(content).hexdigest()]))
        process.close()
        assert isinstance(response, omero.grid.ImportResponse), response
        return [p.image.id.val for p in response.pixels]


@pytest.fixture
def amy(blitz: Any) -> Someone:
    return Someone(blitz, "amy", "amy_group")


def _tiff(description: str | None = None) -> bytes:
    file = io.BytesIO()
    pixels = numpy.zeros((3, 4), numpy.uint8)
    tifffile.imwrite(file, pixels, description=description, metadata=None)
    return file.getvalue()


IMAGE = _tiff()
PLATE = _tiff(
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Plate ID="Plate:0" Name="p">'
    + "".join(
        f'<Well ID="Well:{n}" Row="0" Column="{n}"><WellSample ID="WellSample:{n}" Index="{n}">'
        f'<ImageRef ID="Image:{n}"/></WellSample></Well>'
        for n in range(2)
    )
    + "</Plate>"
    + "".join(
        f'<Image ID="Image:{n}"><Pixels ID="Pixels:{n}" Type="uint8" SizeX="4" SizeY="3" '
        'SizeZ="1" SizeC="1" SizeT="1" DimensionOrder="XYZCT"/></Image>'
        for n in range(2)
    )
    + "</OME>"
)


# Found or made


def test_made_once_and_found_again(amy: Someone) -> None:
    text = "Project:name:{dir1}/Dataset:name:{dir2}"
    first = amy.find(text)
    assert first == amy.find(text)  # as after a crash: nothing is remembered here
    made = amy.rows("select l.parent.name, l.child.name, l.child.id from ProjectDatasetLink l")
    assert made == [("one", "two", first.id)]
    assert first.object().id.val == first.id
    assert isinstance(first.object(), DatasetI)


def test_no_target_is_no_destination(amy: Someone) -> None:
    assert amy.find("Dataset:name:{dir3}") is None
    assert amy.rows("select d.id from Dataset d") == []


def test_imports_at_the_same_time_make_one(blitz: Any, amy: Someone) -> None:
    containers, found = Containers(), list[tuple[int, Any]]()
    start = threading.Barrier(8)

    def work(number: int) -> None:
        source = Source("amy", "/d/amy", f"/d/amy/p/{number % 2}/x.tif", date(2026, 3, 4))
        target = parse("Project:name:{dir1}/Dataset:name:{dir2}").fill(source, plate=False)
        start.wait()
        one = containers.find(amy.session, target, plate=False, made_for=str(number))
        found.append((number % 2, one))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 2
    assert len(amy.rows("select p.id from Project p")) == 1
    assert len(amy.rows("select d.id from Dataset d")) == 2
    assert len(amy.rows("select l.id from ProjectDatasetLink l")) == 2


class Held(Exception):
    """Another machine does just this."""


@contextmanager
def one_machine(doing: set[str], what: str) -> Iterator[None]:
    """As Journal.one_at_a_time, but whoever would have to wait goes away."""
    if what in doing:
        raise Held
    doing.add(what)
    try:
        yield
    finally:
        doing.remove(what)


def test_importers_of_two_machines_make_one(amy: Someone) -> None:
    """The second one looks between the look and the making of the first."""
    at_it: set[str] = set()
    alone = partial(one_machine, set())
    here, there = Containers(alone=alone), Containers(alone=alone)
    source = Source("amy", "/d/amy", "/d/amy/p/q/x.tif", date(2026, 3, 4))
    target = parse("Project:name:{dir1}/Dataset:name:{dir2}").fill(source, plate=False)

    def second() -> None:
        with suppress(Held), one_machine(at_it, "itself"):
            there.find(amy.session, target, plate=False, made_for="b")

    with before_each([(_Search, "_make")], second):
        found = here.find(amy.session, target, plate=False, made_for="a")
    assert there.find(amy.session, target, plate=False, made_for="b") == found
    assert len(amy.rows("select p.id from Project p")) == 1
    assert len(amy.rows("select d.id from Dataset d")) == 1


def test_importers_of_two_machines_make_one_tag(amy: Someone) -> None:
    images, alone = amy.imported(IMAGE), partial(one_machine, set())
    at_it: set[str] = set()
    said = Sidecar(tags=("mitosis",))

    def second() -> None:
        with suppress(Held), one_machine(at_it, "itself"):
            annotate(amy.session, images, said, alone)

    # Threads of one process take turns: the other machine has turns of its own.
    with (
        mock.patch.object(annotations, "_turn_of", lambda group: nullcontext()),
        before_each([(annotations._Annotating, "_make")], second),
    ):
        annotate(amy.session, images, said, alone)
    assert len(amy.rows("select t.id from TagAnnotation t where t.textValue = 'mitosis'")) == 1


@pytest.mark.parametrize("kind", ["Dataset", "Screen"])
def test_which_of_several(amy: Someone, kind: str) -> None:
    plate = kind == "Screen"
    make: Callable[[], Any] = {"Dataset": DatasetI, "Screen": ScreenI}[kind]
    old, new = amy.make(make(), "x"), amy.make(make(), "x")
    assert amy.find(f"{kind}:name:x", plate=plate) == Destination(kind, new)
    assert amy.find(f"{kind}:+name:x", plate=plate) == Destination(kind, new)
    assert amy.find(f"{kind}:-name:x", plate=plate) == Destination(kind, old)
    assert f"{kind}:{new}, {kind}:{old}" in amy.refused(f"{kind}:%name:x", plate=plate)
    one = amy.find(f"{kind}:%name:y", plate=plate)
    assert amy.find(f"{kind}:%name:y", plate=plate) == one


def test_always_a_new_one_but_once_for_each_fileset(amy: Someone) -> None:
    amy.make(DatasetI(), "x")
    first = amy.find("Dataset:@name:x", made_for="a/x.tif")
    assert amy.find("Dataset:@name:x", made_for="a/x.tif") == first  # after a crash
    other = amy.find("Dataset:@name:x", made_for="a/y.tif")
    amy.imported(IMAGE, first.object())
    again = amy.find("Dataset:@name:x", made_for="a/x.tif")  # a revision of the same file
    assert len({first, other, again}) == 3
    assert len(amy.rows("select d.id from Dataset d")) == 4


def test_a_dataset_of_that_name_in_another_project_is_another_one(amy: Someone) -> None:
    first = amy.find("Project:name:p/Dataset:name:d")
    second = amy.find("Project:name:q/Dataset:name:d")
    assert first != second
    alone = amy.make(DatasetI(), "d")
    assert amy.find("Project:name:p/Dataset:name:d") == first
    assert amy.find("Dataset:name:d").id == alone


def test_a_dataset_by_id_is_put_into_the_project_once(amy: Someone) -> None:
    dataset = amy.make(DatasetI(), "d")
    for _ in range(2):
        assert amy.find(f"Project:name:p/Dataset:id:{dataset}") == Destination("Dataset", dataset)
    assert amy.rows("select l.child.id from ProjectDatasetLink l") == [(dataset,)]
    project = amy.rows("select p.id from Project p")[0][0]
    within = amy.find(f"Project:id:{project}/Dataset:name:d")
    assert within.id == dataset


# Refused before anything is uploaded


def test_plates_and_images(amy: Someone) -> None:
    screen, dataset = amy.make(ScreenI(), "s"), amy.make(DatasetI(), "d")
    assert f"Screen:{screen}" in amy.refused(f"Screen:id:{screen}")
    assert f"Dataset:{dataset}" in amy.refused(f"Dataset:id:{dataset}", plate=True)
    assert amy.find("regex:.*/(?<Container1>.*)", plate=True).kind == "Screen"
    assert amy.find("regex:.*/(?<Container1>.*)").kind == "Dataset"
    assert "Screen 'new'" in amy.refused("Screen:name:new")
    assert amy.rows("select s.name from Screen s order by s.id") == [("s",), ("two",)]


def test_what_is_not_there(amy: Someone) -> None:
    assert amy.refused("Dataset:id:99") == "there is no Dataset:99 that amy may see"
    screen = amy.make(ScreenI(), "s")
    assert f"there is Screen:{screen}" in amy.refused(f"Dataset:id:{screen}")
    assert "Project:99" in amy.refused("Project:id:99/Dataset:name:d")
    assert amy.rows("select d.id from Dataset d") == []


def test_another_group(blitz: Any, amy: Someone) -> None:
    dataset = Someone(blitz, "amy", "shared").make(DatasetI(), "d")
    told = amy.refused(f"Dataset:id:{dataset}")
    assert "is in the group shared" in told
    assert "amy_group" in told
    made = amy.find("Dataset:name:d")  # the one of that name there is not meant
    assert made.id != dataset
    groups = "select d.details.group.name from Dataset d where d.id = " + str(made.id)
    assert amy.rows(groups) == [("amy_group",)]


@pytest.mark.parametrize(
    ("group", "seen", "may"),
    [("shown", True, False), ("noted", True, False), ("shared", True, True)],
)
def test_what_is_anothers(blitz: Any, group: str, seen: bool, may: bool) -> None:
    zak, amy = Someone(blitz, "zak", group), Someone(blitz, "amy", group)
    dataset, project = zak.make(DatasetI(), "d"), zak.make(ProjectI(), "p")
    by_name = amy.find("Dataset:name:d")
    below = amy.find("Project:name:p/Dataset:name:e")
    projects = [row[0] for row in amy.rows("select p.id from Project p order by p.id")]
    if may:
        assert amy.find(f"Dataset:id:{dataset}") == by_name == Destination("Dataset", dataset)
        assert projects == [project]
        return
    told = amy.refused(f"Dataset:id:{dataset}")
    assert "zak's" in told
    assert group in told
    assert f"Project:{project} is zak's" in amy.refused(f"Project:id:{project}/Dataset:name:x")
    assert by_name.id != dataset  # one of amy's own
    assert len(projects) == 2
    assert amy.imported(IMAGE, below.object())


def test_in_a_private_group_anothers_is_not_there_at_all(blitz: Any) -> None:
    store = blitz.sandbox.store
    with store.begin() as db:
        accounts.join(store, db, blitz.users["zak"], blitz.groups["amy_group"])
    dataset = Someone(blitz, "zak", "amy_group").make(DatasetI(), "d")
    amy = Someone(blitz, "amy", "amy_group")
    assert amy.refused(f"Dataset:id:{dataset}") == f"there is no Dataset:{dataset} that amy may see"
    assert amy.find("Dataset:name:d").id != dataset


def test_a_private_groups_owner_sees_and_may_not_link(blitz: Any, amy: Someone) -> None:
    dataset = amy.make(DatasetI(), "d")
    store = blitz.sandbox.store
    with store.begin() as db:
        accounts.join(store, db, blitz.users["zak"], blitz.groups["amy_group"], owner=True)
    zak = Someone(blitz, "zak", "amy_group")
    assert "amy's" in zak.refused(f"Dataset:id:{dataset}")
    link = ProjectDatasetLinkI()
    link.parent, link.child = ProjectI(zak.make(ProjectI(), "p"), False), DatasetI(dataset, False)
    with pytest.raises(omero.SecurityViolation):
        zak.make(link)
    note = DatasetAnnotationLinkI()
    note.parent, note.child = DatasetI(dataset, False), TagAnnotationI()
    with pytest.raises(omero.SecurityViolation):
        zak.make(note)


# The group of an import


def test_the_group_of_an_import(blitz: Any) -> None:
    direct = enter(blitz, blitz.client)
    assert direct.user("amy").group == "amy_group"
    assert direct.user("amy", "shared").group == "shared"
    for group, says in (
        ("zak_group", "amy is not a member of the group zak_group"),
        ("share", "there is no OMERO group named share, did you mean shared?"),
        ("nowhere", "there is no OMERO group named nowhere; amy is a member of amy_group, "),
        ("user", "the group user holds no data"),
    ):
        with pytest.raises(UserError, match=says):
            direct.user("amy", group)


# After the import


def test_a_plate_is_put_into_its_screen_by_omero(amy: Someone) -> None:
    place = amy.find("Screen:name:s", plate=True)
    images = amy.imported(PLATE, place.object())
    linked = "select l.parent.id, l.child.name from ScreenPlateLink l"
    assert len(images) == 2
    assert amy.rows(linked) == [(place.id, "p")]
    assert ensure_linked(amy.session, place, images) == ""
    assert amy.rows(linked) == [(place.id, "p")]


@pytest.mark.parametrize(
    ("kind", "content", "link"),
    [("Dataset", IMAGE, "DatasetImageLink"), ("Screen", PLATE, "ScreenPlateLink")],
)
def test_what_was_left_outside_is_put_where_it_was_aimed_at(
    amy: Someone, kind: str, content: bytes, link: str
) -> None:
    place = amy.find(f"{kind}:name:x", plate=kind == "Screen")
    images = amy.imported(content)
    for _ in range(2):
        assert ensure_linked(amy.session, place, images) == ""
        assert amy.rows(f"select l.parent.id from {link} l") == [(place.id,)]


def test_images_that_were_taken_for_a_plate_are_told_of(amy: Someone) -> None:
    place = amy.find("Screen:name:x", plate=True)
    told = ensure_linked(amy.session, place, amy.imported(IMAGE, place.object()))
    assert told == f"OMERO made no plate of it, so it is not in {place}"


def test_a_dataset_that_went_meanwhile_is_a_refusal(amy: Someone) -> None:
    images = amy.imported(IMAGE)
    with pytest.raises(ImportRefused):
        ensure_linked(amy.session, Destination("Dataset", 99), images)


# Annotations

SAID = Sidecar(
    description="fixed",
    tags=("mitosis", "HeLa"),
    key_value=(("Stain", "DAPI"), ("Antibody", "a"), ("Antibody", "b")),
)


def _annotated(someone: Someone, kind: str = "Image") -> dict[str, Any]:
    query = someone.services.getQueryService()
    maps = query.findAllByQuery("select a from MapAnnotation a order by a.id", None)
    return {
        "descriptions": someone.rows(f"select o.description from {kind} o order by o.id"),
        "tags": someone.rows("select t.textValue from TagAnnotation t order by t.id"),
        "links": someone.rows(
            f"select l.parent.id, l.child.id from {kind}AnnotationLink l "
            "order by l.parent.id, l.child.id"
        ),
        "maps": [[(p.name, p.value) for p in a.mapValue] for a in maps],
        "namespaces": {unwrap(a.ns) for a in maps},
    }


def _as_said(found: dict[str, Any], objects: int) -> None:
    assert found["descriptions"] == [("fixed",)] * objects
    assert found["tags"] == [("mitosis",), ("HeLa",)]
    assert len(found["links"]) == objects * 3
    assert found["maps"] == [list(SAID.key_value)] * objects
    assert found["namespaces"] == {NSCLIENTMAPANNOTATION}


def test_annotated_twice_is_annotated_once(amy: Someone) -> None:
    images = [*amy.imported(IMAGE), *amy.imported(IMAGE)]
    annotate(amy.session, images, SAID)
    found = _annotated(amy)
    _as_said(found, 2)
    annotate(amy.session, images, SAID)
    assert _annotated(amy) == found


def test_a_plate_is_annotated_and_not_its_images(amy: Someone) -> None:
    annotate(amy.session, amy.imported(PLATE), SAID)
    _as_said(_annotated(amy, "Plate"), 1)
    assert amy.rows("select l.id from ImageAnnotationLink l") == []


@pytest.mark.parametrize("said", [Sidecar(), Sidecar(description="", tags=(), name="n")])
def test_nothing_said_is_nothing_done(amy: Someone, said: Sidecar) -> None:
    annotate(amy.session, amy.imported(IMAGE), said)
    found = _annotated(amy)
    assert (found["descriptions"], found["tags"], found["links"]) == ([(None,)], [], [])


def test_what_people_added_stays(amy: Someone) -> None:
    images = amy.imported(IMAGE)
    annotate(amy.session, images, SAID)
    annotate(amy.session, images, replace(SAID, key_value=(("Stain", "DAPI"), ("Dish", "3"))))
    found = _annotated(amy)
    assert found["maps"] == [list(SAID.key_value), [("Stain", "DAPI"), ("Dish", "3")]]
    assert len(found["tags"]) == 2


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may handle it."""


class Dying:
    """Services.  After their change number `last` this process sees nothing more."""

    def __init__(self, services: Any, last: int, *, done: bool) -> None:
        self._services = services
        self._left = last
        self._done = done  # whether OMERO gets to do it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)

    def getUpdateService(self) -> Any:
        return self

    def _change(self, call: Callable[[Any], Any], value: Any) -> Any:
        self._left -= 1
        if self._left < 0 and not self._done:
            raise Killed
        result = call(value)
        if self._left < 0:
            raise Killed
        return result

    def saveArray(self, values: Any) -> None:
        self._change(self._services.getUpdateService().saveArray, values)

    def saveAndReturnArray(self, values: Any) -> Any:
        return self._change(self._services.getUpdateService().saveAndReturnArray, values)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("last", range(4))
def test_killed_while_annotating(amy: Someone, last: int, done: bool) -> None:
    images = amy.imported(IMAGE)
    user = amy.session.user
    dying = UserSession(Client(Dying(amy.services, last, done=done)), user, lambda: None)
    with pytest.raises(Killed):
        annotate(dying, images, SAID)
    annotate(amy.session, images, SAID)
    _as_said(_annotated(amy), 1)


class Counting:
    """Services that note each call of a query or an update."""

    def __init__(self, services: Any) -> None:
        self._services = services
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("getQueryService", "getUpdateService"):
            return lambda: _Noted(getattr(self._services, name)(), self.calls)
        return getattr(self._services, name)


class _Noted:
    def __init__(self, service: Any, calls: list[str]) -> None:
        self._service, self._calls = service, calls

    def __getattr__(self, name: str) -> Any:
        self._calls.append(name)
        return getattr(self._service, name)


def test_many_tags_take_as_many_calls_as_one(amy: Someone) -> None:
    images = amy.imported(IMAGE)
    few, many = Counting(amy.services), Counting(amy.services)
    amy_too = amy.session.user
    annotate(UserSession(Client(few), amy_too, lambda: None), images, Sidecar(tags=("one",)))
    tags = tuple(f"tag {number}" for number in range(100))
    annotate(UserSession(Client(many), amy_too, lambda: None), images, Sidecar(tags=tags))
    assert many.calls == few.calls
    assert len(amy.rows("select l.id from ImageAnnotationLink l")) == 101


def test_who_makes_tags_in_one_group_waits_for_nobody_in_another(amy: Someone) -> None:
    images = amy.imported(IMAGE)
    ended = threading.Event()

    def annotated() -> None:
        annotate(amy.session, images, Sidecar(tags=("mitosis",)))
        ended.set()

    with annotations._turn_of("another group"):
        thread = threading.Thread(target=annotated, name="annotate")
        thread.start()
        assert ended.wait(30)
        thread.join()


def test_tags_are_ones_own_or_usable_and_no_tag_sets(blitz: Any) -> None:
    zak, amy = Someone(blitz, "zak", "noted"), Someone(blitz, "amy", "noted")

    def tag(whose: Someone, text: str, ns: str = "") -> int:
        made = TagAnnotationI()
        made.textValue = rstring(text)
        if ns:
            made.ns = rstring(ns)
        return whose.make(made)

    theirs, both = tag(zak, "theirs"), tag(zak, "both")
    own = tag(amy, "both")
    tag(amy, "set", NSINSIGHTTAGSET)
    annotate(amy.session, amy.imported(IMAGE), Sidecar(tags=("theirs", "both", "set")))
    linked = [row[0] for row in amy.rows("select l.child.id from ImageAnnotationLink l")]
    assert theirs in linked
    assert own in linked
    assert both not in linked
    assert len(amy.rows("select t.id from TagAnnotation t where t.textValue = 'set'")) == 2


def test_in_a_read_only_group_others_tags_are_not_used(blitz: Any) -> None:
    zak, amy = Someone(blitz, "zak", "shown"), Someone(blitz, "amy", "shown")
    tag = TagAnnotationI()
    tag.textValue = rstring("mitosis")
    zak.make(tag)
    annotate(amy.session, amy.imported(IMAGE), Sidecar(tags=("mitosis",)))
    tags = "select t.details.owner.omeName from TagAnnotation t order by t.id"
    assert amy.rows(tags) == [("zak",), ("amy",)]


def test_anothers_images_are_a_refusal(blitz: Any) -> None:
    images = Someone(blitz, "zak", "shown").imported(IMAGE)
    amy = Someone(blitz, "amy", "shown")
    for said in (Sidecar(description="x"), Sidecar(tags=("t",)), Sidecar(key_value=(("a", "b"),))):
        with pytest.raises(ImportRefused):
            annotate(amy.session, images, said)


# The sandbox itself


def test_a_link_is_made_once(amy: Someone) -> None:
    image = amy.imported(IMAGE)[0]
    tag = amy.make(TagAnnotationI())

    def link() -> Any:
        made = ImageAnnotationLinkI()
        made.parent, made.child = ImageI(image, False), TagAnnotationI(tag, False)
        return made

    amy.make(link())
    with pytest.raises(omero.ValidationException, match="duplicate"):
        amy.make(link())


@pytest.mark.parametrize(("name", "says"), [("", "not-null"), ("n" * 256, "too long")])
def test_names_that_omero_does_not_take(amy: Someone, name: str, says: str) -> None:
    with pytest.raises(omero.ValidationException, match=says):
        amy.make(DatasetI(), name)
    assert amy.make(DatasetI(), "n" * 255)


def test_a_plate_goes_with_its_fileset(amy: Someone) -> None:
    place = amy.find("Screen:name:s", plate=True)
    image = amy.imported(PLATE, place.object())[0]
    number = amy.rows(f"select i.fileset.id from Image i where i.id = {image}")[0][0]
    request = omero.cmd.Delete2(targetObjects={"Fileset": [number]})
    assert isinstance(answer(amy.services.submit(request)), omero.cmd.Delete2Response)
    for entity in ("Plate", "Well", "WellSample", "ScreenPlateLink", "Image"):
        assert amy.rows(f"select x.id from {entity} x") == []
    assert amy.rows("select s.name from Screen s") == [("s",)]


def test_a_plate_aimed_at_a_dataset_stays_outside(amy: Someone) -> None:
    dataset = amy.make(DatasetI(), "d")
    amy.imported(PLATE, DatasetI(dataset, False))
    assert amy.rows("select l.id from DatasetImageLink l") == []
    plate = amy.services.getQueryService().get("Plate", 1)
    assert isinstance(plate, PlateI)
    assert (unwrap(plate.rows), unwrap(plate.columns)) == (1, 2)


def test_an_older_sandbox_is_given_what_it_lacks(tmp_path: Any) -> None:
    store = Store(tmp_path / "old.sqlite")
    with store.begin() as db:
        db.exec_driver_sql("ALTER TABLE annotation DROP COLUMN mapValue")
    store.close()
    store = Store(tmp_path / "old.sqlite")
    with store.begin() as db:
        row = store.insert(db, "MapAnnotation", owner=0, group=0, mapValue=[["a", "b"]])
        found = store.row(db, "MapAnnotation", row)
    assert found and found["mapValue"] == [["a", "b"]]
    store.close()
