"""Imports into the sandbox: the clients' paths, and where files come to lie."""

from __future__ import annotations

import omero.all
import pytest
from omero.rtypes import unwrap

import omero

from .clients import Client, Server, fileset, settings


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
