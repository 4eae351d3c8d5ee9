"""HQL over Ice: what omero-py asks, and who sees what."""

# ruff: noqa: E501  (queries in one line each)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from omero.model import (
    CommentAnnotationI,
    DatasetAnnotationLinkI,
    DatasetI,
    DatasetImageLinkI,
    ImageI,
    ProjectDatasetLinkI,
    ProjectI,
)
from omero.rtypes import rstring, unwrap
from omero.sys import ParametersI

import omero

ALL = {"omero.group": "-1"}
IMPORTED = (
    "select distinct f.id, i.id from Fileset f join f.usedFiles e join f.images i "
    "where f.details.owner.id = :u and e.clientPath = :p"
)


@pytest.fixture
def fileset(blitz: Any) -> Callable[..., int]:
    """Makes a fileset of one file for a user, with `images` images; its id."""

    def make(user: str, path: str, *, images: int = 1, group: str = "") -> int:
        store = blitz.sandbox.store
        whose = {"owner": blitz.users[user], "group": blitz.groups[group or f"{user}_group"]}
        with store.begin() as db:
            made = store.insert(db, "Fileset", templatePrefix="x/", **whose)
            sha1 = store.enum(db, "ChecksumAlgorithm", "SHA1-160")
            file = store.insert(
                db, "OriginalFile", name=path, path="x/", size=7, hasher=sha1, hash="00", **whose
            )
            store.insert(
                db, "FilesetEntry", fileset=made, originalFile=file, clientPath=path, **whose
            )
            told = [["client", f"importer of {user}"], ["os", "Linux"]]
            job = store.insert(db, "UploadJob", message="", versionInfo=told, **whose)
            store.insert(db, "FilesetJobLink", parent=made, child=job, **whose)
            for number in range(images):
                image = store.insert(
                    db, "Image", name=f"{path} [{number}]", series=number, fileset=made, **whose
                )
                kind = store.enum(db, "PixelsType", "uint16")
                store.insert(db, "Pixels", image=image, sizeX=3, sizeY=2, pixelsType=kind, **whose)
        return made

    return make


def _rows(session: Any, text: str, context: dict[str, str] | None = None, **given: Any) -> Any:
    parameters = ParametersI()
    for key, value in given.items():
        parameters.add(key, omero.rtypes.wrap(value))
    rows = session.getQueryService().projection(text, parameters, context)
    return [tuple(unwrap(cell) for cell in row) for row in rows]


def test_was_this_imported_already(blitz: Any, fileset: Any) -> None:
    made = fileset("amy", "a/b.tif", images=2)
    fileset("amy", "a/failed.tif", images=0)
    root = blitz.login("root")
    ask = {"u": blitz.users["amy"], "p": "a/b.tif"}
    assert [row[0] for row in _rows(root, IMPORTED, ALL, **ask)] == [made, made]
    assert _rows(root, IMPORTED, None, **ask) == []  # root's own group
    assert _rows(root, IMPORTED, ALL, **{**ask, "p": "a/failed.tif"}) == []
    assert len(_rows(blitz.login("amy"), IMPORTED, None, **ask)) == 2
    assert _rows(blitz.login("zak"), IMPORTED, ALL, **ask) == []


@pytest.mark.parametrize(
    ("group", "zak_sees"),
    [("amy_group", False), ("shown", True), ("noted", True), ("shared", True)],
)
def test_permissions_of_the_group(blitz: Any, fileset: Any, group: str, zak_sees: bool) -> None:
    fileset("amy", "a.tif", group=group)
    seen = _rows(blitz.login("zak"), "select i.name from Image i", ALL)
    assert bool(seen) is zak_sees
    context = {"omero.group": str(blitz.groups["shared"])}
    there = _rows(blitz.login("zak"), "select i.name from Image i", context)
    assert bool(there) is (group == "shared")
    assert _rows(blitz.login("amy"), "select i.name from Image i", ALL)


