"""Imports into the sandbox, over Ice, as strict as what is known of OMERO.server.

The server's parts run in this process; `Client` is what a client of
omero-py's API does, without the router in between.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import Ice
import numpy
import omero.all
import pytest
import tifffile
from omero.model import (
    ChecksumAlgorithmI,
    CommentAnnotationI,
    DatasetI,
    FilesetEntryI,
    FilesetI,
    IndexingJobI,
    NamedValue,
    OriginalFileI,
    ProjectI,
    ScreenI,
    UploadJobI,
)
from omero.rtypes import rstring, unwrap
from omero.sys import ParametersI

import omero
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.factory import Factory
from omero_fs_plugin.sandbox.repository import Repositories
from omero_fs_plugin.sandbox.server import register_types
from omero_fs_plugin.sandbox.sessions import Sandbox
from omero_fs_plugin.sandbox.store import Store

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


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with OMERO's own users and groups; hashing passwords takes its time."""
    store = Store(tmp_path_factory.mktemp("seeded") / "sandbox.sqlite")
    accounts.seed(store, "omero")
    with store.begin() as db:
        for user in ("amy", "zak"):
            group = accounts.create_group(store, db, f"{user}_group")
            accounts.create_user(store, db, user, user, [accounts.USER_GROUP, group])
    store.close()
    return store.file


@pytest.fixture
def server(tmp_path: Path, seeded: Path) -> Iterator[Server]:
    threads = set(threading.enumerate())
    ice = communicator()
    adapter = ice.createObjectAdapterWithEndpoints("Sandbox", "tcp -h 127.0.0.1")
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(seeded, data)
    store = Store(data / seeded.name)
    clock = Clock()
    made = Server(Sandbox(adapter, store, data, {}, clock), clock)
    made.sandbox.repositories = Repositories(made.sandbox)
    adapter.activate()
    yield made
    for client in made.clients:
        client.destroy()
    ice.destroy()
    made.sandbox.repositories.close()
    store.close()
    assert not {t for t in threading.enumerate() if t.name.startswith("command")} - threads


@pytest.fixture
def amy(server: Server) -> Client:
    return Client(server, "amy")


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


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("images") / "cells.ome.tiff"
    planes = numpy.random.default_rng(3).integers(0, 9, (2, 3, 20, 30)).astype(numpy.uint16)
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": "ZCYX"})
    return path.read_bytes()


# Repositories (point 2)


def test_repositories_in_order_and_only_one_is_managed(server: Server, amy: Client) -> None:
    found = amy.sf.sharedResources().repositories()
    assert [unwrap(d.name) for d in found.descriptions] == ["scripts", "ManagedRepository", "data"]
    assert unwrap(found.descriptions[0].hash) == "ScriptRepo"
    assert unwrap(found.descriptions[1].path) == f"{server.root.parent}/"
    assert [proxy is None for proxy in found.proxies] == [False, False, True]
    cast = omero.grid.ManagedRepositoryPrx.checkedCast
    assert cast(found.proxies[0]) is None
    assert cast(found.proxies[1]) is not None


def test_what_a_repository_does_not_have_is_refused_by_name(amy: Client) -> None:
    for refused in (
        lambda: amy.repository.importPaths(["a"]),
        lambda: amy.repository.deletePaths(["a"], False, False),
        lambda: amy.repository.register("a", None),
    ):
        with pytest.raises(omero.ApiUsageException) as caught:
            refused()
        assert "ManagedRepository." in caught.value.message


def test_looking_into_the_repository(server: Server, amy: Client, tiff: bytes) -> None:
    image = unwrap(amy.run(("a/b.tif", tiff)).objects[0].id)
    _, place = amy.file_of(image)
    directory = place.rpartition("/")[0]
    assert amy.repository.list(directory) == [place]
    assert [unwrap(f.name) for f in amy.repository.listFiles(directory)] == ["b.tif"]
    assert amy.repository.fileExists(place)
    assert amy.repository.file(place, "r").read(0, 4) == tiff[:4]
    zak = Client(server, "zak")
    assert zak.repository.list(directory) == [] and not zak.repository.fileExists(place)
    # This alone asks the disk.
    assert zak.repository.mimetype(place) == "application/octet-stream"
    with pytest.raises(omero.ValidationException):
        zak.repository.mimetype("nothing")
    amy.repository.makeDir(f"amy_{amy.session.user}/mine/deep", True)
    assert (server.root / f"amy_{amy.session.user}/mine/deep").is_dir()
    with pytest.raises(omero.SecurityViolation):
        zak.repository.makeDir(f"amy_{amy.session.user}/his", True)


# Client paths (point 3)


