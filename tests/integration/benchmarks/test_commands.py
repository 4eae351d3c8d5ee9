"""The benchmark of the commands runs, at its smallest."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.commands import times
from benchmarks.contenders import BenchmarkError
from omero_fs_plugin.cli import SUBCOMMANDS


def test_each_command_does_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "COMMANDS", (times.Command("fs status", (3,), times.BEYOND_S),))
    outcome = times.measure(tmp_path, times.FILESETS, repetitions=1)
    assert outcome.title == "A journal of 20 filesets"
    figures = {figure.text: figure for figure in outcome.figures}
    assert [one.unit for one in outcome.figures] == ["s"] * 2 + ["CPU s"] * 2 + [""] * 2
    assert figures["omero fs status, beyond omero version"].target == times.BEYOND_S
    of_status = figures["modules that omero fs status loads"].value
    assert of_status > figures["modules that omero version loads"].value > 100
    with pytest.raises(BenchmarkError, match="ended with 2"):
        times.once(tmp_path / "omero-20", times.Command("fs status --limit x"), {})


def test_every_command_is_measured() -> None:
    measured = {command.words.split()[1] for command in times.COMMANDS}
    # One takes the servers out of the templates, the other makes a grid.
    assert {name for name, _, _ in SUBCOMMANDS} - measured == {"uninstall", "sandbox"}