def test_a_private_groups_owner_sees_all_of_it(blitz: Any, fileset: Any) -> None:
    from omero_fs_plugin.sandbox import accounts

    fileset("amy", "a.tif")
    store = blitz.sandbox.store
    with store.begin() as db:
        accounts.join(store, db, blitz.users["zak"], blitz.groups["amy_group"], owner=True)
    assert _rows(blitz.login("zak"), "select i.name from Image i", ALL)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("select count(i) from Image i", {}, [(3,)]),
        ("select count(*) from Image", {}, [(3,)]),
        ("SELECT i.name FROM Image i ORDER BY i.series DESC, i.id", {}, [("a [1]",), ("a [0]",), ("b [0]",)]),
        ("select i.name from Image i where i.series = 1 and i.name like 'a%'", {}, [("a [1]",)]),
        ("select i.name from Image as i where not (i.series = 0 or i.id = 99)", {}, [("a [1]",)]),
        ("select i.name from Image i where i.name in (:names)", {"names": ["b [0]", "x"]}, [("b [0]",)]),
        ("select i.name from Image i where i.name in :names", {"names": ["b [0]"]}, [("b [0]",)]),
        ("select i.name from Image i where i.name not in ('a [0]', 'a [1]')", {}, [("b [0]",)]),
        ("select i.series, count(i.id) from Image i group by i.series order by i.series", {}, [(0, 2), (1, 1)]),
        ("select i.id from Image i where i.description is not null", {}, []),
        ("select count(i.id) from Image i where i.description is null", {}, [(3,)]),
        ("select count(distinct i.fileset.id) from Image i", {}, [(2,)]),
        ("select e.clientPath from FilesetEntry e where e.fileset.templatePrefix = 'x/' order by e.id", {}, [("a",), ("b",)]),
        ("select count(*) from FilesetEntry where fileset.id = 1", {}, [(1,)]),
        ("select sum(sizeX * sizeY) from Pixels", {}, [(18,)]),
        ("select f.path || f.name, h.value from OriginalFile f join f.hasher h where f.name <> 'b'"
         " and f.repo is null and f.hash = '00'", {}, [("x/a", "SHA1-160")]),
        ("select f.id, (select size(g.images) from Fileset g where g.id = f.id) from Fileset f order by f.id",
         {}, [(1, 2), (2, 1)]),
        ("select f.id, size(f.images) from Fileset f order by f.id", {}, [(1, 2), (2, 1)]),
        ("select l.parent.id from FilesetJobLink l, UploadJob u where l.child = u order by l.id", {}, [(1,), (2,)]),
        ("select l.parent.id, v.value from FilesetJobLink l, UploadJob u join u.versionInfo v"
         " where l.child.id = u.id and v.name = 'client' order by l.id", {},
         [(1, "importer of amy"), (2, "importer of amy")]),
        ("select count(u) from MetadataImportJob u", {}, [(0,)]),
        ("select i.details.owner.omeName, i.details.group.name from Image i where i.series = 1", {},
         [("amy", "amy_group")]),
        ("select i.id from Image i where i.details.creationEvent.time > 0 and i.series > 0", {}, [(2,)]),
        ("select d.name from Dataset d left outer join d.imageLinks l where l.id is null", {}, []),
        ("select p.pixelsType.value, p.sizeX from Pixels p where p.image.series = 1", {}, [("uint16", 3)]),
        ("select i.id from Image i where exists (select p from Pixels p where p.image = i and p.sizeX > 3)", {}, []),
        ("select i.name from Image i where i.id between 2 and 2", {}, [("a [1]",)]),
        ("select coalesce(i.description, 'none'), lower(upper(i.name)) from Image i where i.id = :id", {"id": 1},
         [("none", "a [0]")]),
    ],
)  # fmt: skip
def test_what_hql_there_is(
    blitz: Any, fileset: Any, text: str, given: dict[str, Any], expected: list[Any]
) -> None:
    fileset("amy", "a", images=2)
    fileset("amy", "b")
    assert _rows(blitz.login("amy"), text, None, **given) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("select r from Roi r", "Roi"),
        ("select i.colour from Image i", "colour"),
        ("select r.id from Image i left join i.rois r", "never has"),
        ("select i.id from Image i join i.rois r", "rois"),
        ("select d.details.externalInfo.lsid from Dataset d", "externalInfo"),
        ("select i._password from Experimenter i", "_password"),
        ("select i from Image i having count(i) > 1", "having"),
        ("select x.id from Image i", "'x'"),
        ("select i from Image i where i.id ~ 3", "~"),
        ("select md5(i.name) from Image i", "md5"),
        ("select i from Image i where i.id = :missing", ":missing"),
        ("select i from Image i where", "too early"),
        ("delete from Image i", "delete"),
        ("select i.name from Image i; drop table image", ";"),
    ],
)
def test_what_there_is_not_is_named(blitz: Any, text: str, names: str) -> None:
    with pytest.raises(omero.ApiUsageException) as refused:  # QueryException is one
        _rows(blitz.login("amy"), text)
    assert names in refused.value.message


