"""Directories that are a part of one image, and where their files go."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import DEADLY, Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.folders import in_folders, index_of

OIF, PART, THUMB = "/in/amy/x.oif", "/in/amy/x.oif.files/s_C001.tif", "/in/amy/x.oif.files/t.bmp"


@pytest.mark.parametrize(
    ("path", "index"),
    [
        (PART, OIF),
        ("/in/amy/X.OIF.Files/s.pty", "/in/amy/X.oif"),
        ("/in/amy/x.oif.files/deeper/s.pty", ""),
        ("/in/amy/.oif.files/s.pty", ""),
        ("/in/amy/x.files/s.tif", ""),
        ("/in/amy/_x_/stack1/frame_t.ets", "/in/amy/x.vsi"),
        ("/in/amy/_x_/stack10001/frame_t_0.ets", "/in/amy/x.vsi"),
        ("/in/amy/_x_/stack1/a.tif", ""),
        ("/in/amy/_x_/a.ets", ""),
        ("/in/amy/__/stack1/a.ets", ""),
        ("/in/amy/slide/Data0000.dat", "/in/amy/slide.mrxs"),
        ("/in/a\nb/x\ny.oif.files/s\n.pty", "/in/a\nb/x\ny.oif"),
        ("/in/a\nb/_x_/stack1/frame_t.ets", "/in/a\nb/x.vsi"),
        ("/in/a\nb/slide/Data0000.dat", "/in/a\nb/slide.mrxs"),
        ("/in/amy/other/Data0000.dat", ""),
    ],
)
def test_the_name_of_the_directory_tells_the_index(path: str, index: str) -> None:
    assert index_of(path, {"/in/amy/slide", "/in/a\nb/slide"}) == index


def test_they_wait_for_an_index_that_comes_last() -> None:
    grouping = Grouping(
        (Candidate((PART,)), Candidate(("/in/amy/a.tif",))), {THUMB: "no reader takes it"}
    )
    found = in_folders(grouping, [PART, THUMB, "/in/amy/a.tif"])
    assert found.candidates == (
        Candidate(("/in/amy/a.tif",)),
        Candidate((PART, THUMB), missing=(OIF,)),
    )
    assert found.unreadable == {}


def test_they_go_with_an_index_whose_set_waits() -> None:
    index = Candidate((OIF,), incomplete="no end yet")
    grouping = Grouping((Candidate((PART,)), index), {THUMB: "no reader takes it"})
    (found,) = in_folders(grouping, [OIF, PART, THUMB]).candidates
    assert found.files == (OIF, PART, THUMB) and found.incomplete == "no end yet"


def test_what_its_reader_leaves_out_is_no_image_of_its_own_and_has_not_failed() -> None:
    grouping = Grouping((Candidate((OIF, PART)), Candidate((THUMB,))))
    found = in_folders(grouping, [OIF, PART, THUMB])
    assert found.candidates == (Candidate((OIF, PART)),)
    assert found.unreadable == {THUMB: f"a part of {OIF}, whose reader does not use it"}
    assert found.parts == {THUMB}


def test_an_index_in_another_case_is_theirs() -> None:
    index = Candidate(("/in/amy/X.OIF",), incomplete="no end yet")
    (found,) = in_folders(Grouping((Candidate((PART,)), index)), ["/in/amy/X.OIF", PART]).candidates
    assert found.files == ("/in/amy/X.OIF", PART)


def test_an_index_that_no_reader_takes_makes_no_set() -> None:
    grouping = Grouping((Candidate((PART,)),), {OIF: "no reader takes it"})
    assert in_folders(grouping, [OIF, PART]).candidates == grouping.candidates


def test_a_file_that_ended_its_reader_has_failed_by_itself() -> None:
    grouping = Grouping((), {THUMB: f"{DEADLY}: no answer"})
    assert in_folders(grouping, [THUMB]) == grouping


def test_a_slide_with_its_data_is_one_thing() -> None:
    """Its files were a line each, with "no reader takes it"."""
    slide = [f"/in/amy/x/{name}" for name in ("Slidedat.ini", "Index.dat", "Data0000.dat")]
    index = Candidate(("/in/amy/x.mrxs",), incomplete="only an overview would be imported")
    grouping = Grouping((index,), dict.fromkeys(slide, "no reader takes it"))
    (found,) = in_folders(grouping, [*slide, index.files[0]]).candidates
    assert found.files == (*index.files, *slide)
