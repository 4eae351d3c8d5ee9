"""The views, asked by Django's test client; OMERO is one that the test makes up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_from_bytes

import pytest

pytest.importorskip("omeroweb", reason="the extra `web` is not installed")


from django.template.loader import render_to_string
from django.test import Client, override_settings
from django.urls import clear_script_prefix, set_script_prefix
from omero.rtypes import rtime
from omeroweb.decorators import login_required

from omero_fs_plugin import __version__
from omero_fs_plugin.blitz import publications
from omero_fs_plugin.dropbox.publishing.checked import Found, text_of
from omero_fs_plugin.dropbox.publishing.document import parsed
from omero_fs_plugin.dropbox.publishing.heartbeat import sign
from omero_fs_plugin.errors import UserError
from omero_fs_web import receipt, services, views
from omero_fs_web.older import Older, Some
from omero_fs_web.origin import Origin
from omero_fs_web.receipt import Line

from .documents import NOW, STATES, document, fileset

PAGE, PART, ASK = "/omero_fs_web/", "/omero_fs_web/part/", "/omero_fs_web/ask/"
OLDER = "/omero_fs_web/older/"
EVERYBODY, CHECK = "/omero_fs_web/everybody/", "/omero_fs_web/check/"
HOSTILE = (
    "<script>alert(1)</script>.tif",
    '"><img src=x onerror=alert(1)>.tif',
    "{{ 7|add:7 }}{% load static %}.tif",
    "a" * 255,
    "\u202etxt.exe",
    "&amp;.tif",
    "a\nb\r\n<b>.tif",
    "<i>" * 1365,
)


def _value(value: Any) -> Any:
    return SimpleNamespace(val=value)


def _account(number: int, name: str, group: str) -> Any:
    """A user as OMERO tells it, with a default group or without any."""
    links = [SimpleNamespace(parent=SimpleNamespace(name=_value(group)))] if group else [None]
    return SimpleNamespace(
        id=_value(number), omeName=_value(name), copyGroupExperimenterMap=lambda: links
    )


class Omero:
    """What the app reads and writes, without OMERO."""

    def __init__(self) -> None:
        self.documents: dict[int, str] = {}
        self.requests: list[str] = []
        self.sign = sign(NOW, 15)
        self.clock = self.host = NOW  # s since the epoch: as OMERO has it, and the web host
        self.user = 2
        self.server = "1"  # as OMERO.web numbers those it knows
        self.is_admin = False
        self.check = ""
        self.refuses = ""

    def conn(self) -> Any:
        """The connection of who is logged in."""
        admin = SimpleNamespace(
            lookupExperimenters=lambda: [_account(2, "amy", "<b>lab"), _account(3, "zak", "")],
            getSecurityRoles=lambda: SimpleNamespace(rootId=0, userGroupName="user"),
        )
        config = SimpleNamespace(
            getVersion=lambda: "5.6.7-ice36", getServerTime=lambda: rtime(1000 * self.clock)
        )
        sf = SimpleNamespace(getAdminService=lambda: admin, getConfigService=lambda: config)
        options = SimpleNamespace(
            setOmeroGroup=lambda group: None, setOmeroShare=lambda share=None: None
        )
        return SimpleNamespace(
            c=SimpleNamespace(sf=sf),
            server_id=self.server,
            SERVICE_OPTS=options,
            close=lambda hard: None,
            canCreate=lambda: True,
            getClientSettings=dict,
            getEmailSettings=lambda: False,
            isAdmin=lambda: self.is_admin,
            getUserId=lambda: self.user,
            getEventContext=lambda: SimpleNamespace(userName={2: "amy", 3: "zak"}[self.user]),
        )

    def ask(self, services: Any, text: str) -> None:
        if self.refuses:
            raise UserError(self.refuses)
        self.requests.append(text)


@pytest.fixture
def omero(monkeypatch: pytest.MonkeyPatch) -> Iterator[Omero]:
    """Amy is logged in, and has no document yet."""
    made = Omero()
    for name, does in {
        "read": lambda services, user: made.documents.get(user, ""),
        "last_sign": lambda services, roles: made.sign,
        "requests_of": lambda services, user: list(enumerate(made.requests)),
        "ask": made.ask,
        "last_check": lambda services: made.check,
        "everyones": lambda services: iter(made.documents.items()),
    }.items():
        monkeypatch.setattr(publications, name, does)
    monkeypatch.setattr(views, "datasets_of", lambda services, images: {1: (5, "<b>set")})
    monkeypatch.setattr(services.time, "time", lambda: made.host)
    monkeypatch.setattr(login_required, "get_connection", lambda *_: made.conn())
    yield made


@pytest.fixture
def told(omero: Omero) -> Callable[..., None]:
    """Gives amy this document."""

    def tell(*filesets: dict[str, Any], **more: Any) -> None:
        omero.documents[2] = json.dumps(document(*filesets, **more))

    return tell


def _get(page: str, **query: str) -> str:
    answer = Client().get(page, query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def test_who_is_not_logged_in_is_sent_to_the_login(
    omero: Omero, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_required, "get_connection", lambda *_: None)
    for page in (PAGE, PART, EVERYBODY, "/omero_fs_web/receipt.csv"):
        answer = Client().get(page)
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (
            302,
            "/webclient/login/",
        )
    polled = Client().get(PART, headers={"X-Requested-With": "XMLHttpRequest"})
    assert polled.status_code == 403


@pytest.mark.parametrize("joined", [False, True], ids=["new session", "joined before"])
def test_the_public_user_is_sent_to_the_login(
    omero: Omero, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch, joined: bool
) -> None:
    told(fileset(1))
    public = omero.conn()
    public.isAnonymous = lambda: True
    connector = SimpleNamespace(
        join_connection=lambda agent: public, to_session=lambda request: None
    )
    monkeypatch.undo()  # OMERO.web's own way to a connection
    for name, does in {
        "get_authenticated_connection": lambda *_: public if joined else None,
        "get_public_user_connector": lambda *_: connector,
        "load_server_settings": lambda *_: None,
    }.items():
        monkeypatch.setattr(login_required, name, does)
    monkeypatch.setattr(views, "origin_of", lambda services, image: None)
    with override_settings(
        PUBLIC_ENABLED=True,
        PUBLIC_USER="public",
        PUBLIC_PASSWORD="public",
        PUBLIC_URL_FILTER=re.compile(".*"),
        PUBLIC_GET_ONLY=False,
        PUBLIC_SERVER_ID=1,
    ):
        pages = [PAGE, PART, EVERYBODY, ASK, OLDER, "/omero_fs_web/receipt.html"]
        for page in (*pages, "/omero_fs_web/receipt.csv"):
            answer = Client().get(page)
            assert (answer.status_code, answer["Location"].partition("?")[0]) == (
                302,
                "/webclient/login/",
            )
        # An image that the public user may see has its panel, as the client shows it.
        assert "no fileset that you may see" in _get("/omero_fs_web/image/4/")


@pytest.mark.parametrize("text", ["", "garbage", '{"format": 1}', "[" * 5000])
def test_without_a_document_the_page_says_what_to_do(omero: Omero, text: str) -> None:
    omero.documents[2] = text
    page = _get(PAGE)
    assert "log out and in again" in page
    assert json.loads(_get(PART))["sentence"] == ""


@pytest.mark.parametrize(
    "damage",
    [
        {"files": ["\udc80.tif", "\ud800\ud800"]},
        {"reason": "waits for \udcff", "stand": "failed"},
        {"fileset": 2**70},
        {"fileset": -1},
        {"fileset": True},
        {"fileset": 1.5},
        {"size": "x", "until": "x", "remedy": "\udc80"},
    ],
    ids=ascii,
)
def test_a_damaged_document_has_a_page(omero: Omero, damage: dict[str, Any]) -> None:
    whole = document(fileset(1))
    omero.documents[2] = json.dumps({**whole, "filesets": [{**whole["filesets"][0], **damage}]})
    omero.is_admin = True
    for page in (PAGE, PART, EVERYBODY):
        _get(page)
    found = parsed(omero.documents[2])
    assert found is not None
    for one in receipt.chosen(found, day=None, below=""):
        assert 0 < one["fileset"] < 2**63  # so OMERO can be asked
    if "files" in damage:
        assert "<bdi>\\x80.tif</bdi>" in _get(PAGE)


def test_a_document_of_a_newer_dropbox_is_told_as_such(
    omero: Omero, told: Callable[..., None]
) -> None:
    told(fileset(1))
    omero.documents[2] = json.dumps({**json.loads(omero.documents[2]), "format": 2})
    page = _get(PAGE)
    assert "DropBox is newer than this page" in page and "dropped no file yet" not in page
    assert "DropBox is newer" in json.loads(_get(PART))["html"]


@pytest.mark.parametrize("counts", [{"x": "y"}, {"failed": -1}, {"queued": 1.5}, {"x": None}])
def test_counts_that_are_none_are_no_document(omero: Omero, counts: dict[str, Any]) -> None:
    whole = document(fileset(1))
    omero.documents[2] = json.dumps({**whole, "counts": {**whole["counts"], **counts}})
    assert "log out and in again" in _get(PAGE)


def test_more_than_dropbox_writes_is_not_read(omero: Omero) -> None:
    many = [fileset(n) for n in range(1, 20_001)]
    roots = [{"directory": f"r{n}", "trouble": "x"} for n in range(1000)]
    found = parsed(json.dumps({**document(fileset(1)), "filesets": many, "roots": roots}))
    assert found is not None
    assert (len(found["filesets"]), len(found["roots"])) == (200, 5)


def test_each_drop_has_its_own_dataset_without_a_look_at_those_of_others(
    omero: Omero, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted(dict):  # type: ignore[type-arg]
        walked = 0

        def items(self) -> Any:
            Counted.walked += 1
            return super().items()

    told(*(fileset(n) for n in range(1, 201)))
    datasets = Counted({n: (1000 + n, "set") for n in range(1, 201)})
    monkeypatch.setattr(views, "datasets_of", lambda services, images: datasets)
    page = _get(PAGE)
    assert Counted.walked <= 1  # it was once for each drop: 1.5 s for 200
    assert all(f"?show=dataset-{1000 + n}" in page for n in range(1, 201))


@pytest.mark.parametrize("prefix", ["", "/omero"])
def test_below_a_prefix_every_address_has_it(
    omero: Omero, told: Callable[..., None], prefix: str
) -> None:
    told(fileset(1), fileset(2, "failed"), counts={**dict.fromkeys(STATES, 0), "imported": 300})
    set_script_prefix(f"{prefix}/")  # as Django does for FORCE_SCRIPT_NAME
    try:
        page = _get(PAGE)
        panel = render_to_string("omero_fs_web/right_plugin.js.html", {"forloop": {"counter": 1}})
        asked = Client().post(ASK, {"forget": "7", "who": "1/2"})["Location"]
    finally:
        clear_script_prefix()
    inside = re.findall(r'(?:href|src|action|data-part)="(/[^"]*)"', page)
    assert len(inside) > 8
    assert [one for one in inside if not one.startswith((f"{prefix}/", "/static/"))] == []
    assert asked == f"{prefix}{PAGE}" and f'load("{prefix}/omero_fs_web/image/' in panel


def test_the_sentence_and_what_needs_the_user(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1), fileset(2, "failed", reason="its reader: x"), fileset(3, "queued"))
    page = _get(PAGE)
    assert "1 of your 3 drops is still on the way; 1 needs you." in page
    assert page.index("h-needs") < page.index("h-way") < page.index("h-today")
    assert 'name="try_again" value="2"' in page
    assert "/webgateway/render_thumbnail/1/" in page and "?show=image-1" in page
    assert "?show=dataset-5" in page and "&lt;b&gt;set" in page


def test_the_news_are_what_the_page_has(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1), fileset(2, "failed"))
    news = json.loads(_get(PART))
    page = _get(PAGE)
    assert news["sentence"] in page and news["html"] in page and news["heard"] == ""


def _sealed(text: str) -> Any:
    """What is answered to a browser that has this page, or has had these news."""
    found = re.search(r'data-seal="(\w+)"', text)
    assert found
    return Client().get(PART, headers={"If-None-Match": f'W/"{found[1]}"'})


def test_what_the_browser_has_is_not_sent_again(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1), fileset(2, "failed"))
    answer = _sealed(_get(PAGE))
    assert (answer.status_code, answer.content) == (304, b"")
    assert Client().get(PART)["ETag"] == answer["ETag"]
    assert _sealed(_get(PAGE, q="1.tif")).status_code == 200  # of another search


@pytest.mark.parametrize(
    "change",
    [
        lambda omero: setattr(omero, "sign", sign(NOW - 600, 15)),
        lambda omero: omero.requests.append("try again 2"),
        lambda omero: setattr(omero, "server", "2"),
        lambda omero: omero.documents.update({2: json.dumps(document(fileset(1), revision=4))}),
        lambda omero: omero.documents.clear(),
    ],
    ids=["DropBox is down", "a request", "another server", "a change", "no document"],
)
def test_what_the_browser_does_not_have_is_sent(
    omero: Omero, told: Callable[..., None], change: Callable[[Omero], Any]
) -> None:
    told(fileset(1), fileset(2, "failed"))
    page = _get(PAGE)
    change(omero)
    assert _sealed(page).status_code == 200


def test_another_who_logs_in_meanwhile_does_not_get_into_the_page(
    omero: Omero, told: Callable[..., None]
) -> None:
    told(fileset(7, "failed"))
    page = _get(PAGE)
    (who,) = re.findall(r'data-who="([^"]+)"', page)
    assert f'name="who" value="{who}"' in page and json.loads(_get(PART))["who"] == who
    for user, server in ((3, "1"), (2, "2")):
        omero.user, omero.server = user, server
        assert json.loads(_get(PART))["who"] != who
        answer = Client().post(ASK, {"forget": "7", "who": who}, follow=True)
        assert omero.requests == [] and "that of another user" in answer.content.decode()


def test_a_dropbox_that_is_down_is_told(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1))
    omero.sign = sign(NOW - 600, 15)
    assert json.loads(_get(PART))["heard"].startswith("DropBox has not been heard since")


@pytest.mark.parametrize("host", [-3600.0, -60.0, -5.0, 0.0, 5.0, 60.0, 3600.0, 86400.0])
@pytest.mark.parametrize("silent", [False, True], ids=["DropBox is there", "DropBox is down"])
def test_the_clock_of_the_web_host_may_be_another_one(
    omero: Omero, told: Callable[..., None], host: float, silent: bool
) -> None:
    told(fileset(1, since=NOW - 60), fileset(2, "importing", since=NOW - 60, progress="1 of 2"))
    omero.clock, omero.host = NOW + 7200 * silent, NOW + 7200 * silent + host
    omero.is_admin = True
    heard = json.loads(_get(PART))["heard"]
    since = datetime.fromtimestamp(NOW).strftime("%d %B, %H:%M:%S")
    assert heard == (f"DropBox has not been heard since {since}." if silent else "")
    assert ("has not been heard" in _get(EVERYBODY)) == silent
    page = _get(PAGE)
    assert f"?day={datetime.fromtimestamp(NOW):%Y-%m-%d}" in page
    if not silent:
        left = float(re.findall(r"about (\d+) s left", page)[0])
        assert abs(left - 60) <= 30, "the estimate is that of the clock on the web host"


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
@pytest.mark.parametrize("stand", ["failed", "held up", "importing", "imported", "skipped"])
def test_a_hostile_name_is_text(
    omero: Omero, told: Callable[..., None], name: str, stand: str
) -> None:
    reason = f"waits for {name}" if stand == "held up" else f"its reader: {name}"
    told(fileset(1, stand, files=[name, name], reason=reason, progress=name, remedy=name))
    for page in (_get(PAGE, q=name[:100]), json.loads(_get(PART))["html"]):
        assert f"<bdi>{escape(name)}</bdi>" in page
        assert "<script>alert" not in page and "<img src=x" not in page


def test_an_id_has_no_commas(omero: Omero, told: Callable[..., None]) -> None:
    with override_settings(USE_THOUSAND_SEPARATOR=True):
        told(fileset(1234567), fileset(7654321, "failed"))
        page = _get(PAGE)
    assert "image-1234567" in page and "Open image 1234567" in page and 'value="7654321"' in page


def test_a_hostile_search_is_text(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1))
    page = _get(PAGE, q='"><script>alert(1)</script>', show='"><script>')
    assert "<script>alert" not in page and "0 of the latest 1 drops match" in page


def test_the_search_and_the_kind(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1, files=["cells.tif"]), fileset(2, files=["beads.tif"]), fileset(3, "failed"))
    page = _get(PAGE, q="cells")
    assert "cells.tif" in page and "beads.tif" not in page
    assert "h-needs" not in _get(PAGE, show="imported")


# Requests


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"try_again": "7"}, ["try again 7"]),
        ({"forget": "7"}, ["forget 7"]),
        ({"forget": "0"}, []),
        ({"forget": "7; drop table"}, []),
        ({"try_again": "9" * 40}, []),
        ({"forget": "-7"}, []),
        ({"forget": "\u0667"}, []),
        ({"else": "7"}, []),
        ({}, []),
    ],
)
def test_only_a_request_is_written(omero: Omero, given: dict[str, str], written: list[str]) -> None:
    browser = Client()
    answer = browser.post(ASK, {**given, "who": "1/2"})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert omero.requests == written
    says = "DropBox was asked." if written else "That could not be asked for."
    assert says in browser.get(PAGE).content.decode()
    # Who reloads the page, or comes back to it, is not told so again.
    assert says not in browser.get(PAGE).content.decode()


def test_while_dropbox_is_down_it_is_not_said_to_answer_soon(
    omero: Omero, told: Callable[..., None]
) -> None:
    told(fileset(7, "failed"))
    browser = Client()
    for at, says in ((NOW, "within some seconds"), (NOW - 600, "when it is back")):
        omero.sign = sign(at, 15)
        browser.post(ASK, {"forget": "7", "who": "1/2"})
        page = browser.get(PAGE).content.decode()
        assert says in page and 'id="waits"' in page


def test_who_has_searched_is_led_back_to_what_was_found(
    omero: Omero, told: Callable[..., None]
) -> None:
    told(fileset(7, "failed"), fileset(8))
    page = _get(PAGE, q='7" x', show="needs")
    given = dict(re.findall(r'<input type="hidden" name="(q|show)" value="([^"]*)">', page))
    assert given == {"q": "7&quot; x", "show": "needs"}
    sent = {"forget": "7", "who": "1/2", "q": '7" x', "show": "needs"}
    assert Client().post(ASK, sent)["Location"] == f"{PAGE}?q=7%22+x&show=needs"
    elsewhere = {**sent, "q": "https://elsewhere.example.org/", "show": "\r\nX: y"}
    assert Client().post(ASK, elsewhere)["Location"].startswith(f"{PAGE}?q=https%3A")


def test_who_was_logged_out_in_between_is_told_so_after_the_login(omero: Omero) -> None:
    # OMERO.web's login leads back to where the form was sent, by GET.
    answer = Client().get(ASK, {"forget": "7"}, follow=True)
    assert (answer.status_code, omero.requests) == (200, [])
    assert "You were logged out" in answer.content.decode()


def test_what_omero_refuses_is_told(omero: Omero) -> None:
    omero.refuses = "you have asked for <much> already"
    browser = Client()
    page = browser.post(ASK, {"forget": "7", "who": "1/2"}, follow=True).content.decode()
    assert "DropBox was not asked: you have asked for &lt;much&gt; already." in page
    assert "not asked" not in browser.get(PAGE).content.decode()


def test_no_script_or_style_is_in_the_html(omero: Omero, told: Callable[..., None]) -> None:
    """A site may forbid it for all of OMERO.web (Content-Security-Policy)."""
    told(fileset(1), fileset(2, "failed"), fileset(3, "importing", progress="3 of 9 bytes"))
    omero.is_admin = True
    texts = {page: _get(page) for page in (PAGE, EVERYBODY, CHECK)}
    places = Path(views.__file__).parent / "templates" / "omero_fs_web"
    for template in places.iterdir():
        if template.name != "right_plugin.js.html":  # it is a script, and a part of OMERO.web's own
            texts[template.name] = template.read_text()
    assert len(texts) > 10
    for name, html in texts.items():
        for script in re.findall(r"<script[^>]*>", html):
            assert " src=" in script, (name, script)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html), name


def test_each_change_needs_the_token(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(7, "failed"))
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(ASK, {"forget": "7"}).status_code == 403
    assert browser.get(ASK, {"forget": "7"}).status_code == 302
    assert omero.requests == []
    browser.get(PAGE)
    token = browser.cookies["csrftoken"].value
    given = {"forget": "7", "who": "1/2", "csrfmiddlewaretoken": token}
    assert browser.post(ASK, given).status_code == 302
    assert omero.requests == ["forget 7"]


def test_what_was_asked_for_is_not_asked_twice(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(7, "failed"))
    omero.requests = ["try again 7"]
    page = _get(PAGE)
    assert "You asked to try again." in page and 'value="7"' not in page


# Administrators


def test_only_administrators_see_all_users(omero: Omero, told: Callable[..., None]) -> None:
    told(fileset(1, "failed", reason="its reader: x"))
    omero.documents[3] = json.dumps(document(fileset(2, "failed", reason="its reader: x")))
    assert Client().get(EVERYBODY).status_code == 404
    assert EVERYBODY not in _get(PAGE)
    omero.is_admin = True
    page = _get(EVERYBODY)
    assert "amy" in page and "zak" in page and "its reader: x" in page
    assert EVERYBODY in _get(PAGE)
    assert "&lt;b&gt;lab" in page and "OMERO.server 5.6.7-ice36" in page
    assert f"DropBox: OMERO.fs {__version__}" in page


def test_nobody_elses_document_is_on_the_page(omero: Omero) -> None:
    omero.documents[3] = json.dumps(document(fileset(2, files=["zaks.tif"])))
    for page in (PAGE, PART, "/omero_fs_web/part/?user=3", "/omero_fs_web/?user=zak"):
        assert "zaks" not in _get(page)


# What is older


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the pages of what is older begin.  Each has two filesets; that of 9 is the last."""
    asked: list[int] = []

    def older(services: Any, user: int, document: Any, before: int) -> Some:
        asked.append(before)
        when = datetime.fromtimestamp(NOW).astimezone()
        found = [Older(before - n, HOSTILE[n], when, n, 5, "<b>set") for n in (1, 2)]
        return Some(found, None if before == 9 else before - 2)

    monkeypatch.setattr(views, "older", older)
    return asked


