"""In a browser: a user mends a broken file and tries it again on My drops, in any order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from . import images
from .dropping import DropBox
from .server import Server
from .test_reload import Configuration
from .test_web import _each, _missing, _press, _quoted, _text, _told
from .test_web import address as address  # fixtures
from .test_web import browse as browse
from .waiting import until

pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")

_SECTION = "//section[@aria-labelledby='h-{}']"
_AGAIN = "//button[@name='try_again']"


class Shown:
    """What amy's page shows of one drop."""

    def __init__(self, page: Any, dropbox: DropBox, name: str) -> None:
        self.page = page
        self.name = f"{dropbox.directory.name}/{name}"
        self._dropbox = dropbox
        self._item = f"//li[.//bdi[text()={_quoted(self.name)}]]"

    def path(self, section: str, below: str = "") -> str:
        """The XPath of what is `below` the drop there: needs, way, today or skipped."""
        return f"{_SECTION.format(section)}{self._item}{below}"

    def inside(self, section: str, below: str = "") -> list[str]:
        """The text of what is `below` the drop, if it is shown there."""
        return _each(self.page, self.path(section, below))

    def until(self, section: str, below: str = "") -> str:
        """The text of the first of them, as soon as it is there.  Nobody reloads the page."""
        return until(
            f"{self.name} in {section}{below}",
            lambda: self.inside(section, below),
            evidence=self.evidence,
        )[0]

    def evidence(self) -> str:
        return f"{_text(self.page)}\n{self._dropbox.server.evidence()}"

    def press(self) -> None:
        """Clicks on Try again, once it is there."""
        _press(self.page, self.path("needs", _AGAIN), evidence=self.evidence)

    def until_imported(self) -> None:
        """It is shown with its thumbnail, its dataset and a link into the client."""
        self.until("today")
        for link in ("?show=dataset-", "?show=image-"):
            assert self.inside("today", f"//a[contains(@href, '{link}')]"), self.inside("today")
        until(
            "the thumbnail is there",
            lambda: any(_each(self.page, self.path("today", "//img"), "naturalWidth")),
            evidence=self.evidence,
        )
        assert not self.inside("needs") and not self.inside("way")


@pytest.fixture(scope="module")
def publishing(grid: Server) -> Iterator[None]:
    """DropBox keeps documents in OMERO, and puts images into datasets."""
    configuration = Configuration(grid)
    configuration.set(publishInterval="1", target="Dataset:name:mended")
    grid.ask("fs", "reload")
    yield
    configuration.reset()
    grid.ask("fs", "reload")
    grid.until_healthy()


@pytest.fixture
def broken(dropbox: DropBox, browse: Callable[..., Any]) -> Shown:
    """Amy has dropped a broken file, and her page says so in words."""
    dropbox.drop("broken.tif", images.refused())
    until("amy has a document", _told(dropbox, "broken.tif"), evidence=dropbox.server.evidence)
    shown = Shown(browse("amy", 360), dropbox, "broken.tif")
    shown.until("needs", _AGAIN)  # it has failed for good: before, it is tried again by itself
    row = shown.until("needs")
    assert "OMERO cannot read this file" in row and "What to do:" in row
    return shown


@contextmanager
def _down(dropbox: DropBox, name: str) -> Any:
    """While it is down; it is started at the end."""
    dropbox.server.ice(f"server disable {name}; server stop {name}")
    try:
        yield
    finally:
        dropbox.server.ice(f"server enable {name}; server start {name}")


def test_mended_and_tried_again(
    broken: Shown,
    dropbox: DropBox,
    browse: Callable[..., Any],
    address: str,
    moods: Callable[..., None],
) -> None:
    server, zaks = dropbox.server, browse("zak")
    roots = browse("root", 1920, server.root_password)
    roots.get(f"{address}/omero_fs_web/everybody/")
    assert "amy" in _text(roots) and "pixel" in _text(roots).casefold()
    # FSServer tells nothing: what is done now is done for the click alone.
    with _down(dropbox, "FSServer"):
        moods(disk=2)  # s for each MiB: it is under way long enough to be seen
        mended = dropbox.drop("broken.tif", images.tiff(side=1500))
        broken.press()
        said = broken.until("way", "//p[@class='answer']")
        assert said == "DropBox answered: it is tried again"
        until(
            "its progress",
            lambda: [one for one in broken.inside("way") if re.search(r"\d+\s%", one)],
            evidence=lambda: _text(broken.page),
        )
        moods()
        broken.until_imported()
        dropbox.until_imported(mended)
    server.until_healthy()
    dropbox.until_settled()
    assert _text(broken.page).count(broken.name) == 1
    for page in (zaks, roots):
        page.refresh()
    assert dropbox.directory.name not in _text(zaks)
    zaks.get(f"{address}/omero_fs_web/")
    assert dropbox.directory.name not in _text(zaks)
    assert "amy" in _text(roots)
    dropbox.assert_once(mended)


def test_mended_it_comes_by_itself_and_late_clicks_change_nothing(
    broken: Shown, dropbox: DropBox, address: str
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page = broken.page
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    page.get(f"{address}/omero_fs_web/")
    page.execute_script("window.fetch = () => new Promise(() => {})")  # it stays as it is
    stale = page.find_element("xpath", broken.path("needs", _AGAIN))
    second = page.current_window_handle
    page.switch_to.window(first)
    mended = dropbox.drop("broken.tif")
    broken.until_imported()
    page.switch_to.window(second)
    ActionChains(page).double_click(stale).perform()
    broken.until_imported()
    until(
        "nothing is said to be waited for",
        lambda: not page.find_elements("css selector", "#waits"),
        evidence=lambda: _text(page),
    )
    dropbox.until_settled()
    dropbox.assert_once(mended)


def test_asked_for_while_dropbox_is_down_and_mended_meanwhile(
    broken: Shown, dropbox: DropBox
) -> None:
    with _down(dropbox, "DropBox"):
        until(
            "it is said",
            lambda: "DropBox has not been heard since" in _text(broken.page),
            evidence=lambda: _text(broken.page),
        )
        broken.press()
        until(
            "it is said when it answers",
            lambda: "It answers when it is back" in _text(broken.page),
            evidence=lambda: _text(broken.page),
        )
        assert "DropBox has not answered yet" in broken.until("needs")
        mended = dropbox.drop("broken.tif")
    broken.until_imported()
    dropbox.server.until_healthy()
    dropbox.until_settled()
    assert "has not answered yet" not in _text(broken.page)
    dropbox.assert_once(mended)


@pytest.mark.long
def test_tried_again_with_the_file_gone(broken: Shown, dropbox: DropBox) -> None:
    path = dropbox.directory / "broken.tif"
    with _down(dropbox, "FSServer"):
        path.unlink()
        broken.press()
        assert "removed or renamed before it was imported" in broken.until("skipped")
    dropbox.server.until_healthy()
    back = dropbox.drop("broken.tif")
    broken.until_imported()
    dropbox.assert_once(back)
