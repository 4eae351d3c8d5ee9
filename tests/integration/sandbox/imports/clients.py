"""A sandbox in this process, and clients that import into it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import Ice
import omero.all
from omero.model import (
    ChecksumAlgorithmI,
    DatasetI,
    FilesetEntryI,
    FilesetI,
    NamedValue,
    UploadJobI,
)
from omero.rtypes import rstring, unwrap
from omero.sys import ParametersI

import omero
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.factory import Factory
from omero_fs_plugin.sandbox.server import register_types
from omero_fs_plugin.sandbox.sessions import Sandbox

NSFILETRANSFER = omero.constants.namespaces.NSFILETRANSFER


def communicator() -> Any:
    """An Ice communicator that knows OMERO's classes."""
    data = Ice.InitializationData()
    data.properties = Ice.createProperties()
    data.properties.setProperty("Ice.ImplicitContext", "Shared")
    data.properties.setProperty("Ice.MessageSizeMax", "65536")
    data.properties.setProperty("Ice.ThreadPool.Server.Size", "8")
    data.properties.setProperty("Ice.Override.Timeout", "20000")
    made = Ice.initialize(data)
    made.getImplicitContext().put(omero.constants.CLIENTUUID, "a-client")  # as omero.client does
    register_types(made)
    return made


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """One user's client; the calls an importer makes, in an importer's order."""

    def __init__(self, server: Server, user: str, group: str = "", **options: Any) -> None:
        self.sandbox = server.sandbox
        self.session = self.sandbox.sessions.create(user, group, **options)
        self.ice = communicator()
        server.clients.append(self.ice)
        proxy = self.sandbox.serve_factory(self.session, Factory(self.sandbox, self.session))
        self.sf = omero.api.ServiceFactoryPrx.uncheckedCast(self.ice.stringToProxy(str(proxy)))

    @property
    def repository(self) -> Any:
        proxies = self.sf.sharedResources().repositories().proxies
        casts = [omero.grid.ManagedRepositoryPrx.checkedCast(p) for p in proxies if p]
        return next(cast for cast in casts if cast)

    def query(self, text: str, **given: Any) -> list[Any]:
        parameters = ParametersI()
        for key, value in given.items():
            parameters.add(key, omero.rtypes.wrap(value))
        rows = self.sf.getQueryService().projection(text, parameters, {"omero.group": "-1"})
        return [[unwrap(cell) for cell in row] for row in rows]

    def begin(self, paths: list[str], *, target: Any = None, annotate: Any = None) -> Any:
        described = fileset(*paths)
        if annotate is not None:
            described.linkAnnotation(annotate)
        wanted = settings()
        wanted.userSpecifiedTarget = target
        return self.repository.importFileset(described, wanted)

    def upload(self, process: Any, contents: list[bytes], block: int = 1 << 16) -> list[str]:
        for index, content in enumerate(contents):
            store = process.getUploader(index)
            for offset in range(0, len(content), block):
                part = content[offset : offset + block]
                store.write(part, offset, len(part))
            store.close()
        return [hashlib.sha1(content).hexdigest() for content in contents]

    def run(self, *files: tuple[str, bytes], **options: Any) -> Any:
        """A whole import; the ImportResponse or ERR."""
        process = self.begin([path for path, _ in files], **options)
        hashes = self.upload(process, [content for _, content in files])
        response = answer(process.verifyUpload(hashes))
        process.close()
        return response

    def submit(self, request: Any) -> Any:
        return answer(self.sf.submit(request))

    def file_of(self, image: int) -> tuple[int, str]:
        """The id of the first file of an image and its place in the repository."""
        text = (
            "select o.id, o.path, o.name from Image i join i.fileset f join f.usedFiles e "
            "join e.originalFile o where i.id = :id order by e.id"
        )
        row = self.query(text, id=image)[0]
        return row[0], row[1] + row[2]


@dataclass
class Server:
    """The sandbox's parts, served from this process."""

    sandbox: Sandbox
    clock: Clock
    clients: list[Any] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.sandbox.repositories.root

    def join(self, user: str, group: str, permissions: str = "rw----") -> int:
        """Puts a user into a group, made when missing."""
        store = self.sandbox.store
        with store.begin() as db:
            row = store.first(db, "ExperimenterGroup", name=group)
            number = row["id"] if row else accounts.create_group(store, db, group, permissions)
            person = accounts.user_by_name(store, db, user)
            assert person
            accounts.join(store, db, person["id"], number)
        return int(number)


def fileset(*paths: str, reader: str = "") -> Any:
    described = FilesetI()
    for path in paths:
        entry = FilesetEntryI()
        entry.clientPath = rstring(path)
        described.addFilesetEntry(entry)
    job = UploadJobI()
    job.versionInfo = [NamedValue("bioformats.reader", reader)] if reader else []
    described.linkJob(job)
    return described


def settings(checksum: str = "SHA1-160") -> Any:
    wanted = omero.grid.ImportSettings()
    wanted.checksumAlgorithm = ChecksumAlgorithmI()
    wanted.checksumAlgorithm.value = rstring(checksum)
    return wanted


def answer(handle: Any) -> Any:
    """What a handle answers in the end."""
    for _ in range(2000):
        response = handle.getResponse()
        if response is not None:
            handle.close()
            return response
        time.sleep(0.005)
    raise AssertionError("the handle never answered")


def reason(response: Any) -> str:
    assert isinstance(response, omero.cmd.ERR), response
    return str(response.parameters["message"])


def dataset(client: Client, name: str = "d", context: dict[str, str] | None = None) -> int:
    made = DatasetI()
    made.name = rstring(name)
    update = client.sf.getUpdateService()
    return int(unwrap(update.saveAndReturnObject(made, context or {}).id))


def deleted(client: Client, **targets: list[int]) -> Any:
    return client.submit(omero.cmd.Delete2(targetObjects=targets))