def test_older_ones_are_offered_only_if_there_are_any(
    omero: Omero, told: Callable[..., None]
) -> None:
    told(fileset(1))
    assert "Load older" not in _get(PAGE)
    told(fileset(7), counts={**dict.fromkeys(STATES, 0), "imported": 300})
    assert f"{OLDER}?before=7" in _get(PAGE)


def test_older_ones_come_as_a_page_and_as_a_part(
    omero: Omero, told: Callable[..., None], asked: list[int]
) -> None:
    told(fileset(1))
    page, part = _get(OLDER, before="11"), _get(OLDER, before="11", part="1")
    assert "<title>" in page and "<title>" not in part
    for text in (page, part):
        assert f"{OLDER}?before=9" in text and "?show=dataset-5" in text
        assert f"<bdi>{escape(HOSTILE[1])}</bdi>" in text and "<img src=x" not in text
    assert "Load older" not in _get(OLDER, before="9")
    assert asked == [11, 11, 9]


@pytest.mark.parametrize("before", ["", "-1", "x", "1" * 20, "\u0667", "<script>"])
def test_a_place_that_is_none_is_not_found(
    omero: Omero, told: Callable[..., None], asked: list[int], before: str
) -> None:
    told(fileset(1))
    assert Client().get(OLDER, {"before": before}).status_code == 404
    assert asked == []


