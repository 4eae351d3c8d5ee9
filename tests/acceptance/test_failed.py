"""A file that cannot be imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXTERNAL

from . import images
from .dropping import DropBox, sha1

NOTES = b"These are my notes, and no image.\n" * 100


@dataclass(frozen=True)
class Failed:
    """Files dropped together.  One of them is not an image."""

    place: DropBox
    bad: Path
    content: bytes  # of the bad one
    good: list[Path]
    told: dict[str, Any]  # what `omero fs status --json` says of the bad one


@pytest.fixture(scope="module", params=["refused by the server", "by every reader"])
def failed(new_dropbox: Callable[..., DropBox], request: pytest.FixtureRequest) -> Failed:
    by_server = request.param == "refused by the server"
    if by_server and EXTERNAL in os.environ:
        pytest.skip("what the sandbox has no pixel type for, another server may have")
    content = images.refused() if by_server else NOTES
    place = new_dropbox("amy", f"failed {request.param}")
    good = [place.drop("before.tif")]
    bad = place.drop("no image.tif", content)
    good.append(place.drop("later.tif"))
    (told,) = place.server.until_told(bad, states=("failed", "imported"))
    return Failed(place, bad, content, good, told)


def test_ends_as_failed_with_the_reason(failed: Failed) -> None:
    assert failed.told["state"] == "failed"
    # The name of the ERR that OMERO.server answers an import with, and what it says; or what
    # nobody had to be asked for.
    name, _, text = failed.told["reason"].partition(": ")
    by_server = failed.content != NOTES
    assert (name in ("error-on-init", "import-request-failure")) == by_server, failed.told
    assert text
    assert "Traceback" not in text
    assert failed.told["images"] == []


def test_status_tells_people_of_it(failed: Failed) -> None:
    server = failed.place.server
    done = server.run("fs", "status", "--state", "failed", "--limit", "0", check=False)
    assert done.returncode == 8, done.stderr
    told = done.stdout
    (line,) = [line for line in told.splitlines() if str(failed.bad) in line]
    assert failed.told["reason"] in line
    assert "amy" in line


def test_is_still_on_disk_as_it_was(failed: Failed) -> None:
    assert failed.bad.read_bytes() == failed.content


def test_leaves_no_image_and_no_half_fileset(failed: Failed) -> None:
    assert failed.place.omero.fileset_ids(failed.bad) == {failed.bad: []}


def test_others_are_imported(failed: Failed) -> None:
    failed.place.until_imported(*failed.good)
    failed.place.assert_once(*failed.good)


def test_mended_it_is_imported(failed: Failed) -> None:
    failed.bad.write_bytes(images.tiff())
    (fileset,) = failed.place.until_imported(failed.bad)
    assert [stored.sha1 for stored in fileset.files] == [sha1(failed.bad)]
    failed.place.assert_once(failed.bad)
