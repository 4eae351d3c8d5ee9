"""The history of a fileset in plain words."""

from __future__ import annotations

import itertools

import pytest

from omero_fs_plugin.cli.history import told
from omero_fs_plugin.dropbox.journal.states import TRANSITIONS, State
from tests.unit.dropbox.test_situation import seen

PERSON = "omero fs, run by eve"


def test_the_way_of_a_file_that_needed_two_attempts() -> None:
    one = seen(State.IMPORTED, reader="loci.formats.in.OMETiffReader", files=("/a", "/b"))
    events = [
        (1.0, "", "waiting", "", "DropBox 1"),
        (2.0, "waiting", "waiting", "waits for /b", "DropBox 1"),
        (3.0, "waiting", "queued", "", "DropBox 1"),
        (4.0, "queued", "importing", "", "DropBox 1"),
        (5.0, "importing", "queued", "OMERO is away", "DropBox 1"),
        (6.0, "queued", "importing", "", "DropBox 1"),
        (7.0, "importing", "imported", "", "DropBox 1"),
    ]
    assert [(step.at, step.what) for step in told(one, events)] == [
        (1.0, "met"),
        (2.0, "waits for /b"),
        (3.0, "at rest and whole with 2 files, grouped by OMETiffReader: queued"),
        (4.0, "attempt 1 begins"),
        (5.0, "attempt 1 was given back: OMERO is away"),
        (6.0, "attempt 2 begins"),
        (7.0, "imported"),
    ]


def test_what_a_person_did_names_the_person() -> None:
    events = [
        (1.0, "", "queued", "", PERSON),
        (2.0, "queued", "failed", "no image", "DropBox 1"),
        (3.0, "failed", "skipped", "it had failed: no image", PERSON),
    ]
    assert [step.what for step in told(seen(State.SKIPPED), events)] == [
        "handed over, by eve",
        "failed: no image",
        "set aside: it had failed: no image, by eve",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *itertools.product([""], State),
        *((before, after) for before, some in TRANSITIONS.items() for after in (*some, before)),
    ],
)
@pytest.mark.parametrize("reason", ["", "because"])
def test_each_transition_has_words(before: str, after: State, reason: str) -> None:
    (step,) = told(seen(after), [(1.0, str(before), str(after), reason, "")])
    assert step.what and (reason in step.what)