def test_objects_come_with_what_was_fetched(blitz: Any, fileset: Any) -> None:
    made = fileset("amy", "a", images=2)
    query = blitz.login("amy").getQueryService()
    found = query.findByQuery(
        "select f from Fileset f left outer join fetch f.usedFiles e "
        "join fetch e.originalFile o join fetch o.hasher left outer join fetch f.images i "
        "left outer join fetch i.pixels p left outer join fetch p.pixelsType "
        "join fetch f.details.owner join fetch f.details.creationEvent "
        "left outer join fetch f.details.externalInfo left outer join fetch i.rois r "
        "left outer join fetch r.shapes where f.id = :id",
        ParametersI().addId(made),
    )
    assert [e.originalFile.hasher.value.val for e in found.copyUsedFiles()] == ["SHA1-160"]
    images = found.copyImages()
    assert [i.name.val for i in images] == ["a [0]", "a [1]"]
    assert images[0].copyPixels()[0].pixelsType.value.val == "uint16"
    assert images[0].copyPixels()[0].sizeX.val == 3
    assert found.details.owner.omeName.val == "amy"
    assert found.details.creationEvent.time.val > 0
    assert not query.get("Fileset", made).imagesLoaded
    assert not query.get("Image", images[0].id.val).fileset.loaded


def test_images_as_a_gateway_loads_them(blitz: Any, fileset: Any) -> None:
    fileset("amy", "a", images=2)
    images = blitz.login("amy").getContainerService().getImages("Image", [2, 1], None)
    assert [i.id.val for i in images] == [1, 2]
    assert images[0].getPrimaryPixels().pixelsType.value.val == "uint16"


def test_pages(blitz: Any, fileset: Any) -> None:
    fileset("amy", "a", images=5)
    query = blitz.login("amy").getQueryService()
    page = query.findAllByQuery("from Image i order by i.id", ParametersI().page(1, 2))
    assert [i.series.val for i in page] == [1, 2]


def test_get_and_find(blitz: Any, fileset: Any) -> None:
    fileset("amy", "a")
    query = blitz.login("amy").getQueryService()
    assert query.find("Image", 1).name.val == "a [0]"
    assert query.find("Image", 99) is None
    assert query.findByString("Image", "name", "a [0]").id.val == 1
    assert [i.id.val for i in query.findAllByString("Image", "name", "A [0]", False, None)] == [1]
    assert len(query.findAll("Image", None)) == 1
    with pytest.raises(omero.ValidationException):
        query.get("Image", 99)
    with pytest.raises(omero.ValidationException):
        blitz.login("zak").getQueryService().get("Image", 1, ALL)
    with pytest.raises(omero.ApiUsageException, match="Roi"):
        query.get("Roi", 1)


