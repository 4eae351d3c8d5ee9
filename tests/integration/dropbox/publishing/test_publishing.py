"""Users' documents in OMERO: who may read and write them, and what writes them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from omero.model import CommentAnnotationI, ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.rtypes import rstring

import omero
from omero_fs_plugin.blitz import publications
from omero_fs_plugin.blitz.publications import GROUP, NAMESPACE
from omero_fs_plugin.dropbox.publishing import publisher
from omero_fs_plugin.errors import ServerMisconfiguredError
from omero_fs_plugin.sandbox import accounts, moods
from tests.integration.blitz import client_communicator, enter
from tests.integration.whole import Whole


def _services(blitz: Any, name: str, group: str = "") -> Any:
    return blitz.login(blitz.sudo(name, group).uuid.val)


@pytest.fixture
def published(blitz: Any) -> Any:
    """Amy and zak have a document each."""
    ice = client_communicator()
    own = enter(blitz, ice)
    for name in ("amy", "zak"):
        own.publish(name, lambda before, name=name: f"of {name}")
    yield own
    own.close()
    ice.destroy()


@pytest.mark.parametrize("group", ["", GROUP, "shown", "noted", "shared"])
def test_nobody_but_the_user_and_admins_reads_it(blitz: Any, published: Any, group: str) -> None:
    amy, zak = blitz.users["amy"], blitz.users["zak"]
    services = _services(blitz, "zak", group)
    assert publications.read(services, amy) == ""
    assert publications.read(services, zak) == "of zak"
    assert len(publications.identifiers(services)) == 1
    assert publications.read(blitz.login("root"), amy) == "of amy"


@pytest.mark.parametrize("group", ["", GROUP, "shown", "noted", "shared"])
def test_nobody_else_writes_or_deletes_it(blitz: Any, published: Any, group: str) -> None:
    amy, root = blitz.users["amy"], blitz.login("root")
    (number,) = (one for one in published.published() if _owner(root, one) == amy)
    services = _services(blitz, "zak", group)
    forged = CommentAnnotationI(number, True)
    forged.ns, forged.textValue = rstring(NAMESPACE), rstring("forged")
    with pytest.raises(omero.ServerError):
        services.getUpdateService().saveObject(forged)
    with pytest.raises(omero.SecurityViolation):
        services.getUpdateService().deleteObject(CommentAnnotationI(number, False))
    mine = CommentAnnotationI()
    mine.ns, mine.textValue = rstring(NAMESPACE), rstring("forged")
    mine.details.owner = ExperimenterI(amy, False)
    with pytest.raises(omero.SecurityViolation):
        services.getUpdateService().saveObject(mine)
    assert publications.read(root, amy) == "of amy"


def _owner(services: Any, number: int) -> int:
    row = services.getQueryService().get("Annotation", number, {"omero.group": "-1"})
    return int(row.details.owner.id.val)


@pytest.mark.parametrize("group", ["", GROUP, "shown", "noted", "shared"])
def test_administrators_alone_read_what_the_check_found(
    blitz: Any, published: Any, group: str
) -> None:
    before = published.published()
    for text in ("of today", "of tomorrow"):
        published.show_check(text)
    assert publications.last_check(blitz.login("root")) == "of tomorrow"
    (number,) = set(published.published()) - set(before)  # `omero fs uninstall --data` deletes it
    services = _services(blitz, "zak", group)
    assert publications.last_check(services) == ""
    forged = CommentAnnotationI()
    forged.ns, forged.textValue = rstring(publications.CHECK), rstring("forged")
    services.getUpdateService().saveObject(forged)
    assert publications.last_check(services) == ""
    assert publications.last_check(blitz.login("root")) == "of tomorrow"
    with pytest.raises(omero.SecurityViolation):
        services.getUpdateService().deleteObject(CommentAnnotationI(number, False))


def test_there_is_one_and_it_is_replaced(blitz: Any, published: Any) -> None:
    before = published.published()
    for number in range(3):
        published.publish("amy", lambda _, number=number: f"{number}")
    assert published.published() == before
    assert publications.read(_services(blitz, "amy"), blitz.users["amy"]) == "2"


def test_what_has_not_changed_is_not_written(blitz: Any, published: Any) -> None:
    heard: list[str] = []
    published.publish("amy", heard.append)
    assert heard == ["of amy"]
    assert publications.read(blitz.login("root"), blitz.users["amy"]) == "of amy"


def test_the_default_group_stays(blitz: Any, published: Any) -> None:
    assert published.user("amy").group == "amy_group"


def test_it_stays_the_users_whoever_writes_it(blitz: Any, published: Any) -> None:
    before = published.published()
    calls: list[str] = []
    session_for = published.session_for
    published.session_for = lambda user: calls.append(user.name) or session_for(user)
    published.publish("amy", lambda _: "changed")
    assert calls == [] and published.published() == before  # no session of amy's is needed
    root, amy = blitz.login("root"), blitz.users["amy"]
    owners = [_owner(root, number) for number in before]
    assert owners.count(amy) == 1
    amys = _services(blitz, "amy")
    assert publications.read(amys, amy) == "changed"
    mine = amys.getQueryService().findAllByQuery(
        "select a from CommentAnnotation a", None, {"omero.group": "-1"}
    )
    amys.getUpdateService().deleteObject(
        next(one for one in mine if one.ns.val == NAMESPACE)
    )  # a user may take it away, and gets the next one
    published.publish("amy", lambda kept: f"{kept}anew")
    assert publications.read(amys, amy) == "anew" and calls == ["amy"]


def test_an_administrator_who_may_not_edit_it(
    blitz: Any, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMERO has administrators without that privilege.  Then the user's session writes it."""
    root = blitz.login("root")

    def refuse(row: Any, context: Any) -> None:
        raise omero.SecurityViolation(None, None, "may not be changed")

    refusing = SimpleNamespace(
        getQueryService=root.getQueryService,
        getUpdateService=lambda: SimpleNamespace(saveObject=refuse),
    )
    assert not publications.rewrite(refusing, "amy", lambda _: "changed")
    rewrite = publications.rewrite
    monkeypatch.setattr(
        publications, "rewrite", lambda services, name, change: rewrite(refusing, name, change)
    )
    published.publish("amy", lambda _: "changed")
    amys = _services(blitz, "amy")
    assert publications.read(amys, blitz.users["amy"]) == "changed"


