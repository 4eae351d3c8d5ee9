"""What others may read and write of amy's document and requests: in each kind of group, each role.

The groups of the tests: `amy_group` is private, `shown` read-only, `noted` read-annotate, `shared`
read-write.  Amy is in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from omero.model import (
    AdminPrivilegeI,
    CommentAnnotationI,
    DatasetAnnotationLinkI,
    DatasetI,
    ExperimenterAnnotationLinkI,
    ExperimenterGroupI,
    ExperimenterI,
)
from omero.rtypes import rstring

import omero
from omero_fs_plugin.blitz import publications
from omero_fs_plugin.blitz.publications import GROUP, REQUEST
from omero_fs_plugin.errors import ServerMisconfiguredError
from tests.integration.blitz import client_communicator, enter

GROUPS = ["amy_group", "shown", "noted", "shared"]
EVERYWHERE = {"omero.group": "-1"}


@pytest.fixture
def own(blitz: Any) -> Iterator[Any]:
    """Amy and zak have a document each, and amy has asked for something."""
    ice = client_communicator()
    own = enter(blitz, ice)
    for name in ("amy", "zak"):
        own.publish(name, lambda before, name=name: f"of {name}")
    publications.ask(_services(blitz, "amy"), "forget 7")
    yield own
    own.close()
    ice.destroy()


def _services(blitz: Any, name: str, group: str = "") -> Any:
    return blitz.login(blitz.sudo(name, group).uuid.val)


def _group(blitz: Any, name: str) -> ExperimenterGroupI:
    return ExperimenterGroupI(blitz.login("root").getAdminService().lookupGroup(name).id.val, False)


def _join(blitz: Any, group: str, *, owner: bool) -> None:
    """Makes zak a member of a group, or an owner of it."""
    admin, zak = blitz.login("root").getAdminService(), ExperimenterI(blitz.users["zak"], False)
    admin.addGroups(zak, [_group(blitz, group)])
    if owner:
        admin.addGroupOwners(_group(blitz, group), [zak])


def _restricted(blitz: Any, *privileges: str) -> None:
    """Makes zak an administrator with these privileges alone."""
    admin, zak = blitz.login("root").getAdminService(), ExperimenterI(blitz.users["zak"], False)
    given = []
    for name in privileges:
        given.append(AdminPrivilegeI())
        given[-1].value = rstring(name)
    admin.addGroups(zak, [ExperimenterGroupI(0, False)])
    admin.setAdminPrivileges(zak, given)


def _ours(blitz: Any) -> list[int]:
    """The ids of amy's document and request."""
    rows = (
        blitz.login("root")
        .getQueryService()
        .findAllByQuery("select a from CommentAnnotation a order by a.id", None, EVERYWHERE)
    )
    amy = blitz.users["amy"]
    return [one.id.val for one in rows if one.details.owner.id.val == amy]


def _changes(services: Any, amy: int, group: int | None, number: int) -> list[Any]:
    """Each way to write into what amy has, or in her name."""
    where = EVERYWHERE if group is None else {"omero.group": str(group)}
    update = services.getUpdateService()

    def overwrite() -> None:
        row = CommentAnnotationI(number, True)
        row.ns, row.textValue = rstring(REQUEST), rstring("forget 1")
        update.saveObject(row, where)

    def forge() -> None:
        row = CommentAnnotationI()
        row.ns, row.textValue = rstring(REQUEST), rstring("forget 1")
        row.details.owner = ExperimenterI(amy, False)
        update.saveObject(row, where)

    return [
        overwrite,
        forge,
        lambda: update.deleteObject(CommentAnnotationI(number, False), where),
    ]


def _refused(services: Any, amy: int, group: int | None, ours: list[int]) -> None:
    for number in ours:
        for change in _changes(services, amy, group, number):
            with pytest.raises(omero.ServerError):
                change()
        handle = services.submit(omero.cmd.Delete2(targetObjects={"Annotation": [number]}), {})
        while (answer := handle.getResponse()) is None:
            pass
        assert isinstance(answer, omero.cmd.ERR)


