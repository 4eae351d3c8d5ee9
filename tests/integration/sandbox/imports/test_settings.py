"""Imports into the sandbox: job links, checksums, and what is refused at once."""

from __future__ import annotations

import hashlib
from typing import Any

import omero.all
import pytest
from omero.model import FilesetI, IndexingJobI, UploadJobI
from omero.rtypes import unwrap

import omero

from .clients import Client, answer, fileset, settings


def test_exactly_one_job_and_that_an_upload(amy: Client) -> None:
    none, two, other = (fileset("a") for _ in range(3))
    none.clearJobLinks()
    two.linkJob(UploadJobI())
    other.clearJobLinks()
    other.linkJob(IndexingJobI())
    for wrong in (none, two):
        with pytest.raises(omero.ValidationException) as caught:
            amy.repository.importFileset(wrong, settings())
        assert caught.value.message == (
            "Found more than one job link. Link only updateJob on creation!"
        )
    with pytest.raises(omero.ValidationException) as caught:
        amy.repository.importFileset(other, settings())
    assert caught.value.message == "Found non-UploadJob on creation"


def test_the_checksum_algorithm_is_required_and_must_be_known(amy: Client) -> None:
    for wrong, text in (
        (omero.grid.ImportSettings(), "must specify checksum algorithm"),
        (None, "must specify checksum algorithm"),
        (settings("SHA9-9"), "unknown checksum algorithm: SHA9-9"),
    ):
        with pytest.raises(omero.ApiUsageException) as caught:
            amy.repository.importFileset(fileset("a"), wrong)
        assert caught.value.message == text


def test_suggested_checksum_algorithms(amy: Client) -> None:
    def suggest(*names: str) -> Any:
        return amy.repository.suggestChecksumAlgorithm(
            [settings(name).checksumAlgorithm for name in names]
        )

    assert unwrap(suggest("MD5-128", "SHA1-160").value) == "SHA1-160"
    assert unwrap(suggest("X", "MD5-128").value) == "MD5-128"
    assert suggest("X") is None and suggest() is None
    assert len(amy.repository.listChecksumAlgorithms()) == 2


def test_md5(amy: Client, tiff: bytes) -> None:
    process = amy.repository.importFileset(fileset("a.tif"), settings("MD5-128"))
    amy.upload(process, [tiff])
    response = answer(process.verifyUpload([hashlib.md5(tiff).hexdigest()]))
    assert isinstance(response, omero.grid.ImportResponse)


@pytest.mark.parametrize("nothing", [None, "empty", "persisted"])
def test_a_fileset_must_be_new_and_have_entries(amy: Client, nothing: Any) -> None:
    wrong = {None: None, "empty": fileset(), "persisted": FilesetI(1, False)}[nothing]
    with pytest.raises(omero.ApiUsageException):
        amy.repository.importFileset(wrong, settings())
