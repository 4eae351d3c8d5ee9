"""What users ask for through OMERO: done for failed filesets of their own, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from omero.model import CommentAnnotationI
from omero.rtypes import rstring

import omero
from omero_fs_plugin.blitz import publications
from omero_fs_plugin.blitz.publications import (
    CHECK,
    GROUP,
    MOST_REQUESTS,
    NAMESPACE,
    REQUEST,
    SIGN,
)
from omero_fs_plugin.dropbox.publishing.heartbeat import heard
from omero_fs_plugin.errors import UserError
from tests.integration.blitz import client_communicator, enter
from tests.integration.whole import Whole


def _services(blitz: Any, name: str, group: str = "") -> Any:
    return blitz.login(blitz.sudo(name, group).uuid.val)


@pytest.fixture
def own(blitz: Any) -> Iterator[Any]:
    """Amy and zak have a document each, and so are in the private group."""
    ice = client_communicator()
    own = enter(blitz, ice)
    for name in ("amy", "zak"):
        own.publish(name, lambda before, name=name: f"of {name}")
    yield own
    own.close()
    ice.destroy()


@pytest.mark.parametrize("group", ["", GROUP, "shown", "noted", "shared"])
def test_who_asked_is_who_wrote_it_and_nobody_else_reads_it(
    blitz: Any, own: Any, group: str
) -> None:
    amys = _services(blitz, "amy", group)
    publications.ask(amys, "forget 7")
    assert [text for _, text in publications.requests_of(amys, blitz.users["amy"])] == ["forget 7"]
    zaks = _services(blitz, "zak", group)
    assert publications.requests_of(zaks, blitz.users["amy"]) == []
    (entry,) = own.requests()["amy"]
    assert list(own.requests()) == ["amy"]
    for change in (
        lambda: zaks.getUpdateService().deleteObject(CommentAnnotationI(entry[0], False)),
        lambda: zaks.getUpdateService().saveObject(_forged(entry[0])),
    ):
        with pytest.raises(omero.ServerError):
            change()
    assert own.requests() == {"amy": [entry]}
    own.unpublish([entry[0]])
    assert own.requests() == {}


def _forged(number: int) -> CommentAnnotationI:
    row = CommentAnnotationI(number, True)
    row.ns, row.textValue = rstring(REQUEST), rstring("forget 1")
    return row


@pytest.mark.parametrize("group", ["amy_group", "shown", "noted", "shared"])
def test_what_lies_in_another_group_is_no_request(blitz: Any, own: Any, group: str) -> None:
    row = CommentAnnotationI()
    row.ns, row.textValue = rstring(REQUEST), rstring("forget 7")
    _services(blitz, "amy", group).getUpdateService().saveObject(row)
    assert own.requests() == {}


def test_so_many_and_no_more_are_written_and_read(blitz: Any, own: Any) -> None:
    amys = _services(blitz, "amy")
    rows = []
    for number in range(MOST_REQUESTS + 20):
        rows.append(CommentAnnotationI())
        rows[-1].ns, rows[-1].textValue = rstring(REQUEST), rstring("x" * number * 5)
    group = str(amys.getAdminService().lookupGroup(GROUP).id.val)
    amys.getUpdateService().saveArray(rows, {"omero.group": group})
    with pytest.raises(UserError, match="much already"):
        publications.ask(amys, "forget 7")
    publications.ask(_services(blitz, "zak"), "forget 8")
    found = own.requests()
    assert len(found["amy"]) == MOST_REQUESTS and len(found["zak"]) == 1
    assert max(len(text) for _, text in found["amy"]) <= 100


def test_who_was_told_nothing_has_nothing_to_ask(blitz: Any) -> None:
    with pytest.raises(UserError, match="told you nothing"):
        publications.ask(_services(blitz, "amy"), "forget 7")


def test_a_session_that_began_too_early_is_told(blitz: Any) -> None:
    before = _services(blitz, "amy")
    ice = client_communicator()
    own = enter(blitz, ice)
    own.publish("amy", lambda _: "of amy")
    with pytest.raises(UserError, match="log in again"):
        publications.ask(before, "forget 7")
    own.close()
    ice.destroy()


def test_everybody_reads_the_sign_of_life_and_nobody_forges_it(blitz: Any, own: Any) -> None:
    own.show_sign("one")
    own.show_sign("two")
    zaks = _services(blitz, "zak")
    forged = CommentAnnotationI()
    forged.ns, forged.textValue = rstring(SIGN), rstring("forged")
    group = str(zaks.getAdminService().getSecurityRoles().userGroupId)
    zaks.getUpdateService().saveObject(forged, {"omero.group": group})
    for name in ("amy", "zak", "root"):
        assert publications.last_sign(_services(blitz, name)) == "two"
    own.show_sign("three")
    assert publications.last_sign(zaks) == "three"


def test_an_administrator_reads_all_documents(blitz: Any, own: Any) -> None:
    found = dict(publications.everyones(blitz.login("root"), some=1))
    assert found == {blitz.users["amy"]: "of amy", blitz.users["zak"]: "of zak"}
    assert dict(publications.everyones(_services(blitz, "zak"))) == {blitz.users["zak"]: "of zak"}


@pytest.mark.parametrize("namespace", [NAMESPACE, REQUEST, SIGN, CHECK])
def test_texts_that_fit_into_no_message_hold_up_nobody(
    blitz: Any, own: Any, namespace: str
) -> None:
    """Users may write there as much as OMERO takes; Ice's messages are 64 MB here."""
    amys = _services(blitz, "amy", GROUP)
    for _ in range(18):
        row = CommentAnnotationI()
        row.ns, row.textValue = rstring(namespace), rstring("x" * 4_000_000)
        amys.getUpdateService().saveObject(row)
    amy, root = blitz.users["amy"], blitz.login("root")
    publications.ask(amys, "forget 7")
    assert [text for _, text in own.requests()["amy"] if text] == ["forget 7"]
    own.publish("amy", lambda before: f"{before} and more")
    assert publications.read(amys, amy) == "of amy and more"
    own.show_sign("alive")
    own.show_check("checked")
    assert publications.last_sign(amys) == "alive"
    assert publications.last_check(root) == "checked"
    found = [text for user, text in publications.everyones(root) if user == amy and text]
    assert found == ["of amy and more"]
    own.unpublish(own.published())
    assert own.published() == [] and own.requests() == {}


