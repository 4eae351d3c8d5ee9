"""Imports into the sandbox: files that stay where they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import omero.all
import pytest
from omero.model import CommentAnnotationI
from omero.rtypes import rstring, unwrap

import omero

from .clients import NSFILETRANSFER, Client, Server, answer, deleted

TRANSFERS = {
    "SymlinkFileTransfer": os.symlink,
    "HardlinkFileTransfer": os.link,
    "CopyFileTransfer": lambda source, target: Path(target).write_bytes(source.read_bytes()),
}


def place_of(client: Client, process: Any) -> str:
    store = process.getUploader(0)
    ((path, name),) = client.query(
        "select o.path, o.name from OriginalFile o where o.id = :id", id=unwrap(store.getFileId())
    )
    store.close()
    return f"{path}{name}"


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_in_place(server: Server, tmp_path: Path, amy: Client, tiff: bytes, transfer: str) -> None:
    source = tmp_path / "source.tif"
    source.write_bytes(tiff)
    note = CommentAnnotationI()
    note.ns = rstring(NSFILETRANSFER)
    note.textValue = rstring(f"ome.formats.importer.transfers.{transfer}")
    process = amy.begin(["home/source.tif"], annotate=note)
    place = server.root / place_of(amy, process)
    assert place.read_bytes() == b""  # the close makes an empty file
    place.unlink()
    TRANSFERS[transfer](source, place)
    store = process.getUploader(0)
    assert store.size() == len(tiff)
    store.save()
    store.close()
    response = answer(process.verifyUpload([hashlib.sha1(tiff).hexdigest()]))
    assert isinstance(response, omero.grid.ImportResponse)
    text = (
        "select a.textValue from Fileset f join f.annotationLinks l join l.child a where a.ns = :n"
    )
    assert amy.query(text, n=NSFILETRANSFER) == [[note.textValue.val]]
    ((number,),) = amy.query("select f.id from Fileset f")
    assert isinstance(deleted(amy, Fileset=[number]), omero.cmd.Delete2Response)
    assert not os.path.lexists(place) and source.read_bytes() == tiff
    assert amy.query("select a.id from Annotation a") == []


def test_an_equally_long_file_is_not_hashed_again(
    server: Server, tmp_path: Path, amy: Client, tiff: bytes
) -> None:
    (tmp_path / "source").write_bytes(tiff)
    process = amy.begin(["a.tif"])
    amy.upload(process, [b"?" * len(tiff)])
    place = server.root / place_of(amy, process)
    place.unlink()
    place.symlink_to(tmp_path / "source")
    process.getUploader(0).close()
    with pytest.raises(omero.ChecksumValidationException):
        process.verifyUpload([hashlib.sha1(tiff).hexdigest()])


def test_nothing_is_written_through_a_link(server: Server, tmp_path: Path, amy: Client) -> None:
    (tmp_path / "source").write_bytes(b"precious")
    process = amy.begin(["a.tif"])
    place = server.root / place_of(amy, process)
    place.unlink()
    place.symlink_to(tmp_path / "source")
    with pytest.raises(omero.ResourceError):
        process.getUploader(0).write(b"x", 0, 1)
    assert (tmp_path / "source").read_bytes() == b"precious"


def test_a_source_that_cannot_be_read(server: Server, tmp_path: Path, amy: Client) -> None:
    process = amy.begin(["a.tif"])
    place = server.root / place_of(amy, process)
    place.unlink()
    place.symlink_to(tmp_path / "gone")
    store = process.getUploader(0)
    with pytest.raises(omero.ResourceError) as caught:
        store.save()
    assert caught.value.message == f"{place} (No such file or directory)"
