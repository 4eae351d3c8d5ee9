"""What changes between the question to OMERO and the moment at which a file would go.

A lane may wait for its disk for hours, and to read a plate may take as long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz.copies import Copy
from omero_fs_plugin.dropbox.afterwards import leaving
from omero_fs_plugin.dropbox.afterwards.caretaker import Caretaker
from tests.rules import places_of, settings_of
from tests.steps import before_each

from .test_leaving import NAMES, World


class Later:
    """Lanes whose jobs run when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def ask(self, root: str, question: Callable[[], Any]) -> Any:
        return question()

    def do(self, root: str, job: Callable[[], None], **_: Any) -> None:
        self.jobs.append(job)

    def run(self) -> None:
        jobs, self.jobs = self.jobs, []
        assert jobs
        for job in jobs:
            job()


class Server:
    """OMERO, with the images of what was imported."""

    def __init__(self, world: World) -> None:
        self._copies = world.copies
        self.images = {one: (one,) for one in world.copies}

    def user(self, name: str) -> str:
        return name

    def session_for(self, user: str) -> Server:
        return self

    def damaged(self, copies: Iterable[Copy]) -> dict[int, str]:
        return {}

    def close(self) -> None:
        """It is no session."""

    def copies_of(self, filesets: Collection[int]) -> list[Copy]:
        return [copy for one in filesets for copy in self._copies[one]]

    def filesets_of_images(self, images: Iterable[int]) -> dict[int, tuple[int, ...]]:
        wanted = set(images)
        return {one: has for one, has in self.images.items() if wanted.intersection(has)}


class Care:
    """A caretaker of one imported file, which is to be deleted at once."""

    def __init__(self, place: Path) -> None:
        self.world = World(place, f"sqlite:///{place}/journal.sqlite")
        self.world.fileset(NAMES[0])
        self.server, self.lanes = Server(self.world), Later()
        self._watched = self.world.root.parent
        self.places = places_of(self._watched, afterImport="delete-after:0")
        omero: Any = self.server
        lanes: Any = self.lanes
        self.caretaker = Caretaker(self.world.journal, omero, self.places, lanes)
        assert self.caretaker.look(1.0)

    def reload(self, after_import: str) -> None:
        settings = settings_of(watchDir=str(self._watched), afterImport=after_import)
        self.places.apply(settings.rules)


@pytest.fixture
def care(tmp_path: Path) -> Iterator[Care]:
    made = Care(tmp_path)
    yield made
    made.world.journal.close()


def test_it_goes_if_nothing_changes(care: Care) -> None:
    care.lanes.run()
    assert care.world.at_home() == set()


def test_a_file_stays_whose_images_are_deleted_before_its_disk_answers(care: Care) -> None:
    care.server.images.clear()
    care.lanes.run()
    assert care.world.at_home() == {NAMES[0]}


def test_a_file_stays_if_the_rule_changes_while_it_is_read(care: Care) -> None:
    with before_each([(leaving, "reading")], lambda: care.reload("keep")):
        care.lanes.run()
    assert care.world.at_home() == {NAMES[0]}


def test_a_file_is_not_deleted_that_is_to_be_moved_by_now(care: Care) -> None:
    with before_each([(leaving, "reading")], lambda: care.reload(f"move:{care.world.shelf}")):
        care.lanes.run()
    assert care.world.at_home() == {NAMES[0]}
    assert care.caretaker.look(2.0)
    care.lanes.run()
    assert care.world.on_the_shelf() == care.world.contents
