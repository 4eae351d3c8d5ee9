"""The dashboard, the alerts and the documentation name metrics that there are, and all of these."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from omero_fs_plugin.dropbox.metrics import families as of_dropbox
from omero_fs_plugin.monitor import families as of_fsserver
from tests import CHECKOUT

RULES = CHECKOUT / "deploy/prometheus/omero-fs.rules.yml"
TESTS = CHECKOUT / "deploy/prometheus/omero-fs.test.yml"
BOARD = CHECKOUT / "deploy/grafana/omero-fs.json"
PICTURE = CHECKOUT / "docs/dashboard.svg"
PAGE = CHECKOUT / "docs/metrics.rst"
_NAME = re.compile(r"\bomero_fs_[a-z0-9_]+")


def there() -> dict[str, str]:
    """Every name in what the two servers tell -> its family."""
    families = [
        *of_dropbox.Families(users=lambda: False).registry.collect(),
        *of_fsserver.Families(dict).registry.collect(),
    ]
    found = {}
    for family in families:
        total = "_total" if family.type == "counter" else ""
        found[family.name + total] = family.name + total
        if family.type == "histogram":
            found |= {f"{family.name}_{end}": family.name for end in ("bucket", "count", "sum")}
    return found


@pytest.mark.parametrize("file", [RULES, TESTS, BOARD, PAGE], ids=lambda file: file.name)
def test_each_name_is_that_of_a_metric(file: Path) -> None:
    named = set(_NAME.findall(file.read_text(encoding="utf-8")))
    assert named
    assert named - there().keys() == set()


def test_the_page_has_every_metric() -> None:
    assert set(there().values()) - set(_NAME.findall(PAGE.read_text(encoding="utf-8"))) == set()


def test_names_are_as_prometheus_wants_them() -> None:
    for name in set(there().values()):
        assert re.fullmatch(r"omero_fs_[a-z][a-z0-9_]*", name)
        assert not re.search(r"_(ms|millis|minutes|kb|mb)\b", name), "base units"


def test_the_dashboard_can_be_read() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert all(target["expr"] for target in panel["targets"])


def test_the_picture_has_the_panels_of_the_dashboard() -> None:
    """`python -m tools.dashboard_picture docs/dashboard.svg` draws it anew."""
    picture = ElementTree.fromstring(PICTURE.read_bytes())
    told = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    assert {panel["title"] for panel in panels} <= told
    assert "no data" not in told


def test_every_alert_has_a_test() -> None:
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    tried = set(re.findall(r"alertname: (\w+)", TESTS.read_text(encoding="utf-8")))
    assert alerts == tried


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_promtool_agrees() -> None:
    for command in (["check", "rules", RULES.name], ["test", "rules", TESTS.name]):
        done = subprocess.run(
            ["promtool", *command], cwd=RULES.parent, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
