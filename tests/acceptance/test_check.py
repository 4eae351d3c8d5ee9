"""`omero fs check` and `omero fs config`, while the grid runs."""

from __future__ import annotations

import json

from .api import Omero
from .server import Server
from .waiting import until

KEY = "omero.fs.longestWait"


def test_a_running_grid(grid: Server, omero_api: Omero) -> None:
    for name in ("amy", "zak"):
        omero_api.need_user(name)

    def started() -> bool:
        done = grid.ask("fs", "check", check=False)
        return "OMERO is starting" not in done.stdout

    until("OMERO has started", started, evidence=grid.evidence)
    done = grid.run_all(
        {"check": ["fs", "check", "--json"], "config": ["fs", "config", "--json"]}, check=False
    )
    assert done["check"].returncode < 2, done["check"].stdout
    told = json.loads(done["check"].stdout)["lines"]
    by_about: dict[str, list[str]] = {}
    for line in told:
        by_about.setdefault(line["about"], []).append(f"{line['level']} {line['what']}")
    # What is read from the files is what the servers run with.
    assert by_about["servers"] == ["ok FSServer is active", "ok DropBox is active"]
    assert any(line.startswith("ok OMERO's router answers at") for line in by_about["port"])
    assert by_about["grid"][0].startswith("ok ")
    assert by_about["users"][-1].startswith("ok ")
    assert done["config"].returncode == 0, done["config"].stderr
    config = json.loads(done["config"].stdout)
    assert config["users"][0]["values"]["dirImportWait"]["from"] == "omero config"
    assert config["problems"] == []


def test_a_value_that_cannot_be(grid: Server, config: dict[str, str]) -> None:
    grid.configure(KEY, "soon")
    try:
        done = grid.run_all({"check": ["fs", "check"], "config": ["fs", "config"]}, check=False)
    finally:
        grid.configure(KEY, config.get(KEY, ""))
    for command in done.values():
        assert command.returncode == 2
        assert "Traceback" not in command.stdout + command.stderr
    wrong = f"{KEY} = 'soon': must be a number of seconds from 0 to 1000000000"
    assert wrong in done["config"].stderr
    assert f"error   properties: {wrong} -> `omero config set -- {KEY}" in done["check"].stdout
    assert f"runs with other values of {KEY} -> `omero fs reload`" in done["check"].stdout
