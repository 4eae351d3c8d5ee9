"""The benchmark of isolation: whose turn it is, ratios, options, and the grid's templates."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from lxml import etree

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import report
from benchmarks.isolation import __main__ as command
from benchmarks.isolation import importing, one_grouping, sides

CHECKOUT = Path(__file__).resolve().parents[3]
RATES = {"before": [100.0, 200.0, 400.0], "now": [95.0, 100.0, 380.0]}


def test_each_side_is_first_as_often_as_the_other() -> None:
    found = list(sides.turns(4))
    assert [side for _, side in found] == ["before", "now", "now", "before"] * 2
    assert [number for number, _ in found] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_shares_are_of_one_round_each() -> None:
    assert sides.shares(RATES) == pytest.approx([95, 50, 95])
    with pytest.raises(ValueError):  # a round that only one side has is no ratio
        sides.shares({"before": [1.0, 2.0], "now": [1.0]})


@pytest.mark.parametrize(("least", "met"), [(95.0, "yes"), (89.9, "NO")])
def test_the_median_share_is_held_against_the_target(least: float, met: str) -> None:
    rates = {"before": [100.0] * 3, "now": [least, least - 5, least + 5]}
    rows = [report.row(figure) for figure in sides.figures("imports an hour", "", rates)]
    assert [row[0] for row in rows if row[-1] != "-"] == ["imports an hour: now, of before"]
    assert rows[2][3] == ">= 90.0" and rows[2][-1] == met
    assert [row[1] for row in rows[:2]] == ["100", report.row(sides.figures("", "", rates)[1])[1]]


def test_dropbox_and_fsserver_use_the_tree_and_others_do_not(tmp_path: Path) -> None:
    templates = CHECKOUT / "omero_fs_plugin/sandbox/templates/etc/templates/grid/templates.xml"
    sandbox = etree.parse(templates).getroot()
    for child in etree.parse(CHECKOUT / "grid/omero-fs.xml").getroot().iter("server-template"):
        sandbox.append(child)
    changed = etree.fromstring(importing.with_tree(etree.tostring(sandbox), tmp_path))
    told = {server.get("id"): server.findtext("env") for server in changed.iter("server")}
    path = f"PYTHONPATH={tmp_path}"
    assert {name for name, text in told.items() if text} == {"DropBox", "FSServer"}
    assert told["DropBox"] == told["FSServer"] == path
    with pytest.raises(BenchmarkError, match="0 of the servers"):
        importing.with_tree(b"<icegrid/>", tmp_path)


def test_a_tree_that_is_not_used_is_an_error(tmp_path: Path) -> None:
    sides.Trees(before=CHECKOUT, now=CHECKOUT).check()
    with pytest.raises(BenchmarkError, match=f"before: {tmp_path} is not used"):
        sides.Trees(before=tmp_path, now=CHECKOUT).check()


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "omero_fs_plugin").mkdir()
    found = command.arguments(["--tree", str(tmp_path), "--quick", "--rounds", "1"])
    assert (found.quick, found.rounds, found.beside) == (True, 1, sides.BEFORE)
    for wrong, said in (
        (["--tree", str(tmp_path / "none")], "has no omero_fs_plugin"),
        (["--tree", str(tmp_path), "--rounds", "0"], "--rounds: must be 1 or more"),
        ([], "--tree"),
    ):
        with pytest.raises(SystemExit):
            command.arguments(wrong)
        assert said in capsys.readouterr().err


def test_the_script_finds_the_commit_where_it_looks_for_it() -> None:
    lines = Path(sides.__file__).read_text(encoding="utf-8").splitlines()
    assert any(line.startswith(f'BEFORE = "{sides.BEFORE}"') for line in lines)


def test_a_pass_gives_each_lot_to_one_worker() -> None:
    class Fake:
        def group(self, root: str, lot: list[str]) -> object:
            one = type("Candidate", (), {"complete": True, "refused": ""})
            return type("Grouping", (), {"candidates": [one for _ in lot]})

    told = one_grouping.one_pass([Fake(), Fake()], "/in", [["/in/a", "/in/b"], ["/in/c"]])
    assert told["complete"] == 3 and told["seconds"] > 0


def test_a_round_without_java_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from omero_fs_plugin.dropbox.grouping.bioformats import jars
    from omero_fs_plugin.errors import ConfigurationError

    def none() -> None:
        raise ConfigurationError("no java")

    monkeypatch.setattr(jars, "find", none)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"root": "/in", "lots": []})))
    with pytest.raises(ConfigurationError, match="no java"):
        one_grouping.main()