@pytest.mark.parametrize("owner", [False, True], ids=["member", "owner"])
@pytest.mark.parametrize("group", GROUPS)
def test_members_and_owners_of_any_group_read_and_write_nothing(
    blitz: Any, own: Any, group: str, owner: bool
) -> None:
    _join(blitz, group, owner=owner)
    amy, ours, before = blitz.users["amy"], _ours(blitz), own.requests()
    assert len(ours) == 2
    zaks = _services(blitz, "zak", group)
    assert publications.read(zaks, amy) == "" and publications.requests_of(zaks, amy) == []
    assert [user for user, _ in publications.everyones(zaks)] == [blitz.users["zak"]]
    rows = zaks.getQueryService().findAllByQuery(
        "select a from CommentAnnotation a", None, EVERYWHERE
    )
    assert not {one.id.val for one in rows} & set(ours)
    for where in (None, _group(blitz, group).id.val, _group(blitz, GROUP).id.val):
        _refused(zaks, amy, where, ours)
    assert own.requests() == before
    assert publications.read(blitz.login("root"), amy) == "of amy"


@pytest.mark.parametrize(
    "privileges", [(), ("ReadSession",), ("ModifyUser", "ModifyGroup")], ids=str
)
def test_an_administrator_with_few_privileges_reads_and_writes_nothing(
    blitz: Any, own: Any, privileges: tuple[str, ...]
) -> None:
    """OMERO lets every administrator read all; to change what is others' takes WriteOwned."""
    _restricted(blitz, *privileges)
    amy, ours, before = blitz.users["amy"], _ours(blitz), own.requests()
    zaks = _services(blitz, "zak")
    assert publications.read(zaks, amy) == "of amy"
    _refused(zaks, amy, None, ours)
    assert own.requests() == before
    assert publications.read(blitz.login("root"), amy) == "of amy"


def test_while_the_private_group_has_an_owner_nothing_is_written_and_no_request_counts(
    blitz: Any, own: Any
) -> None:
    before = own.requests()
    _join(blitz, GROUP, owner=True)
    zaks = _services(blitz, "zak", GROUP)
    (number,) = (identifier for identifier, _ in before["amy"])
    row = CommentAnnotationI(number, True)
    row.ns, row.textValue = rstring(REQUEST), rstring("forget 1")
    zaks.getUpdateService().saveObject(row)  # OMERO lets an owner do it
    assert own.requests() == {}
    for name in ("amy", "zak"):
        with pytest.raises(ServerMisconfiguredError, match="owned by zak"):
            own.publish(name, lambda _: "news")
    # An administrator, who may read and change everything anyway, may own it.
    admin = blitz.login("root").getAdminService()
    admin.removeGroups(ExperimenterI(blitz.users["zak"], False), [_group(blitz, GROUP)])
    admin.addGroupOwners(_group(blitz, GROUP), [ExperimenterI(0, False)])
    own.publish("amy", lambda before: f"{before}, again")
    assert publications.read(_services(blitz, "amy"), blitz.users["amy"]) == "of amy, again"
    assert list(own.requests()) == ["amy"]


def test_a_request_is_of_its_owner_whatever_it_is_linked_to(blitz: Any, own: Any) -> None:
    """A link to amy's experimenter makes it no request of amy's, and one to a dataset no less."""
    amy, group = blitz.users["amy"], _group(blitz, GROUP).id.val

    def entry() -> CommentAnnotationI:
        row = CommentAnnotationI()
        row.ns, row.textValue = rstring(REQUEST), rstring("forget 1")
        return row

    where = {"omero.group": str(group)}
    zaks, amys = _services(blitz, "zak"), _services(blitz, "amy")
    link = ExperimenterAnnotationLinkI()
    link.parent, link.child = ExperimenterI(amy, False), entry()
    zaks.getUpdateService().saveObject(link, where)
    dataset = DatasetI()
    dataset.name = rstring("amy's")
    kept = amys.getUpdateService().saveAndReturnObject(dataset, where)
    of_dataset = DatasetAnnotationLinkI()
    of_dataset.parent, of_dataset.child = DatasetI(kept.id.val, False), entry()
    amys.getUpdateService().saveObject(of_dataset, where)
    found = own.requests()
    assert [text for _, text in found["zak"]] == ["forget 1"]
    assert [text for _, text in found["amy"]] == ["forget 7", "forget 1"]
    own.unpublish([number for entries in found.values() for number, _ in entries])
    assert own.requests() == {}
    assert amys.getQueryService().find("Dataset", kept.id.val, EVERYWHERE) is not None
    assert publications.read(amys, amy) == "of amy"
