"""Imports into the sandbox: bytes written, and verified."""

from __future__ import annotations

import hashlib

import Ice
import omero.all
import pytest
from omero.rtypes import unwrap

import omero

from .clients import Client, Server, answer


def test_what_is_stored_is_what_was_sent(server: Server, amy: Client, tiff: bytes) -> None:
    response = amy.run(("cells.ome.tiff", tiff))
    (pixels,), (image,) = response.pixels, response.objects
    assert unwrap(pixels.image.id) == unwrap(image.id)
    assert unwrap(image.name) == "cells.ome.tiff"
    sizes = [unwrap(getattr(pixels, f"size{axis}")) for axis in "XYZCT"]
    assert sizes == [30, 20, 2, 3, 1]
    file_id, place = amy.file_of(unwrap(image.id))
    assert (server.root / place).read_bytes() == tiff
    text = "select o.size, o.hash from OriginalFile o where o.id = :i"
    assert amy.query(text, i=file_id) == [[len(tiff), hashlib.sha1(tiff).hexdigest()]]
    assert amy.query("select p.pixelsType.value from Pixels p") == [["uint16"]]


def test_files_come_back_over_a_raw_file_store(server: Server, amy: Client, tiff: bytes) -> None:
    file_id, _ = amy.file_of(unwrap(amy.run(("a.tif", tiff)).objects[0].id))
    store = amy.sf.createRawFileStore()
    with pytest.raises(omero.ApiUsageException):
        store.size()
    store.setFileId(file_id)
    assert unwrap(store.getFileId()) == file_id and store.exists()
    assert store.size() == len(tiff)
    assert store.read(0, len(tiff)) == tiff and store.read(len(tiff) - 3, 99) == tiff[-3:]
    with pytest.raises(omero.SecurityViolation):
        store.write(b"x", 0, 1)
    store.close()
    with pytest.raises(Ice.ObjectNotExistException):
        store.size()
    with pytest.raises(omero.ValidationException):
        Client(server, "zak").sf.createRawFileStore().setFileId(file_id)


@pytest.mark.parametrize("wrong", ["0" * 40, "", "upper"])
def test_a_wrong_hash_fails_and_names_the_files(amy: Client, tiff: bytes, wrong: str) -> None:
    process = amy.begin(["1.tif", "2.tif", "3.tif"])
    hashes = amy.upload(process, [tiff, b"two", b"three"])
    given = [hashes[0], hashes[1].upper() if wrong == "upper" else wrong, hashes[2]]
    with pytest.raises(omero.ChecksumValidationException) as caught:
        process.verifyUpload(given)
    assert caught.value.failingChecksums == {1: hashes[1]}
    assert isinstance(answer(process.verifyUpload(hashes)), omero.grid.ImportResponse)


def test_as_many_hashes_as_files(amy: Client) -> None:
    process = amy.begin(["1.tif"])
    amy.upload(process, [b"x"])
    for hashes in ([], ["0" * 40] * 2):
        with pytest.raises(omero.ApiUsageException):
            process.verifyUpload(hashes)


def test_a_file_damaged_on_disk_fails(server: Server, amy: Client, tiff: bytes) -> None:
    for damage in (tiff[:-1] + b"!", tiff + b"!", tiff[:-9]):
        process = amy.begin(["a.tif"])
        hashes = amy.upload(process, [tiff])
        ((prefix,),) = amy.query("select f.templatePrefix from Fileset f order by f.id")[-1:]
        (server.root / prefix / "a.tif").write_bytes(damage)
        with pytest.raises(omero.ChecksumValidationException) as caught:
            process.verifyUpload(hashes)
        assert caught.value.failingChecksums == {0: hashlib.sha1(damage).hexdigest()}


def test_writes_in_any_order(amy: Client, tiff: bytes) -> None:
    process = amy.begin(["a.tif"])
    store = process.getUploader(0)
    half = len(tiff) // 2
    store.write(b"junk" * len(tiff), 0, 4 * len(tiff))
    store.write(tiff[half:], half, len(tiff) - half)
    store.write(tiff[:half], 0, half)
    assert store.truncate(len(tiff)) and not store.truncate(len(tiff))
    assert store.size() == len(tiff) and process.getUploadOffset(0) == len(tiff)
    assert unwrap(store.save().hash) == hashlib.sha1(tiff).hexdigest()
    store.close()
    hashes = [hashlib.sha1(tiff).hexdigest()]
    assert isinstance(answer(process.verifyUpload(hashes)), omero.grid.ImportResponse)


def test_uploading_a_file_again(amy: Client, tiff: bytes) -> None:
    process = amy.begin(["a.tif"])
    amy.upload(process, [b"?" * len(tiff)])
    hashes = amy.upload(process, [tiff])
    assert isinstance(answer(process.verifyUpload(hashes)), omero.grid.ImportResponse)


def test_there_are_as_many_uploaders_as_files(amy: Client) -> None:
    process = amy.begin(["a.tif"])
    for index in (-1, 1):
        with pytest.raises(omero.ApiUsageException):
            process.getUploader(index)
    assert unwrap(process.getImportSettings().checksumAlgorithm.value) == "SHA1-160"
    assert process.getHandle() is None
    process.close()
    with pytest.raises(Ice.ObjectNotExistException):
        process.getUploader(0)


def test_a_file_never_uploaded(amy: Client) -> None:
    process = amy.begin(["a.tif"])
    with pytest.raises(omero.ResourceError):
        process.verifyUpload(["0" * 40])