@pytest.mark.parametrize("path", ["home/a:b/c.tif", "home/con.tif", "$x/a.tif", "a\\b.tif", "a\nb"])
def test_a_name_against_the_rules_is_refused_before_anything_is_made(
    server: Server, amy: Client, path: str
) -> None:
    with pytest.raises(omero.FilePathNamingException) as refused:
        amy.begin(["home/good.tif", path])
    assert refused.value.illegalFilePath == path
    assert amy.query("select f.id from Fileset f") == []
    assert list(server.root.iterdir()) == []


def test_with_other_rules_other_names_are_taken(server: Server, amy: Client, tiff: bytes) -> None:
    server.sandbox.properties = {"omero.fs.repo.path_rules": "UNIX required, UNIX optional"}
    response = amy.run(("home/a:b/con.tif", tiff))
    _, place = amy.file_of(unwrap(response.objects[0].id))
    assert place.endswith("/home/a:b/con.tif")
    with pytest.raises(omero.FilePathNamingException):
        amy.begin(["home/.hidden"])


def test_a_context_that_does_not_say_which_client_it_is_of(server: Server, tiff: bytes) -> None:
    """As an explicit one, which is instead of the implicit one that omero.client fills."""
    amy = Client(server, "amy")
    file_id, _ = amy.file_of(unwrap(amy.run(("a.tif", tiff)).objects[0].id))
    whole = dict(amy.ice.getImplicitContext().getContext())
    store = amy.sf.createRawFileStore()
    for call in (
        lambda: store.setFileId(file_id, {"omero.group": "-1"}),
        lambda: amy.repository.fileById(file_id, {"omero.group": "-1"}),
        lambda: amy.repository.importFileset(fileset("b.tif"), settings(), {"omero.group": "-1"}),
    ):
        with pytest.raises(omero.InternalException, match="No ServantHolder"):
            call()
    store.setFileId(file_id, {**whole, "omero.group": "-1"})
    assert store.size() == len(tiff)


@pytest.mark.parametrize(
    "name",
    [
        "n" * 255,
        "\u00fc" * 127,
        "\u65e5\u672c\u8a9e \U0001f52c.tif",
        "-rf $(id) `x`;&' .tif",
        "...",
        "%s%n{0}.tif",
        ".. x",
        " ",
    ],
)
def test_hostile_names_are_names(server: Server, amy: Client, tiff: bytes, name: str) -> None:
    response = amy.run((f"home/{name}", tiff))
    _, place = amy.file_of(unwrap(response.objects[0].id))
    assert (server.root / place).read_bytes() == tiff


def test_dots_fail_only_at_verify_and_write_nowhere_else(server: Server, amy: Client) -> None:
    process = amy.begin(["../.."])
    hashes = amy.upload(process, [b"x"])
    with pytest.raises(omero.FilePathNamingException):
        process.verifyUpload(hashes)
    assert not (server.root.parent.parent / "x").exists()
    assert sorted(p.name for p in server.root.parent.iterdir() if p.is_dir()) == [
        "ManagedRepository"
    ]


def test_an_empty_path_fails_at_upload(amy: Client) -> None:
    process = amy.begin([""])
    with pytest.raises(omero.ResourceError):
        process.getUploader(0).write(b"x", 0, 1)


def test_parents_are_trimmed_when_a_reader_is_named(amy: Client) -> None:
    paths = ("r/home/amy/data/set/1.tif", "r/home/amy/data/set/sub/2.tif")
    for reader, kept in (("loci.formats.in.TiffReader", ""), ("", "amy/data/set/")):
        amy.repository.importFileset(fileset(*paths, reader=reader), settings())
        (newest,) = amy.query("select f.id, f.templatePrefix from Fileset f order by f.id")[-1:]
        rows = amy.query(
            "select o.path, o.name from FilesetEntry e join e.originalFile o "
            "where e.fileset.id = :id order by e.id",
            id=newest[0],
        )
        assert rows == [[newest[1] + kept, "1.tif"], [newest[1] + kept + "sub/", "2.tif"]]


def test_two_entries_with_one_place_are_refused(amy: Client) -> None:
    with pytest.raises(omero.ApiUsageException):
        amy.begin(["a/b:c", "a/b;c"])


def test_the_directory_follows_the_template(server: Server, amy: Client) -> None:
    amy.begin(["a.tif"])
    ((prefix,),) = amy.query("select f.templatePrefix from Fileset f")
    user, month, day, clock, end = prefix.split("/")
    assert user == f"amy_{amy.session.user}" and end == ""
    assert (len(month), len(day), len(clock.split(".")[0])) == (7, 2, 8)
    assert (server.root / prefix).is_dir()


