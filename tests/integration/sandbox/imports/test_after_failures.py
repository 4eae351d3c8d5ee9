"""Imports into the sandbox: what failures leave, and who removes it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy
import omero.all
import pytest
import tifffile
from omero.model import DatasetI, OriginalFileI
from omero.rtypes import rstring, unwrap

import omero
from omero_fs_plugin.sandbox.store import Store

from .clients import Client, Server, dataset, deleted, reason


def test_deleting_a_fileset(server: Server, amy: Client, tiff: bytes) -> None:
    target = dataset(amy)
    response = amy.run(("a.tif", tiff), ("b/b.txt", b"x"), target=DatasetI(target, False))
    _, place = amy.file_of(unwrap(response.objects[0].id))
    ((number,),) = amy.query("select f.id from Fileset f")
    zak = Client(server, "zak")
    assert reason(deleted(zak, Fileset=[number]))
    dry = omero.cmd.Delete2(targetObjects={"Fileset": [number]}, dryRun=True)
    assert "Image" in amy.submit(dry).deletedObjects
    assert (server.root / place).exists()
    told = deleted(amy, Fileset=[number])
    assert isinstance(told, omero.cmd.Delete2Response)
    assert told.deletedObjects["Fileset"] == [number]
    kinds = ("Fileset", "FilesetEntry", "Image", "Pixels", "Channel", "DatasetImageLink", "Job")
    for kind in kinds:
        assert amy.query(f"select x.id from {kind} x") == [], kind
    assert amy.query("select d.id from Dataset d") == [[target]]
    assert not (server.root / place).exists()
    assert (server.root / place).parent.is_dir()  # empty directories stay
    assert reason(deleted(amy, Fileset=[number]))


def test_an_administrator_deletes_what_a_failure_left(server: Server, amy: Client) -> None:
    amy.run(("a.txt", b"no image"))
    ((number,),) = amy.query("select f.id from Fileset f")
    assert isinstance(deleted(Client(server, "root"), Fileset=[number]), omero.cmd.Delete2Response)


def test_images_are_not_torn_out_of_their_fileset(tmp_path: Path, amy: Client) -> None:
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        for _ in range(2):
            tif.write(numpy.zeros((5, 6), numpy.uint8))
    response = amy.run(("two.ome.tif", (tmp_path / "two.ome.tif").read_bytes()))
    images = [unwrap(image.id) for image in response.objects]
    assert "cannot be split" in reason(deleted(amy, Image=images[:1]))
    assert len(amy.query("select i.id from Image i")) == 2
    both = omero.cmd.DoAll([omero.cmd.Delete2(targetObjects={"Image": images})])
    assert isinstance(amy.submit(both), omero.cmd.DoAllRsp)
    assert amy.query("select f.id from Fileset f") == []


def test_containers_and_files_in_use_are_not_deleted(amy: Client, tiff: bytes) -> None:
    target = dataset(amy)
    image = unwrap(amy.run(("a.tif", tiff), target=DatasetI(target, False)).objects[0].id)
    assert "empty" in reason(deleted(amy, Dataset=[target]))
    assert "used by" in reason(deleted(amy, OriginalFile=[amy.file_of(image)[0]]))
    deleted(amy, Image=[image])
    assert isinstance(deleted(amy, Dataset=[target]), omero.cmd.Delete2Response)


def test_other_commands_answer_with_an_error(amy: Client) -> None:
    assert "Chgrp2" in reason(amy.submit(omero.cmd.Chgrp2(targetObjects={"Image": [1]})))
    assert "Experimenter" in reason(deleted(amy, Experimenter=[0]))
    assert "Nonsense" in reason(deleted(amy, Nonsense=[0]))


def test_no_row_of_a_clients_leads_to_another_file(
    server: Server, amy: Client, tiff: bytes
) -> None:
    file_id, place = amy.file_of(unwrap(amy.run(("a.tif", tiff)).objects[0].id))
    forged = OriginalFileI()
    forged.repo = rstring(server.sandbox.repositories.uuid)
    forged.path, forged.name = rstring(place.rpartition("/")[0] + "/"), rstring("a.tif")
    with pytest.raises(omero.SecurityViolation):
        Client(server, "zak").sf.getUpdateService().saveObject(forged)
    moved = amy.sf.getQueryService().get("OriginalFile", file_id)
    moved.path = rstring("../")
    with pytest.raises(omero.SecurityViolation):
        amy.sf.getUpdateService().saveObject(moved)


def test_was_this_imported_already(server: Server, amy: Client, tiff: bytes) -> None:
    amy.run(("home/a.tif", b"no image"))
    image = unwrap(amy.run(("home/a.tif", tiff)).objects[0].id)
    text = (
        "select distinct f.id, i.id from Fileset f join f.usedFiles e join f.images i "
        "where f.details.owner.id = :u and e.clientPath = :p"
    )
    rows = Client(server, "root").query(text, u=amy.session.user, p="home/a.tif")
    assert [row[1] for row in rows] == [image]


def test_a_killed_server_resumes_nothing(server: Server, amy: Client, tiff: bytes) -> None:
    process = amy.begin(["a.tif"])
    amy.upload(process, [tiff])
    store = Store(server.sandbox.store.file)
    with store.read() as db:
        rows = [store.rows(db, kind) for kind in ("Fileset", "FilesetEntry", "Image")]
        (entry,) = rows[1]
        file = store.row(db, "OriginalFile", entry["originalFile"])
    store.close()
    assert len(rows[0]) == 1 and rows[2] == []
    assert file is not None and file["hash"] == hashlib.sha1(tiff).hexdigest()
