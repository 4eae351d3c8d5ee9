"""The pages of `omero fs report` and `omero fs receipt` in a real browser, at two widths."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.cli import receipt_text, report_text
from omero_fs_plugin.cli.report_facts import facts
from omero_fs_plugin.dropbox.journal.seen import Came
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.receipts.proof import Proof

DAY = 86400.0
BEGIN = datetime(2026, 11, 1).timestamp()
PHONE, DESK = 360, 1280  # px
LONG = "deep directory/" * 5 + "x" * 200 + ".ome.tiff"  # 255 bytes are the most for a name
USERS = ("amy", "a.very.long.name.of.somebody@institute.example.org")
REASONS = {
    State.FAILED: "no reader takes it: its checksum differs from what was uploaded",
    State.WAITING: "it misses plate_A01_s2_w3.tif since Tuesday",
    State.IMPORTED: "",
}

# What is wrong with the page that is shown, as the browser has laid it out.
FAULTS = """
const faults = [], page = document.documentElement;
if (page.scrollWidth > innerWidth) faults.push(`it is ${page.scrollWidth} px wide`);
const canvas = document.createElement("p");
canvas.style.background = "Canvas";
document.body.append(canvas);
const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(of => of / 255)
  .map(of => of <= 0.04045 ? of / 12.92 : ((of + 0.055) / 1.055) ** 2.4)
  .reduce((sum, of, at) => sum + of * [0.2126, 0.7152, 0.0722][at], 0);
const paper = light(getComputedStyle(canvas).backgroundColor);
canvas.remove();
const contrast = colour => (Math.max(light(colour), paper) + 0.05)
  / (Math.min(light(colour), paper) + 0.05);
const range = document.createRange();
const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = all.nextNode());) {
  if (node.parentElement.localName == "title") continue;
  for (const found of node.data.matchAll(/[^\\s/-]+/g)) {
    range.setStart(node, found.index);
    range.setEnd(node, found.index + found[0].length);
    const lines = [...range.getClientRects()];
    if (!lines.length) continue;  // it is hidden here
    const said = `"${found[0]}" of ${node.parentElement.localName}`;
    const below = lines.some(one => one.top > lines[0].bottom - 4);
    if (found[0].length <= 12 && below) faults.push(`${said} is broken`);
    if (lines.some(one => one.height < 13)) faults.push(`${said} is too small`);
    if (lines.some(one => one.left < 0 || one.right > innerWidth)) faults.push(`${said} is cut`);
    if (contrast(getComputedStyle(node.parentElement).color) < 4.5) faults.push(`${said} is pale`);
  }
}
for (const cell of document.querySelectorAll("td")) {
  const before = getComputedStyle(cell, "::before");
  if (before.content != "none" && contrast(before.color) < 4.5) faults.push("a heading is pale");
}
for (const times of document.querySelectorAll("div.times")) {
  const every = [...times.children].map(one => one.getBoundingClientRect());
  const shown = every.filter(one => one.width);
  shown.forEach((one, at) => {
    if (at && shown[at - 1].right + 4 > one.left) faults.push("times lie over each other");
  });
}
for (const plot of document.querySelectorAll("svg")) {
  const bars = [...plot.querySelectorAll("rect")];
  const sizes = bars.map(one => one.getBoundingClientRect());
  if (Math.max(...sizes.map(one => one.height)) < 100) faults.push("a plot is flat");
  if (Math.min(...sizes.map(one => one.width)) < 1) faults.push("a bar is too thin");
  if (bars.some(one => contrast(getComputedStyle(one).fill) < 3)) faults.push("a bar is pale");
}
return [...new Set(faults)];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("selenium", reason="no selenium here to drive a browser")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium, or no chromedriver, on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("browser")
    # Its own sandbox is not possible in many containers; the pages are ours.
    for one in ("--headless", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(one)
    options.add_argument(f"--user-data-dir={profile}")
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


def came(number: int, days: float, pick: random.Random) -> Came:
    state = pick.choices([*REASONS], [2, 2, 96])[0]
    created = BEGIN + pick.random() * days * DAY
    user = USERS[number % 2]
    return Came(
        id=number,
        user=user,
        root=f"/drop/{user}",
        path=f"/drop/{user}/{number}" + pick.choice([".tif", LONG, "\u202egnp \u0639\u0644.tif"]),
        state=state,
        reason=REASONS[state],
        created=created,
        changed=created,
        imported=created + pick.expovariate(1 / 300) if state is State.IMPORTED else None,
        files=2,
        size=10**9,
    )


def report(days: float, filesets: int) -> str:
    pick = random.Random(5)
    some = [came(number, days, pick) for number in range(filesets)]
    wrong = [(f"/drop/amy/{LONG}", "its checksum differs")] if filesets else None
    told = facts(some, BEGIN, BEGIN + days * DAY)
    return report_text.as_html(told, wrong, f"of amy below /drop/amy/{LONG}" if filesets else "")


def receipt() -> str:
    safe = Proof("/drop/amy/a.tif", 10**9, "a1" * 20, 5, 7, (1, 2, 3, 4))
    unsafe = Proof(f"/drop/amy/{LONG}", why_not="its checksum differs from what OMERO has")
    containers = {1: ("Dataset:5 cells", f"Project:6 {'w' * 80}")}
    return receipt_text.as_html([safe, unsafe] * 3, containers, ["/drop/amy"])


PAGES = {
    "two days": report(2, 400),
    "an hour": report(1 / 24, 5),
    "a quarter of a year": report(92, 400),
    "two years": report(730, 900),
    "nothing": report(7, 0),
    "a receipt": receipt(),
}


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_can_be_read(browser: Any, tmp_path: Path, width: int, colours: str) -> None:
    scheme = {"name": "prefers-color-scheme", "value": colours}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    found = {}
    for name, text in PAGES.items():
        file = tmp_path / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        browser.get(file.as_uri())
        assert browser.execute_script("return innerWidth") == width
        dark = browser.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (colours == "dark")
        found[name] = browser.execute_script(FAULTS)
    assert not any(found.values()), found
