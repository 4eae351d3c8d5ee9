"""The page My drops in a real browser: OMERO.web beside the grid, from a host of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
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
    return str(driver.execute_script("return document.getElementById('main').innerText"))


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
    # Nobody reloads the page: it asks by itself.
    until(
        "the broken file is told",
        lambda: page.find_elements(By.CSS_SELECTOR, "[aria-labelledby=h-needs] .failed"),
        evidence=server.evidence,
    )
    assert path in _text(page)  # as text
    assert page.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    item = f"//li[.//bdi[text()={_quoted(path)}]]"
    for width in WIDTHS:
        resize(page, width)
        across, seen = page.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert across <= seen, f"the page is wider than {width} px"
    thumbnail = page.find_element(By.CSS_SELECTOR, "[aria-labelledby=h-today] img")
    page.execute_script("arguments[0].scrollIntoView()", thumbnail)
    until(
        "the thumbnail is there",
        lambda: page.execute_script("return arguments[0].naturalWidth", thumbnail),
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
    page.find_element(By.XPATH, f"{item}//button[@name='try_again']").click()
    until("it is answered", lambda: "it is tried again" in _text(page), evidence=server.evidence)
    again = f"{item}//button[@name='forget']"
    until("it failed again", lambda: page.find_elements(By.XPATH, again), evidence=server.evidence)
    page.find_element(By.XPATH, again).click()
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


def _quoted(text: str) -> str:
    """As a string of XPath, which has no escapes."""
    parts = ", ".join(f'"{part}"' for part in text.split('"'))
    return "concat(" + parts.replace(", ", ", '\"', ") + ", '')"