# Job links and settings (points 4 and 5)


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


# Targets and groups (point 5)


def dataset(client: Client, name: str = "d", context: dict[str, str] | None = None) -> int:
    made = DatasetI()
    made.name = rstring(name)
    update = client.sf.getUpdateService()
    return int(unwrap(update.saveAndReturnObject(made, context or {}).id))


def test_a_dataset_gets_the_images(amy: Client, tiff: bytes) -> None:
    target = dataset(amy)
    image = unwrap(amy.run(("a.tif", tiff), target=DatasetI(target, False)).objects[0].id)
    text = "select l.parent.id, l.child.id from DatasetImageLink l"
    assert amy.query(text) == [[target, image]]


def test_a_project_cannot_be_a_target(amy: Client, tiff: bytes) -> None:
    response = amy.run(("a.tif", tiff), target=ProjectI(1, False))
    assert "Unable to handle target" in reason(response)
    assert amy.query("select i.id from Image i") == []


def test_a_screen_is_passed_over_in_silence(amy: Client, tiff: bytes) -> None:
    response = amy.run(("a.tif", tiff), target=ScreenI(1, False))
    assert isinstance(response, omero.grid.ImportResponse)
    assert amy.query("select l.id from DatasetImageLink l") == []


def test_a_dataset_that_is_not_there(amy: Client, tiff: bytes) -> None:
    assert reason(amy.run(("a.tif", tiff), target=DatasetI(99, False)))
    assert amy.query("select i.id from Image i") == []


@pytest.mark.parametrize(
    ("permissions", "works"), [("rwra--", False), ("rwrw--", True), ("rwr---", False)]
)
def test_someone_elses_dataset(server: Server, tiff: bytes, permissions: str, works: bool) -> None:
    for user in ("amy", "zak"):
        server.join(user, "lab", permissions)
    zak, amy = Client(server, "zak", "lab"), Client(server, "amy", "lab")
    response = amy.run(("a.tif", tiff), target=DatasetI(dataset(zak), False))
    assert isinstance(response, omero.grid.ImportResponse if works else omero.cmd.ERR)
    assert len(amy.query("select i.id from Image i")) == (1 if works else 0)


def test_another_group_by_session_or_implicit_context_only(server: Server, tiff: bytes) -> None:
    group = server.join("amy", "lab")
    owner = "select i.details.group.id from Image i order by i.id"
    inside = Client(server, "amy", "lab")
    inside.run(("a.tif", tiff))
    implicit = Client(server, "amy")
    implicit.ice.getImplicitContext().put("omero.group", str(group))
    implicit.run(("a.tif", tiff))
    assert inside.query(owner) == [[group], [group]]
    plain = Client(server, "amy")
    context = dict(plain.ice.getImplicitContext().getContext(), **{"omero.group": str(group)})
    process = plain.repository.importFileset(fileset("a.tif"), settings(), context)
    with pytest.raises(omero.SecurityViolation):
        plain.upload(process, [tiff])


def test_a_session_in_a_group_the_user_is_not_in(server: Server) -> None:
    outside = Client(server, "amy", "zak_group")
    with pytest.raises(omero.SecurityViolation) as caught:
        outside.sf.getQueryService()
    assert "is not a member of group" in caught.value.message


def test_an_inactive_user(server: Server) -> None:
    with server.sandbox.store.begin() as db:
        group = accounts.create_group(server.sandbox.store, db, "left")
        accounts.create_user(server.sandbox.store, db, "ivy", "ivy", [group])
    ivy = Client(server, "ivy")
    with pytest.raises(omero.SecurityViolation) as caught:
        ivy.begin(["a.tif"])
    assert caught.value.message == "No matching roles found in [left]"


# Upload and verification (point 6)


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


# The answer (point 7)


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


# After failures (points 8 to 10)


def deleted(client: Client, **targets: list[int]) -> Any:
    return client.submit(omero.cmd.Delete2(targetObjects=targets))


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


# In place (point 11)

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


# Many at once


def test_eight_clients_at_once(server: Server, tiff: bytes) -> None:
    clients = [Client(server, user) for user in ("amy", "zak") for _ in range(4)]

    def several(client: Client) -> list[int]:
        responses = [client.run((f"{n}.ome.tif", tiff)) for n in range(5)]
        return [unwrap(response.objects[0].id) for response in responses]

    with ThreadPoolExecutor(8) as pool:
        images = [image for made in pool.map(several, clients) for image in made]
    assert len(set(images)) == 40
    root = Client(server, "root")
    assert len(root.query("select f.id from Fileset f join f.images i")) == 40
