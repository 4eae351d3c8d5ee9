"""Imports into the sandbox: the answer, and those who wait for it."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import Ice
import numpy
import omero.all
import pytest
import tifffile
from omero.rtypes import unwrap

import omero

from .clients import Client, Server, answer, reason


def test_several_images_in_one_file(tmp_path: Path, amy: Client) -> None:
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        tif.write(numpy.zeros((5, 6), numpy.uint8), metadata={"Name": "left"})
        tif.write(numpy.zeros((5, 6), numpy.uint8), metadata={"Name": "right"})
    response = amy.run(("two.ome.tif", (tmp_path / "two.ome.tif").read_bytes()))
    names = [unwrap(image.name) for image in response.objects]
    assert names == ["two.ome.tif [left]", "two.ome.tif [right]"]
    assert [unwrap(p.image.id) for p in response.pixels] == [unwrap(i.id) for i in response.objects]


def test_the_first_entry_decides(amy: Client, tiff: bytes) -> None:
    assert isinstance(amy.run(("a.tif", tiff), ("a.txt", b"x")), omero.grid.ImportResponse)
    assert reason(amy.run(("a.txt", b"x"), ("a.tif", tiff))).startswith("a.txt: ")


def test_a_broken_file_names_itself_and_nothing_is_cleaned_up(
    server: Server, amy: Client, tiff: bytes
) -> None:
    response = amy.run(("a.tif", tiff[:-100]))
    assert (response.category, response.name) == ("::omero::grid::ImportRequest", "error-on-init")
    assert reason(response).startswith("a.tif: cut short")
    ((found, prefix),) = amy.query("select f.id, f.templatePrefix from Fileset f")
    assert (server.root / prefix / "a.tif").exists()
    imported = "select f.id from Fileset f join f.images i"
    assert amy.query(imported) == [] and found
    assert amy.query("select o.hash from FilesetEntry e join e.originalFile o") == [
        [hashlib.sha1(tiff[:-100]).hexdigest()]
    ]


def test_the_import_log(server: Server, amy: Client, tiff: bytes) -> None:
    amy.run(("a.tif", tiff))
    text = (
        "select o.path, o.name from FilesetJobLink l join l.parent fs join l.child j "
        "join j.originalFileLinks l2 join l2.child o where o.mimetype = "
        "'application/omero-log-file'"
    )
    ((path, name),) = amy.query(text)
    ((prefix,),) = amy.query("select f.templatePrefix from Fileset f")
    assert f"{path}{name}" == prefix.rstrip("/") + ".log"
    assert "imported as images" in (server.root / path / name).read_text()


def test_the_request_and_the_status(amy: Client, tiff: bytes) -> None:
    process = amy.begin(["a.tif"])
    handle = process.verifyUpload(amy.upload(process, [tiff]))
    request = handle.getRequest()
    assert isinstance(request, omero.grid.ImportRequest)
    assert unwrap(request.activity.parent.templatePrefix).startswith("amy_")
    assert process.getHandle() == handle
    while handle.getResponse() is None:
        time.sleep(0.005)
    assert handle.getStatus().stopTime > 0 and not handle.cancel()
    process.close()
    handle.close()
    with pytest.raises(Ice.ObjectNotExistException):
        handle.getResponse()


def test_a_callback_hears_the_end(amy: Client, tiff: bytes) -> None:
    adapter = amy.ice.createObjectAdapterWithEndpoints("Callbacks", "tcp -h 127.0.0.1")
    adapter.activate()
    heard = threading.Event()

    class Callback(omero.cmd.CmdCallback):  # type: ignore[misc]
        def step(self, complete: int, total: int, current: Any = None) -> None:
            """Not told by the sandbox."""

        def finished(self, response: Any, status: Any, current: Any = None) -> None:
            heard.set()

    proxy = omero.cmd.CmdCallbackPrx.uncheckedCast(adapter.addWithUUID(Callback()))
    process = amy.begin(["a.tif"])
    hashes = amy.upload(process, [tiff])
    pool = amy.sandbox.repositories.workers
    gate = threading.Event()
    for _ in range(4):  # the import waits behind these
        pool.submit(gate.wait, 20)
    handle = process.verifyUpload(hashes)
    handle.addCallback(proxy)
    assert handle.getResponse() is None
    gate.set()
    assert heard.wait(20)


def test_an_import_that_waits_can_be_cancelled(amy: Client, tiff: bytes) -> None:
    gate = threading.Event()
    for _ in range(4):
        amy.sandbox.repositories.workers.submit(gate.wait, 20)
    process = amy.begin(["a.tif"])
    handle = process.verifyUpload(amy.upload(process, [tiff]))
    assert handle.cancel()
    gate.set()
    assert omero.cmd.State.CANCELLED in handle.getStatus().flags
    assert reason(answer(handle))
    assert amy.query("select i.id from Image i") == []


def test_polling_keeps_no_session_alive_and_its_answer_is_lost(server: Server, tiff: bytes) -> None:
    amy = Client(server, "amy", time_to_idle=60_000)
    gate = threading.Event()
    for _ in range(4):
        server.sandbox.repositories.workers.submit(gate.wait, 20)
    process = amy.begin(["a.tif"])
    handle = process.verifyUpload(amy.upload(process, [tiff]))
    server.clock.now += 40
    assert handle.getResponse() is None
    server.clock.now += 40  # polled in time, and idle all the same
    with pytest.raises(Ice.ObjectNotExistException):
        handle.getResponse()
    gate.set()
    server.sandbox.repositories.workers.submit(lambda: None).result(20)
    root = Client(server, "root")
    for _ in range(2000):
        if found := root.query("select i.id from Image i"):
            break
        time.sleep(0.005)
    assert len(found) == 1


def test_keeping_alive_keeps_the_session(server: Server) -> None:
    amy = Client(server, "amy", time_to_idle=60_000)
    for _ in range(3):
        server.clock.now += 40
        amy.sf.keepAlive(None)
    assert amy.query("select i.id from Image i") == []