def test_saving_a_graph(blitz: Any, fileset: Any) -> None:
    fileset("amy", "a")
    amy = blitz.login("amy")
    project, dataset, link = ProjectI(), DatasetI(), ProjectDatasetLinkI()
    project.name, dataset.name = rstring("p"), rstring("d")
    link.parent, link.child = project, dataset
    saved = amy.getUpdateService().saveAndReturnObject(link)
    image = DatasetImageLinkI()
    image.parent, image.child = DatasetI(saved.child.id.val, False), ImageI(1, False)
    amy.getUpdateService().saveObject(image)
    found = _rows(
        amy,
        "select p.name, d.name, i.name from Project p join p.datasetLinks x join x.child d "
        "join d.imageLinks l join l.child i",
    )
    assert found == [("p", "d", "a [0]")]
    saved.child.name = rstring("e")
    again = amy.getUpdateService().saveAndReturnObject(saved.child)
    assert (again.id.val, again.name.val) == (saved.child.id.val, "e")
    assert again.details.permissions.isUserWrite()
    amy.getUpdateService().deleteObject(again)
    assert _rows(amy, "select d.id from Dataset d") == []


@pytest.mark.parametrize(
    ("group", "may_link", "may_annotate"),
    [("shown", False, False), ("noted", False, True), ("shared", True, True)],
)
def test_someone_elses_dataset(
    blitz: Any, fileset: Any, group: str, may_link: bool, may_annotate: bool
) -> None:
    context = {"omero.group": str(blitz.groups[group])}
    dataset = DatasetI()
    dataset.name = rstring("d")
    update = blitz.login("amy").getUpdateService()
    dataset = update.saveAndReturnObject(dataset, context)
    fileset("zak", "z", group=group)
    link, note = DatasetImageLinkI(), DatasetAnnotationLinkI()
    link.parent, link.child = dataset.proxy(), ImageI(1, False)
    comment = CommentAnnotationI()
    comment.textValue = rstring("seen")
    note.parent, note.child = dataset.proxy(), comment
    zak = blitz.login("zak").getUpdateService()
    for value, may in ((link, may_link), (note, may_annotate)):
        if may:
            zak.saveObject(value, context)
        else:
            with pytest.raises(omero.SecurityViolation):
                zak.saveObject(value, context)
    dataset.name = rstring("mine")
    if not may_link:
        with pytest.raises(omero.SecurityViolation):
            zak.saveObject(dataset, context)


def test_a_file_of_a_repository_is_not_moved_through_iupdate(blitz: Any, fileset: Any) -> None:
    fileset("amy", "a")
    amy = blitz.login("amy")
    file = amy.getQueryService().get("OriginalFile", _file(amy))
    file.path, file.repo = rstring("zak/"), rstring("managed")
    with pytest.raises(omero.SecurityViolation):
        amy.getUpdateService().saveObject(file)


def _file(session: Any) -> int:
    return int(_rows(session, "select f.id from OriginalFile f where f.name = 'a'")[0][0])


def test_a_session_key_is_its_users_only(blitz: Any) -> None:
    blitz.login("zak")
    amy = blitz.login("amy")
    seen = _rows(amy, "select s.owner.omeName, s.uuid from Session s")
    assert [name for name, _ in seen] == ["amy"]
    seen = _rows(blitz.login("root"), "select s.owner.omeName from Session s")
    assert {name for (name,) in seen} == {"amy", "zak", "root"}


def test_groups_and_users_are_not_saved_through_iupdate(blitz: Any) -> None:
    amy = blitz.login("amy")
    me = amy.getAdminService().getExperimenter(blitz.users["amy"])
    me.omeName = rstring("root2")
    with pytest.raises(omero.SecurityViolation):
        amy.getUpdateService().saveObject(me)