# By a whole DropBox


def _document(whole: Whole, name: str) -> Any:
    user = whole._omero.user(name)
    text = whole._omero._ask("reading", lambda services: publications.read(services, user.id))
    return json.loads(text) if text else None


def _asks(whole: Whole, name: str, *texts: str) -> None:
    """Writes requests as somebody does who keeps to no rule of the page."""
    user = whole._omero.user(name)
    session = whole._omero.session_for(type(user)(user.id, name, GROUP))
    try:
        rows = []
        for text in texts:
            rows.append(CommentAnnotationI())
            rows[-1].ns, rows[-1].textValue = rstring(REQUEST), rstring(text)
        session.services.getUpdateService().saveArray(rows)
    finally:
        session.close()


def _failed(whole: Whole, name: str) -> Any:
    document = _document(whole, name)
    found = [one for one in (document or {}).get("filesets", ()) if one["state"] == "failed"]
    return found[0] if found else None


def test_a_user_asks_and_dropbox_answers(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(publishInterval="1")
    broken = whole.watch_dir / "amy" / "broken.tif"
    for path in (broken, whole.watch_dir / "zak" / "zaks.tif"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"II*\0 and nothing of a TIFF")
    whole.until("both are told", lambda: _failed(whole, "amy") and _failed(whole, "zak"))
    amys, zaks = _failed(whole, "amy")["id"], _failed(whole, "zak")["id"]
    signed = heard(whole._omero._ask("reading", publications.last_sign))
    assert signed is not None
    # Another's, one that does not exist, garbage: answered, and nothing changes.
    _asks(whole, "amy", f"forget {zaks}", "forget 4711", "garbage", "x" * 90, f"forget {amys}" * 9)

    def answers() -> dict[int, str]:
        return {one["id"]: one["answer"] for one in _document(whole, "amy")["answers"]}

    whole.until("they are answered", lambda: answers().keys() == {zaks, 4711})
    assert len(set(answers().values())) == 1  # no one learns which there are
    assert _failed(whole, "zak")["id"] == zaks and _failed(whole, "amy")["id"] == amys
    whole.until("nothing is asked any more", lambda: whole._omero.requests() == {})
    assert _document(whole, "zak")["answers"] == []
    _asks(whole, "amy", f"try again {amys}")
    whole.until("it is tried again", lambda: answers().get(amys) == "it is tried again")
    whole.until("it fails again", lambda: _failed(whole, "amy"))
    _asks(whole, "amy", f"forget {amys}")
    whole.until("it is set aside", lambda: answers().get(amys) == "it is set aside")
    whole.until("the document tells so", lambda: _failed(whole, "amy") is None)
    (one,) = _document(whole, "amy")["filesets"]
    assert one["state"] == "skipped" and broken.exists()


def test_ten_thousand_requests_change_nothing_and_keep_nobody_waiting(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole(publishInterval="1")
    for name in ("amy", "zak"):
        path = whole.watch_dir / name / "broken.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"II*\0 and nothing of a TIFF")
    whole.until("both are told", lambda: _failed(whole, "amy") and _failed(whole, "zak"))
    amys, zaks = _failed(whole, "amy")["id"], _failed(whole, "zak")["id"]
    kinds = (f"forget {zaks}", f"try again {zaks}", "forget 4711", "garbage", "x" * 90)
    _asks(whole, "amy", *(kinds[number % len(kinds)] for number in range(10_000)))
    # Meanwhile another user is answered, and files are imported.
    good = whole.drop("good.tif")
    _asks(whole, "zak", f"forget {zaks}")
    whole.until("zak is answered", lambda: _failed(whole, "zak") is None)
    whole.until_known(good)
    whole.assert_once(good)
    left = len(whole._omero.published())
    assert left > 5_000, "not all were read before zak was answered"
    assert _failed(whole, "amy")["id"] == amys
    whole.until("they become fewer", lambda: len(whole._omero.published()) < left)
