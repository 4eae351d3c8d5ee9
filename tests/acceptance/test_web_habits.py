"""The page My drops, and what browsers, their users and a slow OMERO do to it."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omero.model import SessionI
from omero.rtypes import rstring

from . import images
from .dropping import DropBox
from .test_web import _each, _missing, _press, _quoted, _text, _told
from .test_web import address as address  # fixtures
from .test_web import browse as browse
from .test_web import publishing as publishing
from .waiting import until

pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")

_AXE = importlib.util.find_spec("axe_core_python")

# Each rule that is broken, with the elements that break it.
_BROKEN = """
const done = arguments[arguments.length - 1];
const told = (one) => one.id + ": " + one.nodes.map((node) => node.html).join(" | ");
axe.run(document).then((found) => done(found.violations.map(told)), (why) => done([String(why)]));
"""


def _heard(page: Any) -> str:
    return str(page.execute_script("return document.getElementById('heard').innerText"))


@pytest.mark.skipif(_AXE is None, reason="the Python package axe-core-python is not installed")
def test_what_axe_finds_on_each_page(
    dropbox: DropBox, browse: Callable[..., Any], address: str, tmp_path: Path
) -> None:
    from tools.browser import colours, resize

    assert _AXE is not None and _AXE.submodule_search_locations
    axe = (Path(_AXE.submodule_search_locations[0]) / "axe.min.js").read_text()
    server = dropbox.server
    dropbox.until_imported(dropbox.drop("whole.tif"))
    dropbox.drop("broken.tif", images.refused())
    first, *_ = images.ome_tiff_set(tmp_path, ["a.ome.tif", "b.ome.tif"])
    dropbox.drop(first.name, first.read_bytes())
    until("amy has a document", _told(dropbox, "broken.tif"), evidence=server.evidence)
    server.ask("fs", "check", "--publish", "--fail-on", "none")
    amys, roots = browse("amy"), browse("root", 1920, server.root_password)
    until("all is seen", lambda: "set are missing" in _text(amys), evidence=lambda: _text(amys))
    for page, places in (
        (amys, ["", "?q=nothing+like+it", "receipt.html", "older/?before=9"]),
        (roots, ["everybody/", "check/"]),
    ):
        for place in places:
            page.get(f"{address}/omero_fs_web/{place}")
            page.execute_script(axe)
            first = place == places[0]  # has all that the others have, and more
            for width, dark, forced in (
                (360, True, False),
                *([(1920, False, False), (360, False, True)] if first else []),
            ):
                resize(page, width)
                colours(page, dark=dark, forced=forced)
                broken = page.execute_async_script(_BROKEN)
                assert broken == [], (place, width, dark, forced)


def test_large_letters_and_a_very_narrow_window(
    dropbox: DropBox, browse: Callable[..., Any], address: str
) -> None:
    from tools.browser import resize

    server = dropbox.server
    dropbox.until_imported(
        dropbox.drop("a name without any room to break it " + "x" * 200 + ".tif")
    )
    dropbox.drop("y" * 200 + ".tif", images.refused())
    until("amy has a document", _told(dropbox, "y" * 200 + ".tif"), evidence=server.evidence)
    page, roots = browse("amy"), browse("root", 1920, server.root_password)
    roots.get(f"{address}/omero_fs_web/everybody/")
    # A window of 1,280 px whose letters are 400 % is one of 320 px; WCAG 2.1, 1.4.10 and 1.4.4.
    for one in (page, roots):
        for width, letters in ((320, 100), (640, 200), (1280, 200)):
            resize(one, width)
            size, across, seen = one.execute_script(
                "document.documentElement.style.fontSize = arguments[0] + '%';"
                "const root = document.documentElement;"
                "const size = getComputedStyle(document.body).fontSize;"
                "return [size, root.scrollWidth, root.clientWidth]",
                letters,
            )
            assert size == f"{16 * letters // 100}px"  # not a size of our own
            assert across <= seen, (one.current_url, width, letters)


def test_two_clicks_two_tabs_and_the_way_back(
    dropbox: DropBox, browse: Callable[..., Any], address: str
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    server = dropbox.server
    dropbox.drop("broken.tif", images.refused())
    until("amy has a document", _told(dropbox, "broken.tif"), evidence=server.evidence)
    page = browse("amy")
    item = f"//li[.//bdi[text()={_quoted(f'{dropbox.directory.name}/broken.tif')}]]"
    again, forget = (f"{item}//button[@name='{name}']" for name in ("try_again", "forget"))

    def evidence() -> str:
        return f"{_text(page)}\n{server.evidence()}"

    until("it failed", lambda: page.find_elements("xpath", again), evidence=evidence)
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    page.get(f"{address}/omero_fs_web/")
    second = page.current_window_handle
    page.switch_to.window(first)
    ActionChains(page).double_click(page.find_element("xpath", again)).perform()
    answered = f"{item}//*[@class='answer']"
    until("it is answered", lambda: page.find_elements("xpath", answered), evidence=evidence)
    until("it failed again", lambda: page.find_elements("xpath", again), evidence=evidence)
    # Both clicks had the one answer, and neither the way back nor a reload asks once more.
    for step in (page.back, page.forward, page.refresh):
        step()
        until(
            "it has its one answer",
            lambda: _each(page, answered) == ["DropBox answered: it is tried again"],
            evidence=evidence,
        )
    assert "DropBox was asked" not in _text(page)
    # The other tab still shows the button of before; what it asks for is done as well.
    page.switch_to.window(second)
    _press(page, forget, evidence=evidence)
    page.switch_to.window(first)
    left = f"//section[@aria-labelledby='h-skipped']{item}"
    until("it is set aside in both", lambda: page.find_elements("xpath", left), evidence=evidence)


def test_while_omero_hangs_an_open_page_says_so_and_goes_on_afterwards(
    dropbox: DropBox, browse: Callable[..., Any]
) -> None:
    server = dropbox.server
    dropbox.until_imported(dropbox.drop("before.tif"))
    until("amy has a document", _told(dropbox, "before.tif"), evidence=server.evidence)
    page = browse("amy", 360)
    until("all are there", lambda: not _heard(page), evidence=server.evidence)
    blitz = server.pid("Blitz-0")
    os.kill(blitz, signal.SIGSTOP)
    try:
        until(
            "it says so",
            lambda: "OMERO.web has not answered since" in _heard(page),
            evidence=lambda: _text(page),
        )
        assert "before.tif" in _text(page)  # what it knows stays
    finally:
        os.kill(blitz, signal.SIGCONT)
    until("it goes on", lambda: not _heard(page), evidence=lambda: _text(page))
    dropbox.until_imported(dropbox.drop("after.tif"))
    until("it has news", lambda: "after.tif" in _text(page), evidence=lambda: _text(page))


@pytest.mark.long
def test_while_omero_takes_three_seconds_for_each_call_all_is_shown_and_asked_for_once(
    dropbox: DropBox, browse: Callable[..., Any], moods: Callable[..., None]
) -> None:
    server = dropbox.server
    dropbox.drop("broken.tif", images.refused())
    until("amy has a document", _told(dropbox, "broken.tif"), evidence=server.evidence)
    page = browse("amy", 360)
    page.set_page_load_timeout(240)
    name = f"{dropbox.directory.name}/broken.tif"
    again = f"//li[.//bdi[text()={_quoted(name)}]]//button[@name='try_again']"
    until("it failed", lambda: page.find_elements("xpath", again), evidence=server.evidence)
    moods(slow=3)  # s
    page.refresh()
    assert name in _text(page)
    _press(page, again, evidence=server.evidence)
    until(
        "it is said",
        lambda: re.search("DropBox was asked|it is tried again", _text(page)),
        evidence=lambda: _text(page),
    )
    assert name in _text(page)
    moods()
    until(
        "it is answered",
        lambda: "it is tried again" in _text(page) and not _heard(page),
        evidence=lambda: f"{_text(page)}\n{server.evidence()}",
    )
    until("it failed again", lambda: page.find_elements("xpath", again), evidence=server.evidence)


def test_an_older_browser_gets_news_too(dropbox: DropBox, browse: Callable[..., Any]) -> None:
    dropbox.until_imported(dropbox.drop("before.tif"))
    until("amy has a document", _told(dropbox, "before.tif"), evidence=dropbox.server.evidence)
    page = browse("amy")
    page.execute_script("delete AbortSignal.timeout;")  # Safari 15, Firefox 99
    dropbox.until_imported(dropbox.drop("after.tif"))
    until("it has news", lambda: "after.tif" in _text(page), evidence=lambda: _text(page))
    assert not _heard(page)


def test_a_session_that_omero_has_ended_leads_to_the_login(
    dropbox: DropBox, browse: Callable[..., Any]
) -> None:
    server, api = dropbox.server, dropbox.omero
    dropbox.until_imported(dropbox.drop("before.tif"))
    until("amy has a document", _told(dropbox, "before.tif"), evidence=server.evidence)
    server.until_idle(dropbox.directory)
    before = api.session_keys("amy")
    page = browse("amy")
    until("all are there", lambda: not _heard(page), evidence=server.evidence)
    for key in api.session_keys("amy") - before:
        session = SessionI()
        session.uuid = rstring(key)
        api.ask(lambda services, row=session: services.getSessionService().closeSession(row))
    until(
        "it says so", lambda: "You are logged out." in _heard(page), evidence=lambda: _heard(page)
    )
    page.refresh()
    assert "/webclient/login/" in page.current_url and "before.tif" not in page.page_source
