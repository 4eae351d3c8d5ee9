"""Each question of the dashboard, put to a real Prometheus that scrapes DropBox and FSServer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.metrics import publisher
from tests.acceptance import images
from tests.integration.whole import Whole
from tests.ports import reserved
from tools import dashboard
from tools.prometheus import Series, scraping

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no prometheus here (Debian: prometheus)"
)


def test_each_question_has_an_answer_with_numbers(
    make_whole: Callable[..., Whole], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.2)
    monkeypatch.setattr(publisher, "_REST", 1.0)  # the machine may be slow
    port = reserved(2)
    whole = make_whole(metrics=str(port))
    refused = whole.watch_dir / "zak" / "refused.tif"
    refused.write_bytes(images.refused())
    with scraping(tmp_path / "prometheus", (port, port + 1), 1) as prometheus:
        whole.until("both are scraped", lambda: set(prometheus.targets().values()) == {"up"})
        whole.until_known(whole.drop("a.tif"), refused, states=(State.IMPORTED, State.FAILED))
        counts = whole.journal.counts()
        panels = {panel.title: panel for panel in dashboard.panels()}

        def now(question: str) -> list[float]:
            at = time.time()
            return [one.points[-1][1] for one in prometheus.over_time(question, at - 1, at, 1)]

        def missing() -> list[str]:
            return [
                question
                for panel in panels.values()
                for question, _ in panel.questions
                if not now(question)
            ]

        whole.until("each has an answer", lambda: not missing())

        def value(title: str) -> float | None:
            """None: the last scrape took too long, and Prometheus knows nothing until the next."""
            ((question, _),) = panels[title].questions
            found = now(question)
            assert len(found) < 2
            return found[0] if found else None

        whole.until("they are the journal's", lambda: value("Imported") == counts[State.IMPORTED])
        whole.until("the failed too", lambda: value("Failed") == counts[State.FAILED] == 1)
        whole.until_known(whole.drop("b.tif"))
        hourly = panels["Imports an hour"].questions[0][0]
        whole.until("imports are counted", lambda: max(now(hourly), default=0.0) > 0)


def test_the_picture_has_every_panel(tmp_path: Path) -> None:
    """Of answers that Prometheus may give: none, not a number, and very large ones."""
    board = dashboard.panels()
    for answers in ([], [Series({"state": "a&b"}, ((0.0, float("nan")), (10.0, 4e12)))]):
        picture = dashboard.drawn(
            [(one, one.lines(lambda _, a=answers: a)) for one in board], 0, 10
        )
        for panel in board:
            assert panel.title in picture
