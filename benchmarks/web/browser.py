"""The page in a real browser, from a real OMERO.web beside a sandbox: its first byte, and drawing.

Both pages are loaded in turns by the same browser, so that other load is that of both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import STALLED, Figure, Outcome, drop_many
from benchmarks.measure import quantile

ROWS = 200
WIDTHS = (1920, 360)  # px
_PATIENCE_S = 60  # for OMERO to have the document

# From the request to the first byte of the page that is loaded now, in ms.
_FIRST_BYTE = """
const one = performance.getEntriesByType("navigation")[0];
return one.responseStart - one.requestStart;
"""

# The page's own way to show news: the HTML is parsed, laid out and painted.
_DRAWN = """
const done = arguments[arguments.length - 1];
const part = document.getElementById("part"), html = part.innerHTML;
const rows = part.querySelectorAll("li.item").length;
part.innerHTML = "";
requestAnimationFrame(() => setTimeout(() => {
  const began = performance.now();
  part.innerHTML = html;
  part.getBoundingClientRect();
  const laid = performance.now() - began;
  requestAnimationFrame(() => {
    const after = new MessageChannel();
    after.port1.onmessage = () => done([rows, laid, performance.now() - began]);
    after.port2.postMessage(null);
  });
}, 0));
"""


def measure(scratch: Path, looks: int) -> Outcome:
    """`looks` loads of each page, and as many times that its rows are drawn."""
    from tools import browser, demo, web

    outcome = Outcome(f"A page of {ROWS} imported drops in a browser, {looks} times each")
    properties = {"omero.fs.dirImportWait": "1", "omero.fs.publishInterval": "1"}
    with Grid(scratch, properties) as grid, tempfile.TemporaryDirectory() as place:
        grid.start()
        drop_many(grid.home("amy"), ROWS)
        grid.wait("all imported", lambda n: n.get("imported", 0) >= ROWS, patience=STALLED)
        router = int(demo.router_port(grid.directory))
        with web.serving(Path(place), router=router) as address:
            driver = browser.opened(WIDTHS[0])
            try:
                _log_in(driver, address)
                ours, theirs = [], []
                for number in range(looks + 1):
                    for page, times in (("/omero_fs_web/", ours), ("/webclient/", theirs)):
                        driver.get(f"{address}{page}")
                        if number:  # the first one fills caches
                            times.append(float(driver.execute_script(_FIRST_BYTE)))
                _add_first_byte(outcome, ours, theirs)
                driver.get(f"{address}/omero_fs_web/")
                for width in WIDTHS:
                    browser.resize(driver, width)
                    _draw(outcome, driver, width, looks)
            finally:
                driver.quit()
    return outcome


def _log_in(driver: Any, address: str) -> None:
    """As amy, when her document has all rows."""
    from tools import browser

    browser.log_in(driver, address, "amy", "amy")
    end = time.monotonic() + _PATIENCE_S
    while len(driver.find_elements("css selector", "#part li.item")) < ROWS:
        if time.monotonic() > end:
            raise BenchmarkError(f"the page does not have {ROWS} rows")
        time.sleep(1.0)
        driver.refresh()


def _add_first_byte(outcome: Outcome, ours: list[float], theirs: list[float]) -> None:
    mine, other = quantile(ours, 0.5), quantile(theirs, 0.5)
    outcome.figures += [
        Figure("first byte of My drops, p50", mine, "ms", 300),
        Figure("first byte of My drops, p90", quantile(ours, 0.9), "ms"),
        Figure("first byte of My drops, fastest", min(ours), "ms"),
        Figure("first byte of OMERO.web's empty client, p50", other, "ms"),
        Figure("first byte of OMERO.web's empty client, p90", quantile(theirs, 0.9), "ms"),
        Figure("first byte of OMERO.web's empty client, fastest", min(theirs), "ms"),
        Figure("My drops beside the empty client, p50", mine / other, "times", 1.2),
    ]


def _draw(outcome: Outcome, driver: Any, width: int, looks: int) -> None:
    found = [driver.execute_async_script(_DRAWN) for _ in range(looks)]
    if any(rows != ROWS for rows, _, _ in found):
        outcome.faults.append(f"{outcome.title}: {sorted({one[0] for one in found})} rows drawn")
    laid, drawn = ([one[place] for one in found] for place in (1, 2))
    at = f"{ROWS} rows at {width} px"
    outcome.figures += [
        Figure(f"{at}: parsed and laid out, p50", quantile(laid, 0.5), "ms"),
        Figure(f"{at}: drawn, p50", quantile(drawn, 0.5), "ms", 100),
        Figure(f"{at}: drawn, p90", quantile(drawn, 0.9), "ms"),
    ]