def test_who_was_taken_out_of_the_group_is_let_in_by_the_next_dropbox(
    blitz: Any, published: Any
) -> None:
    admin = blitz.login("root").getAdminService()
    amy, group = ExperimenterI(blitz.users["amy"], False), admin.lookupGroup(GROUP)
    admin.removeGroups(amy, [ExperimenterGroupI(group.id.val, False)])
    assert publications.read(_services(blitz, "amy"), blitz.users["amy"]) == ""
    ice = client_communicator()
    own = enter(blitz, ice)
    own.publish("amy", lambda kept: f"{kept}, again")
    own.close()
    ice.destroy()
    assert publications.read(_services(blitz, "amy"), blitz.users["amy"]) == "of amy, again"


def test_all_are_deleted(blitz: Any, published: Any) -> None:
    published.unpublish(published.published())
    assert published.published() == []
    assert publications.read(_services(blitz, "amy"), blitz.users["amy"]) == ""


@pytest.mark.parametrize(
    "permissions", [accounts.READ_ONLY, accounts.READ_ANNOTATE, accounts.READ_WRITE]
)
def test_a_group_that_is_not_private_gets_none(blitz: Any, permissions: str) -> None:
    group = ExperimenterGroupI()
    group.name = rstring(GROUP)
    group.details.permissions = PermissionsI(permissions)
    blitz.login("root").getAdminService().createGroup(group)
    ice = client_communicator()
    own = enter(blitz, ice)
    try:
        with pytest.raises(ServerMisconfiguredError, match="is not private"):
            own.publish("amy", lambda before: "of amy")
        assert own.published() == []
    finally:
        own.close()
        ice.destroy()


# By a whole DropBox


def _document(whole: Whole, name: str) -> Any:
    omero_of = whole._omero
    user = omero_of.user(name)
    text = omero_of._ask("reading", lambda services: publications.read(services, user.id))
    return json.loads(text) if text else None


def test_a_user_reads_what_became_of_the_files(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(publishInterval="1")
    good = whole.drop("day/good.tif")
    whole.until_known(good)

    def told() -> Any:
        document = _document(whole, "amy")
        return document and document["counts"]["imported"] == 1 and document

    whole.until("amy's document tells of it", told)
    document = told()
    (fileset,) = document["filesets"]
    assert fileset["files"] == ["day/good.tif"]
    assert fileset["images"] == list(whole.in_omero(good)[0])
    assert _document(whole, "zak") is None
    # With nothing new nothing is written, also not by the next DropBox.
    whole.stop_dropbox()
    revision = _document(whole, "amy")["revision"]
    whole.start_dropbox()
    late = whole.drop("late.tif", "zak")
    whole.until_known(late)
    whole.until("zak has a document", lambda: _document(whole, "zak"))
    assert _document(whole, "amy")["revision"] == revision


def test_files_are_imported_while_no_document_can_be_written(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole(publishInterval="1")
    group = ExperimenterGroupI()
    group.name = rstring(GROUP)
    group.details.permissions = PermissionsI(accounts.READ_WRITE)
    whole._omero._ask("", lambda services: services.getAdminService().createGroup(group))
    files = [whole.drop(f"{number}.tif") for number in range(3)]
    whole.until_known(*files)
    whole.assert_once(*files)
    whole.until("it is told", lambda: "not private" in whole.dropbox.figures()["publishing"])
    assert _document(whole, "amy") is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
def test_files_are_imported_while_omero_has_no_room_for_a_document(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """They lie in OMERO's database: its disk is full, and what is read from it still comes."""
    monkeypatch.setattr(publisher, "_AGAIN_S", 0.5)
    whole = make_whole(publishInterval="1")
    data = whole.watch_dir.parent
    why = f"could not extend file base/1/2: {os.strerror(code)}"
    full = moods.Fault(r"IUpdate\..*", "InternalException", why)
    moods.write(data, moods.Moods(faults=(full,)))
    files = [whole.drop(f"{number}.tif") for number in range(3)]
    whole.until_known(*files)
    whole.until("it is told", lambda: os.strerror(code) in whole.dropbox.figures()["publishing"])
    whole.assert_once(*files)
    moods.write(data)
    whole.until("there is a document", lambda: _document(whole, "amy"))
    whole.until("nothing is told", lambda: not whole.dropbox.figures()["publishing"])


def test_nobody_gets_one_unless_it_is_wanted(whole: Whole) -> None:
    whole.until_known(whole.drop("a.tif"))
    whole.stop_dropbox()
    assert whole._omero.published() == []
    whole.start_dropbox()
