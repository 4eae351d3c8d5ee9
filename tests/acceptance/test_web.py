"""The page My drops in a real browser: OMERO.web beside the grid, from a host of its own."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXTERNAL

from . import images
from .dropping import DropBox
from .server import Server
from .test_reload import Configuration
from .waiting import until

WIDTHS = (360, 1920)  # px
HOSTILE = '"><img src=x onerror=alert(1)>.tif'


def _missing() -> str:
    """What a test in a browser lacks here; empty if nothing."""
    if os.environ.get(EXTERNAL):
        return "the server under test has an OMERO.web of its own"
    for name in ("omeroweb", "whitenoise", "selenium"):
        if importlib.util.find_spec(name) is None:
            return f"the Python package of {name} is not installed"
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            return f"there is no {name}: apt-get install chromium chromium-driver"
    return ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")


@pytest.fixture(scope="module")
def publishing(grid: Server) -> Iterator[None]:
    """DropBox keeps documents in OMERO."""
    configuration = Configuration(grid)
    configuration.set(publishInterval="1")
    grid.ask("fs", "reload")
    yield
    configuration.reset()
    grid.ask("fs", "reload")
    grid.until_healthy()


@pytest.fixture(scope="module")
def address(
    publishing: None, config: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """OMERO.web, which knows nothing of the grid but the port of its router."""
    from tools.web import serving

    router = int(config.get("omero.ports.prefix", "") + config.get("omero.ports.ssl", "4064"))
    with serving(tmp_path_factory.mktemp("web"), router=router) as address:
        yield address


@pytest.fixture
def browse(address: str) -> Iterator[Callable[..., Any]]:
    """Opens a browser of this width, logged in as this user, at the page."""
    from tools.browser import log_in, opened

    drivers: list[Any] = []

    def browse(user: str, width: int = 1920, password: str = "") -> Any:
        driver = opened(width)
        drivers.append(driver)
        log_in(driver, address, user, password or user)
        return driver

    yield browse
    for driver in drivers:
        driver.quit()


def _text(driver: Any) -> str:
    # What is far from the window is not drawn, and would have no text.
    return str(
        driver.execute_script(
            "for (const one of document.querySelectorAll('.item'))"
            "  one.style.contentVisibility = 'visible';"
            "return document.getElementById('main').innerText"
        )
    )


# The page may be drawn anew between two steps of a test, so each look is one step.
_EACH = """
const found = document.evaluate(arguments[0], document, null, 7, null);
return [...Array(found.snapshotLength).keys()].map((at) => {
  const one = found.snapshotItem(at);
  if (!arguments[1]) return one.textContent.replace(/\\s+/g, " ").trim();
  one.scrollIntoView();
  return one[arguments[1]];
});
"""


def _each(driver: Any, path: str, what: str = "") -> list[Any]:
    """The text of each element at this XPath, or `what` of it, as the browser has it now."""
    found: list[Any] = driver.execute_script(_EACH, path, what)
    return found


def _press(driver: Any, path: str, *, evidence: Callable[[], str]) -> None:
    """Clicks on what is at this XPath, once it is there."""
    from selenium.common.exceptions import StaleElementReferenceException

    def press() -> bool:
        try:
            for one in driver.find_elements("xpath", path):
                one.click()
                return True
        except StaleElementReferenceException:  # drawn anew in between, it is another one
            pass
        return False

    until("it is there to be clicked on", press, evidence=evidence)


def _told(dropbox: DropBox, name: str) -> Callable[[], bool]:
    from .test_published import _status

    path = f"{dropbox.directory.name}/{name}"
    return lambda: any(
        path in one["files"] for one in _status(dropbox, dropbox.user).get("filesets", ())
    )


def test_a_user_sees_asks_and_is_answered(
    dropbox: DropBox, browse: Callable[..., Any], address: str
) -> None:
    from selenium.webdriver.common.by import By

    from tools.browser import resize

    server = dropbox.server
    first = dropbox.drop("cells.tif")
    (fileset,) = dropbox.until_imported(first)
    # A session keeps the groups that it began with: amy logs in after the first document.
    until("amy has a document", _told(dropbox, "cells.tif"), evidence=server.evidence)
    page = browse("amy", 360)
    assert "My drops" in page.title
    below = dropbox.directory.name
    assert f"{below}/cells.tif" in _text(page)
    dropbox.drop(HOSTILE, images.refused())
    path = f"{below}/{HOSTILE}"
    item = f"//li[.//bdi[text()={_quoted(path)}]]"
    # Not any one: others of this user's files may have failed before.
    failed = f"//*[@aria-labelledby='h-needs']{item}[contains(@class, 'failed')]"
    # Nobody reloads the page: it asks by itself.
    until(
        "the broken file is told",
        lambda: page.find_elements(By.XPATH, failed),
        evidence=server.evidence,
    )
    assert path in _text(page)
    assert page.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    for width in WIDTHS:
        resize(page, width)
        across, seen = page.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert across <= seen, f"the page is wider than {width} px"
    thumbnail = "(//*[@aria-labelledby='h-today']//img)[1]"
    until(
        "the thumbnail is there",
        lambda: any(_each(page, thumbnail, "naturalWidth")),
        evidence=server.evidence,
    )
    assert f"?show=image-{fileset.images[0].id}" in page.page_source
    # What OMERO.web's client shows of the image beside it.
    panel = f"{address}/omero_fs_web/image/{fileset.images[0].id}/"
    told = page.execute_async_script(
        "fetch(arguments[0]).then((one) => one.text()).then(arguments[1])", panel
    )
    assert "From DropBox" in told and str(first).lstrip("/") in told
    # What is asked for by the page is answered by DropBox.
    _press(page, f"{item}//button[@name='try_again']", evidence=server.evidence)
    until("it is answered", lambda: "it is tried again" in _text(page), evidence=server.evidence)
    again = f"{item}//button[@name='forget']"
    _press(page, again, evidence=server.evidence)
    left = f"//section[@aria-labelledby='h-skipped']{item}"
    until("it is set aside", lambda: page.find_elements(By.XPATH, left), evidence=server.evidence)
    # Others see nothing of it, administrators see all.
    zaks = browse("zak")
    assert below not in _text(zaks)
    zaks.get(panel)
    assert "no fileset that you may see" in zaks.page_source and below not in zaks.page_source
    zaks.get(f"{address}/omero_fs_web/everybody/")
    assert "All users" not in zaks.title
    roots = browse("root", 1920, server.root_password)
    roots.get(f"{address}/omero_fs_web/everybody/")
    assert "amy" in _text(roots) and "By group" in _text(roots)


# What a screen reader or an eye would miss on the page: a list of texts.
_MISSED = """
const found = [];
const named = (one) => (one.getAttribute("aria-label") || one.innerText || one.alt ||
  [...(one.labels || [])].map((label) => label.innerText).join("")).trim();
