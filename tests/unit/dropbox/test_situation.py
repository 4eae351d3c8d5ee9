"""How a fileset stands, in words: normal waiting is another word than being held up."""

from __future__ import annotations

from typing import Any

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox import situation
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import Stand, standing

ROOT = "/OMERO/DropBox/amy"
SETTINGS = read({"omero.fs.dirImportWait": "30", "omero.fs.completeTimeout": "1000"})
NOW = 2_000.0


def seen(state: State, reason: str = "", **other: Any) -> Seen:
    given = {
        "id": 7,
        "user": "amy",
        "root": ROOT,
        "path": f"{ROOT}/a.tif",
        "attempts": 0,
        "refusals": 0,
        "images": (),
        "server_fileset": None,
        "reader": "",
        "plate": False,
        "revision_of": None,
        "duplicate_of": None,
        "created": 1_000.0,
        "changed": 1_990.0,
        "waited": 0.0,
        "files": (f"{ROOT}/a.tif",),
    } | other
    return Seen(state=state, reason=reason, **given)


@pytest.mark.parametrize(
    ("state", "reason", "stand", "what"),
    [
        (State.WAITING, "", Stand.SETTLING, "until it has been quiet for 30 s"),
        (State.WAITING, "waits for b.tif", Stand.HELD, "waits for b.tif"),
        (State.QUEUED, "", Stand.QUEUED, ""),
        (State.QUEUED, "OMERO said no", Stand.HELD, "OMERO said no"),
        (State.IMPORTING, "", Stand.IMPORTING, ""),
        (State.IMPORTED, "", Stand.IMPORTED, ""),
        (State.SKIPPED, "a copy", Stand.SKIPPED, "a copy"),
        (State.FAILED, "no image", Stand.FAILED, "no image"),
    ],
)
def test_each_state_has_its_word(state: State, reason: str, stand: Stand, what: str) -> None:
    stands = standing(seen(state, reason), SETTINGS, NOW)
    assert (stands.stand, stands.what, stands.age) == (stand, what, 10.0)


def test_every_state_has_a_word() -> None:
    for state in State:
        for reason in ("", "because"):
            assert standing(seen(state, reason), SETTINGS, NOW).stand in Stand


def test_what_misses_a_file_says_until_when() -> None:
    stands = standing(seen(State.WAITING, "waits for b.tif", waited=400.0), SETTINGS, NOW)
    assert (stands.deadline, stands.remedy) == (600.0, "copy the missing files there")
    assert standing(seen(State.QUEUED, "OMERO said no"), SETTINGS, NOW).deadline is None


@pytest.mark.parametrize(
    "why",
    [
        "it is cut short or broken: it has 4004 bytes, and a part of it would be at byte 9999",
        "it is cut short or not written to its end (PNG): no mark",
        "its end is not written yet, though the file has its length",
        "strip 3 would end at byte 900, and the file has 300 bytes",
        "its XML has no end yet",
        "it is empty",
        "a.ics promises 900 bytes of it, and it has 300",
    ],
)
def test_a_file_that_is_not_whole_is_to_be_copied_again_until_a_deadline(why: str) -> None:
    stands = standing(seen(State.WAITING, f"{ROOT}/a.tif: {why}"), SETTINGS, NOW)
    assert stands.remedy.startswith("copy it again")
    assert stands.deadline == 1000.0


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("/x/omero-fs.toml: unknown key", "mend the sidecar, then"),
        (
            f"{ROOT}/a: cannot be read by the server: Permission denied",
            "let the server read it, then",
        ),
        ("who knows", "`omero fs import --retry 7`, or `omero fs forget 7`"),
    ],
)
def test_what_to_do_about_a_failure(reason: str, remedy: str) -> None:
    stands = standing(seen(State.FAILED, reason), SETTINGS, NOW)
    assert stands.remedy.startswith(remedy)
    assert "--retry 7" in stands.remedy


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (f"{ROOT}/a: cannot be read by the server: no, and it is tried again", "let the server"),
        ("waits for /x/b.tif", "copy the missing files there"),
        ("it is cut short or broken", "copy it again"),
    ],
)
def test_what_is_tried_again_by_itself_needs_no_command(reason: str, remedy: str) -> None:
    """Who is at a microscope cannot run one, and need not: the files alone are to be mended."""
    stands = standing(seen(State.FAILED, reason), SETTINGS, NOW)
    assert stands.remedy.startswith(remedy) and "--retry" not in stands.remedy
    assert stands.remedy.endswith(", and it is tried again; or `omero fs forget 7`")


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("cannot be read now: Disk quota exceeded", "a quota is used up"),
        ("cannot be read now: Permission denied", "let the server read it"),
        ("/x/a.tif: cannot be read now: Read-only file system", "it is mounted read-only"),
        ("cannot be listed: Permission denied", "let the server enter and list it"),
        ("cannot be looked at: Permission denied", "let the server enter and list it"),
    ],
)
def test_what_to_do_where_the_server_is_refused(reason: str, remedy: str) -> None:
    assert situation.remedy_for(reason).startswith(remedy)


# What an index says of itself while it is not whole, and what a directory says before its files.
_UNFINISHED = {
    "its tiles, the .ets files of _x_/, are not there yet": "copy the missing files there",
    "the images of a.oif.files/ are not there yet": "copy the missing files there",
    "it promises 4 images, and 1 of them, such as a_s1.tif, are not there": "copy the missing",
    "it promises 30 frames, and 12 are there": "copy it again",
    "its header has 348 bytes, and 20 are there": "copy it again",
    "it names no image yet": "copy it again",
    "it does not say yet how many images it has": "copy it again",
    "it does not name its data files yet": "copy it again",
    "a block in it has no end": "copy it again",
    "its XML has no end yet": "copy it again",
    "its JSON cannot be read: Expecting value": "copy it again",
    "/in/amy/a.zarr/: has none of its series yet": "copy it again",
    "/in/amy/a.zarr/A/1: does not say its images yet": "copy it again",
}


@pytest.mark.parametrize(("reason", "remedy"), _UNFINISHED.items())
def test_who_waits_for_a_set_hears_what_to_do_and_until_when(reason: str, remedy: str) -> None:
    """At once, and not only when DropBox has counted how long it has waited."""
    for told in (reason, f"{ROOT}/x.nd: {reason}"):
        stands = standing(seen(State.WAITING, told), SETTINGS, NOW)
        assert stands.remedy.startswith(remedy)
        assert stands.deadline is not None
        assert "--retry" not in standing(seen(State.FAILED, told), SETTINGS, NOW).remedy


def test_a_name_of_a_copy_under_way_is_told_with_what_to_do() -> None:
    copied = "a system file (omero.fs.ignoreSysFiles): files of a copy under way: WinSCP"
    assert situation.remedy_for(copied).endswith("if nobody copies any more, rename it")
    assert situation.remedy_for("a system file (omero.fs.ignoreSysFiles): hidden files") == ""


def test_an_original_that_may_not_be_removed_is_told_with_what_to_do() -> None:
    why = f"imported, but {ROOT}/a.tif: may not be removed: Read-only file system"
    stands = standing(seen(State.IMPORTED, why), SETTINGS, NOW)
    assert stands.what == why
    assert stands.remedy.startswith("OMERO has it: remove it")
    assert standing(seen(State.IMPORTED, "imported, but linked twice"), SETTINGS, NOW).remedy == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_time_spans(seconds: float, words: str) -> None:
    assert situation.lasting(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e12, "2.5 TB")]
)
def test_sizes(size: float, words: str) -> None:
    assert situation.amount(size) == words