# The panel of an image


def _origin(**more: Any) -> Origin:
    when = datetime.fromtimestamp(NOW).astimezone()
    line = Line(f"/data/{HOSTILE[1]}", 5, "ab12", "SHA1-160", when, (4,), 7)
    return Origin(
        **{
            **{"fileset": 7, "imported": when, "dropped": when, "ours": True},
            **{"in_place": False, "lines": [line], "files": 1, "images": 1},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("origin", "says", "not_"),
    [
        (_origin(), "From DropBox", "Keep the original"),
        (_origin(ours=False, dropped=None), "Imported without DropBox", "From DropBox"),
        (_origin(in_place=True), "Keep the original files", "OMERO has copies"),
        (_origin(files=3), "the first 1 of 3 files", "Keep the original"),
        (None, "no fileset that you may see", "Receipt"),
    ],
)
def test_the_panel(
    omero: Omero, monkeypatch: pytest.MonkeyPatch, origin: Origin | None, says: str, not_: str
) -> None:
    monkeypatch.setattr(views, "origin_of", lambda services, image: origin)
    panel = _get("/omero_fs_web/image/4/")
    assert says in panel and not_ not in panel
    assert "<img src=x" not in panel
    assert (escape(HOSTILE[1]) in panel) == (origin is not None)


def test_an_image_that_cannot_be(omero: Omero) -> None:
    assert Client().get(f"/omero_fs_web/image/{2**63}/").status_code == 404


def test_omero_webs_client_is_given_the_panel() -> None:
    plugin = render_to_string("omero_fs_web/right_plugin.js.html", {"forloop": {"counter": 3}})
    assert 'load("/omero_fs_web/image/"' in plugin and "plugin_index: 3," in plugin


# Receipts


@pytest.mark.parametrize(
    ("total", "day", "oldest", "whole"),
    [
        (2, "", NOW - 60, True),
        (300, "", NOW - 60, False),
        (300, "2026-11-29", NOW - 60, False),  # the earlier ones of that day are not known
        (300, "2026-11-29", NOW - 86400, True),
    ],
)
def test_a_receipt_of_a_part_says_so(
    omero: Omero,
    told: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    total: int,
    day: str,
    oldest: float,
    whole: bool,
) -> None:
    monkeypatch.setattr(receipt, "lines", lambda services, user, filesets: iter(()))
    counts = dict.fromkeys(STATES, 0)
    counts["imported"] = total
    told(fileset(2), fileset(1, since=oldest), counts=counts)
    assert ("There may be more" in _get(f"{PAGE}receipt.html", day=day)) != whole
    answer = Client().get(f"{PAGE}receipt.csv", {"day": day})
    assert ("of-a-part" in answer["Content-Disposition"]) != whole


def test_a_receipt_without_a_document_is_not_there(omero: Omero) -> None:
    assert Client().get("/omero_fs_web/receipt.csv").status_code == 404


@pytest.mark.parametrize("day", ["x", "2026-99-01", "<script>"])
def test_a_day_that_is_none(omero: Omero, told: Callable[..., None], day: str) -> None:
    told(fileset(1))
    assert Client().get("/omero_fs_web/receipt.html", {"day": day}).status_code == 404


def test_administrators_read_what_the_check_found_and_when(omero: Omero) -> None:
    assert Client().get(CHECK).status_code == 404  # for users
    omero.is_admin = True
    assert f'href="{CHECK}"' in _get(EVERYBODY)
    assert "omero fs check --publish" in _get(CHECK)
    lines = [Found("ok", "user", "fine", ""), Found("error", "<b>x", "<script>", 'do "it"')]
    omero.check = text_of(lines, at=NOW - 7200, host="omero<1>", version="0.1.0")
    shown = _get(CHECK)
    assert "1 error, 0 warnings." in shown and "2026" in shown and "ago, by" in shown
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "omero&lt;1&gt;" in shown
    omero.check = "garbage"
    assert "has no output" in _get(CHECK)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "\0",
        "\ud800",
        "x" * 10_000,
        "-1",
        "0",
        "9" * 19,
        "9999-12-31",
        "0001-01-01",
        "%",
        "../..",
        "'; drop table",
        "\u0661",
        "1e9",
        "nan",
    ],
    ids=lambda value: ascii(value)[:16],
)
def test_no_address_breaks_a_page(
    omero: Omero, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    told(fileset(1), fileset(2, "failed"))
    omero.is_admin = True
    monkeypatch.setattr(views, "older", lambda services, user, document, before: Some((), None))
    monkeypatch.setattr(receipt, "lines", lambda services, user, filesets: iter(()))
    sent = value.encode("utf-8", "surrogatepass")
    for place in (PAGE, PART, OLDER, EVERYBODY, CHECK, f"{PAGE}receipt.html", f"{PAGE}receipt.csv"):
        for name in ("q", "show", "before", "part", "day", "below"):
            query = "&".join(f"{one}={quote_from_bytes(sent)}" for one in {name, "before"})
            answer = Client().get(f"{place}?{query}", headers={"If-None-Match": ascii(value)[:500]})
            assert answer.status_code in (200, 404), (place, name)
    for given in ({"who": value}, {"forget": value}, {"try_again": value, "q": value}):
        who = views._who(omero.conn())
        data = {"who": who, **given}
        body = "&".join(
            f"{k}={quote_from_bytes(v.encode('utf-8', 'surrogatepass'))}" for k, v in data.items()
        )
        answer = Client().post(ASK, body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 302 and answer["Location"].startswith(PAGE)
    assert all(re.fullmatch(r"(forget|try again) [1-9]\d{0,17}", one) for one in omero.requests)