const seen = (one) => one.getClientRects().length > 0;
const acts = "a[href], button, select, summary, progress, input:not([type=hidden])";
for (const one of document.querySelectorAll(acts))
  if (seen(one) && !named(one)) found.push("no name: " + one.outerHTML);
for (const one of document.querySelectorAll("img"))
  if (!one.hasAttribute("alt")) found.push("no alt: " + one.outerHTML);
for (const one of document.querySelectorAll("[aria-labelledby]"))
  if (!document.getElementById(one.getAttribute("aria-labelledby")))
    found.push("no label: " + one.outerHTML);
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
if (new Set(ids).size !== ids.length) found.push("an id is there twice: " + ids);
let level = 0;
for (const one of document.querySelectorAll("h1, h2, h3")) {
  if (Number(one.tagName[1]) > level + 1) found.push("a level is left out: " + one.outerHTML);
  level = Number(one.tagName[1]);
}
if (document.querySelectorAll("main").length !== 1) found.push("not one main");
if (!document.documentElement.lang) found.push("no language");
for (const [id, role] of [["sentence", "status"], ["heard", "alert"]])
  if (document.getElementById(id).getAttribute("role") !== role) found.push(id + " is not live");
const light = (colour) => {
  const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const texts = "h1, h2, h3, p, a, button, summary, label, select, time, .count, .who";
for (const one of document.querySelectorAll(texts)) {
  if (!seen(one) || !one.innerText.trim()) continue;
  const [x, y] = [light(getComputedStyle(one).color), light(paper(one))].sort((a, b) => b - a);
  if ((x + 0.05) / (y + 0.05) < 4.5) found.push("too little contrast: " + one.outerHTML);
}
const page = document.documentElement;
if (page.scrollWidth > page.clientWidth) found.push("wider than the window: " + page.scrollWidth);
return found;
"""


def test_a_set_that_misses_a_member_told_to_all_eyes_and_hands(
    dropbox: DropBox, browse: Callable[..., Any], tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    from tools.browser import colours, resize

    server = dropbox.server
    dropbox.drop("broken.tif", images.refused())
    until("amy has a document", _told(dropbox, "broken.tif"), evidence=server.evidence)
    first, second, late = images.ome_tiff_set(tmp_path, ["a.ome.tif", "b.ome.tif", "c.ome.tif"])
    for path in (first, second):
        dropbox.drop(path.name, path.read_bytes())
    page = browse("amy", 360)

    def missing() -> list[str]:
        return [line for line in _text(page).split("\n") if "set are missing: " in line]

    until(
        "the missing file is named, and no other",
        lambda: (
            missing()
            and all(late.name in says and first.name not in says for says in missing())
            and page.find_elements(By.CSS_SELECTOR, ".failed button")
        ),
        evidence=lambda: f"{_text(page)}\n{server.evidence()}",
    )
    for width in WIDTHS:
        resize(page, width)
        for dark in (False, True):
            colours(page, dark=dark)
            assert page.execute_script(_MISSED) == [], (width, dark)
    # By keyboard alone: everything is reached, the focus is seen, and it goes on to the end.
    wanted = page.execute_script(
        "window.fetch = () => new Promise(() => {});"  # the page stays as it is
        "return [...document.querySelectorAll("
        "'a[href], button, select, summary, input:not([type=hidden])')].length"
    )
    page.execute_script("document.activeElement.blur()")
    reached = set()
    for _ in range(wanted + 1):
        page.switch_to.active_element.send_keys(Keys.TAB)
        one = page.switch_to.active_element
        if one.tag_name == "body":
            break
        outline = one.value_of_css_property("outline-style")
        assert outline != "none", one.get_attribute("outerHTML")
        reached.add(one.id)
    assert len(reached) == wanted
    # The set is whole now; nobody reloads but the test, which has stopped the page's own looks.
    dropbox.drop(late.name, late.read_bytes())
    page.refresh()
    today = f"//section[@aria-labelledby='h-today']//bdi[contains(text(), '{first.name}')]"
    # A document that was written in between may have the set in both places: the next has not.
    until(
        "it is imported, and nothing is missing",
        lambda: page.find_elements(By.XPATH, today) and "set are missing" not in _text(page),
        evidence=lambda: f"{_text(page)}\n{server.evidence()}",
    )


def test_progress_is_seen_while_a_file_is_on_its_way(
    dropbox: DropBox, browse: Callable[..., Any], moods: Callable[..., None]
) -> None:
    server = dropbox.server
    dropbox.until_imported(dropbox.drop("before.tif"))
    until("amy has a document", _told(dropbox, "before.tif"), evidence=server.evidence)
    page = browse("amy", 360)
    moods(disk=2)  # s for each MiB
    large = dropbox.drop("large.tif", images.tiff(side=3000))
    bar = f"progress[aria-label$={_css(large.name)}]"
    seen = until(
        "a part of it is in OMERO",
        lambda: page.execute_script(
            "const one = document.querySelector(arguments[0]);"
            "return one && one.value > 0 && one.value < 100 && one.parentElement.innerText",
            bar,
        ),
        evidence=lambda: f"{_text(page)}\n{server.evidence()}",
    )
    assert re.match(r"[1-9][0-9]?\s%", seen.strip()), seen
    assert "is being imported" in _text(page)
    moods()
    name = f"{dropbox.directory.name}/{large.name}"
    today = f"//section[@aria-labelledby='h-today']//bdi[text()='{name}']"
    until("it is imported", lambda: page.find_elements("xpath", today), evidence=server.evidence)
    assert page.find_elements("css selector", bar) == []


@pytest.mark.parametrize("name", [pytest.param("FSServer", marks=pytest.mark.long), "DropBox"])
def test_while_a_server_is_down_the_page_says_since_when(
    dropbox: DropBox, browse: Callable[..., Any], name: str
) -> None:
    server = dropbox.server
    dropbox.until_imported(dropbox.drop("before.tif"))
    until("amy has a document", _told(dropbox, "before.tif"), evidence=server.evidence)
    page = browse("amy", 360)

    def heard() -> str:
        return str(page.execute_script("return document.getElementById('heard').innerText"))

    until("all are there", lambda: not heard(), evidence=server.evidence)
    server.ice(f"server disable {name}; server stop {name}")
    try:
        says = re.compile(name + r" has not been heard since \d+ \w+, \d\d:\d\d:\d\d\.")
        # OMERO.web may answer late meanwhile, and that is said as well.
        until(f"it is said of {name}", lambda: says.match(heard()), evidence=heard)
        for width in WIDTHS:
            _resize(page, width)
            assert page.execute_script(_MISSED) == []
    finally:
        server.ice(f"server enable {name}; server start {name}")
    until(f"{name} is heard", lambda: not heard(), evidence=lambda: _text(page))
    after = dropbox.drop("after.tif")
    dropbox.until_imported(after)
    server.until_healthy()


def test_an_open_page_says_what_has_become_of_its_session(
    dropbox: DropBox, browse: Callable[..., Any], address: str
) -> None:
    from tools.browser import log_in

    server = dropbox.server
    dropbox.until_imported(dropbox.drop("amys.tif"))
    until("amy has a document", _told(dropbox, "amys.tif"), evidence=server.evidence)
    page = browse("amy")

    def heard() -> str:
        return str(page.execute_script("return document.getElementById('heard').innerText"))

    # In another tab somebody else logs in: nothing of it gets into this one.
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    log_in(page, address, "zak", "zak")
    page.switch_to.window(first)
    until("it says so", lambda: "Another user is logged in" in heard(), evidence=heard)
    assert "amys.tif" in _text(page)
    page.refresh()
    assert "amys.tif" not in _text(page)
    assert page.find_element("class name", "who").text == "zak"
    page.delete_all_cookies()
    until("it says so", lambda: heard().startswith("You are logged out."), evidence=heard)


def test_an_open_page_outlives_a_restart_of_omero_web(
    publishing: None,
    dropbox: DropBox,
    config: dict[str, str],
    tmp_path: Path,
) -> None:
    from tools.browser import log_in, opened
    from tools.web import free_port, serving

    server = dropbox.server
    dropbox.until_imported(dropbox.drop("before.tif"))
    until("amy has a document", _told(dropbox, "before.tif"), evidence=server.evidence)
    router = int(config.get("omero.ports.prefix", "") + config.get("omero.ports.ssl", "4064"))
    port, page = free_port(), opened(360)

    def heard() -> str:
        return str(page.execute_script("return document.getElementById('heard').innerText"))

    try:
        with serving(tmp_path, router=router, port=port) as address:
            log_in(page, address, "amy", "amy")
        until("it says so", lambda: "OMERO.web has not answered since" in heard(), evidence=heard)
        with serving(tmp_path, router=router, port=port):
            until("it goes on", lambda: not heard(), evidence=heard)
            dropbox.until_imported(dropbox.drop("after.tif"))
            name = f"{dropbox.directory.name}/after.tif"
            until("it has news", lambda: name in _text(page), evidence=lambda: _text(page))
    finally:
        page.quit()


# The client clears the selection while it loads.  So it is made whenever it is not there, the tab
# is opened whenever it is not open, and nothing else is done until the tab has its content.
_BESIDE = """
const body = window.jQuery && jQuery("body"), tab = document.getElementById("omero_fs_tab");
if (!tab || document.readyState !== "complete") return "";
if (tab.textContent.includes("From DropBox")) return tab.textContent;
const chosen = (body.data("selected_objects.ome") || []).map((one) => one.id).join();
const link = document.querySelector('#annotation_tabs_list a[href$="#omero_fs_tab"]');
if (chosen !== arguments[0])
  body.data("selected_objects.ome", [{ id: arguments[0], index: 0 }])
    .trigger("selection_change.ome");
else if (!link.parentElement.classList.contains("ui-tabs-active")) link.click();
return "";
"""


def test_the_tab_beside_an_image_in_the_client(
    dropbox: DropBox, browse: Callable[..., Any], address: str
) -> None:
    server = dropbox.server
    (fileset,) = dropbox.until_imported(dropbox.drop("beside.tif"))
    page = browse("amy")
    page.get(f"{address}/webclient/")
    shown = [""]

    def beside() -> str:
        shown[0] = page.execute_script(_BESIDE, f"image-{fileset.images[0].id}")
        return shown[0]

    def evidence() -> str:
        state = page.execute_script(
            "return [jQuery('body').data('selected_objects.ome'), jQuery('#annotation_tabs').html()"
            ".slice(0, 3000), jQuery('#omero_fs_tab').html()]"
        )
        return f"{state}\n{server.evidence()}"

    until("the tab tells of the image", beside, evidence=evidence)
    assert "beside.tif" in shown[0] and "compared their checksums" in shown[0]


def test_it_asks_for_news_only_while_it_is_seen(
    dropbox: DropBox, browse: Callable[..., Any]
) -> None:
    dropbox.until_imported(dropbox.drop("seen.tif"))
    until("amy has a document", _told(dropbox, "seen.tif"), evidence=dropbox.server.evidence)
    page = browse("amy")
    page.execute_script(
        "window.asked = 0; const before = window.fetch;"
        "window.fetch = (...given) => { window.asked += 1; return before(...given); };"
        "window.hide = (value) => {"
        "  Object.defineProperty(document, 'hidden', { value, configurable: true });"
        "  document.dispatchEvent(new Event('visibilitychange')); };"
    )
    until("it asks", lambda: page.execute_script("return window.asked"), evidence=lambda: "")
    started = page.execute_script(
        "window.hide(true); window.timers = 0; const set = window.setTimeout;"
        "window.setTimeout = (...given) => { window.timers += 1; return set(...given); };"
        "return window.asked"
    )
    page.execute_async_script("fetch(location.href).then(arguments[0])")  # one whole round trip
    assert page.execute_script("return [window.asked, window.timers]") == [started + 1, 0]
    page.execute_script("window.hide(false)")
    until(
        "it asks again",
        lambda: page.execute_script("return window.asked") > started + 1,
        evidence=lambda: "",
    )


def test_it_asks_less_while_it_gets_no_answer_or_a_slow_one(
    dropbox: DropBox, browse: Callable[..., Any]
) -> None:
    dropbox.until_imported(dropbox.drop("slow.tif"))
    until("amy has a document", _told(dropbox, "slow.tif"), evidence=dropbox.server.evidence)
    page = browse("amy")
    # Nothing is waited for but looks that the page has begun; how long it would wait is noted.
    page.execute_script(
        "window.delays = []; const set = window.setTimeout;"
        "window.setTimeout = (does, wait) => { window.delays.push(wait); return set(does, 50); };"
        "const before = window.fetch; let fails = true;"
        "window.fetch = (...given) => fails ? Promise.reject(new Error('away')) : before(...given);"
        "window.back = () => { fails = false; window.delays = []; };"
    )

    def delays() -> list[float]:
        found: list[float] = page.execute_script("return window.delays")
        return found

    def failed() -> list[float]:
        """Without a look that was under way, and got its answer."""
        return list(itertools.dropwhile(lambda delay: delay == 3000, delays()))

    until("it asked often", lambda: len(failed()) > 8, evidence=lambda: str(delays()))
    found = failed()[:9]
    assert found == sorted(found) and found[0] > 3000 and found[-1] == 60_000, found
    page.execute_script("window.back()")
    until("it asks as before", lambda: 3000 in delays(), evidence=lambda: str(delays()))
    page.execute_script(
        "const now = performance.now; let passed = 0;"
        "performance.now = () => now.call(performance) + (passed += 7000); window.delays = [];"
    )
    until("a slow answer", lambda: any(delays()), evidence=lambda: str(delays()))
    assert min(delays()) >= 7000, delays()


def _resize(driver: Any, width: int) -> None:
    from tools.browser import resize

    resize(driver, width)


def _css(text: str) -> str:
    """As a string of CSS."""
    return json.dumps(text)


def _quoted(text: str) -> str:
    """As a string of XPath, which has no escapes."""
    parts = ", ".join(f'"{part}"' for part in text.split('"'))
    return "concat(" + parts.replace(", ", ", '\"', ") + ", '')"
