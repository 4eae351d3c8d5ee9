"""Where a benchmark's tables go: said before the run, and never in the place of other sizes."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

import benchmarks.__main__
import benchmarks.audit.__main__
import benchmarks.commands.__main__
import benchmarks.dropbox.__main__
import benchmarks.filesets.__main__
import benchmarks.growth.__main__
import benchmarks.journal.__main__
import benchmarks.web.__main__
from benchmarks import fsserver, options
from benchmarks.dropbox import report, running
from benchmarks.dropbox.scenarios import Figure, Outcome

TOOLS = Path(__file__).parents[3] / "tools"
AS_ROOT = os.geteuid() == 0
ALL: dict[str, ModuleType] = {
    "bench": benchmarks.__main__,
    "bench-fsserver": fsserver,
    "bench-dropbox": benchmarks.dropbox.__main__,
    "bench-filesets": benchmarks.filesets.__main__,
    "bench-growth": benchmarks.growth.__main__,
    "bench-journal": benchmarks.journal.__main__,
    "bench-commands": benchmarks.commands.__main__,
    "bench-audit": benchmarks.audit.__main__,
    "bench-web": benchmarks.web.__main__,
}


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of what runs here may change what SIGTERM does to pytest."""
    for module in (benchmarks.__main__, fsserver, running):
        monkeypatch.setattr(module, "on_sigterm", lambda: None)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("where", "why"), [("nowhere/out.rst", "is no directory"), (".", "is a directory")]
)
def test_who_cannot_write_says_so_before_the_run(
    name: str, where: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        ALL[name].main(["--quick", "--output", str(tmp_path / where)])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: --output: ") and line.endswith(why)


@pytest.mark.skipif(AS_ROOT, reason="root may write everything")
@pytest.mark.parametrize("there", [False, True], ids=["directory", "file"])
def test_what_may_not_be_written_is_no_output(tmp_path: Path, there: bool) -> None:
    file = tmp_path / "out.rst"
    assert options.cannot_write(file) == ""
    if there:
        file.touch(0o400)
    else:
        tmp_path.chmod(0o500)
    try:
        assert options.cannot_write(file).endswith("may not be written")
    finally:
        tmp_path.chmod(0o700)


def _read(*given: str) -> argparse.Namespace:
    parser = options.parser_of("bench", None, Path("RESULTS.rst"), ("one", "two"))
    options.add_repeat(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", dest="sets", action="append")
    parser.add_argument("--before")
    return options.read(parser, given)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ("--quick --only one --before /tree", []),
        ("--rounds 5 --repeat 3", []),
        ("--repeat 4", []),
        ("--repeat 1", ["--repeat 1"]),
        ("--quick --repeat 1", []),
        ("--rounds 1 --set a --set b", ["--rounds 1", "--set a", "--set b"]),
        ("--rounds 6", ["--rounds 6"]),
    ],
)
def test_what_changes_a_size_or_a_number(given: str, changed: list[str]) -> None:
    assert _read(*given.split()).changed == changed


@pytest.mark.parametrize(
    ("given", "runs"),
    [("", 3), ("--quick", 1), ("--quick --repeat 2", 2), ("--repeat=2 --quick", 2)],
)
def test_a_figure_is_the_median_of_three_runs_unless_said(given: str, runs: int) -> None:
    assert _read(*given.split()).repeat == runs


def _measured(_: Path) -> Outcome:
    return Outcome("some", [Figure("files", 1.0, "")])


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("bench-filesets", "--rounds 1", "--rounds 1"),
        (
            "bench-filesets",
            "--rounds 1 --chunks 10 --plate 100 --set store",
            "--rounds 1, --plate 100, --chunks 10, --set store",
        ),
        ("bench-dropbox", "--importers 8", "--importers 8"),
        ("bench-dropbox", "", ""),
        ("bench-growth", "", ""),
    ],
)
def test_other_sizes_are_never_written_as_the_results(
    name: str, given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heading of what --output has names them."""
    module = ALL[name]
    monkeypatch.setattr(module, "RESULTS", tmp_path / "RESULTS.rst")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    execute = module.execute

    def instead(scenarios: dict[str, object], **words: object) -> int:
        done: int = execute(dict.fromkeys(scenarios, _measured), **words)
        return done

    monkeypatch.setattr(module, "execute", instead)
    assert module.main(given.split()) == 0
    assert (tmp_path / "RESULTS.rst").exists() is not bool(said)
    output = tmp_path / "out.rst"
    assert module.main([*given.split(), "--output", str(output)]) == 0
    (sizes,) = (line for line in output.read_text("utf-8").splitlines() if ":Sizes:" in line)
    assert sizes == f":Sizes: Full sizes{f', but for {said}' if said else ''}."


def test_a_tenth_and_other_numbers_are_both_told() -> None:
    text = report.whole(
        [], quick=True, loads=[0.5], heading=report.HEADING, changed=["--importers 8"]
    )
    assert ":Sizes: A tenth of the sizes (--quick), but for --importers 8." in text


def test_a_run_that_measures_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kinds` has no set of this name."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    output = tmp_path / "out.rst"
    given = ["--only", "kinds", "--set", "plate", "--output", str(output)]
    assert benchmarks.filesets.__main__.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: nothing is measured")
    assert not output.exists()


@pytest.mark.parametrize(
    ("contender", "only"),
    [
        ("least over Ice", "burst"),
        ("least over Ice", "standing"),
        ("watchdog", "million"),
        ("inotify", "cycles"),
    ],
)
def test_a_contender_that_takes_no_part_is_an_error(
    contender: str, only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.rst"
    given = ["--quick", "--contender", contender, "--only", only, "--output", str(output)]
    assert benchmarks.__main__.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: nothing is measured: ")
    assert f"{only}: none of the contenders takes part" in line
    assert not output.exists()


# tools/bench.sh -----------------------------------------------------------------

PLACE = """
set -euo pipefail
checkout=$BASE/checkout
tree=$BASE/copy
place=$BASE
venv=$BASE/venv
root=$ROOT
say() { :; }
as_user() { "$@"; }
"""
# In the place of Python: writes where --output says, and tells what it was given.
PYTHON = """#!/usr/bin/env bash
echo "$@" >"$BASE/given"
while [ "${1-}" != --output ] && [ $# -gt 0 ]; do shift; done
[ $# -lt 2 ] || echo tables >"$2"
exit 1
"""


@pytest.mark.parametrize("root", ["yes", "no"])
@pytest.mark.parametrize("form", ["--output FILE", "--output=FILE"])
@pytest.mark.parametrize("where", ["relative", "absolute"])
def test_the_tables_arrive_where_the_user_asked(
    root: str, form: str, where: str, tmp_path: Path
) -> None:
    """Also if FSServer missed a file, so that the exit code is 1."""
    here = _checkout(tmp_path)
    file = "out.rst" if where == "relative" else str(here / "out.rst")
    done = _bench(tmp_path, here, root, *form.replace("FILE", file).split(), "--quick")
    assert (done.returncode, done.stderr) == (1, "")
    assert (here / "out.rst").read_text("utf-8") == "tables\n"
    given = (tmp_path / "given").read_text("utf-8").split()
    assert given[:3] == ["-m", "benchmarks.growth", "--quick"]
    assert (given[4] == str(here / "out.rst")) is (root == "no")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"tools", "checkout", "copy", "bin", "given", "here"}


@pytest.mark.parametrize("root", ["yes", "no"])
def test_the_tables_that_cannot_arrive_are_refused_first(root: str, tmp_path: Path) -> None:
    here = _checkout(tmp_path)
    for file, why in (("nowhere/out.rst", f"{here}/nowhere is no directory"), ("", "")):
        done = _bench(tmp_path, here, root, "--output", file)
        if why:
            assert (done.returncode, done.stderr) == (2, f"bench: --output: {why}\n")
            assert not (tmp_path / "given").exists()
        else:  # the benchmark says it
            assert (tmp_path / "given").read_text("utf-8").split()[-1] == "--output"


def _checkout(base: Path) -> Path:
    """With the real bench.sh, and stand-ins for what it calls.  Gives another directory."""
    for name in ("tools", "checkout", "copy", "bin", "here"):
        (base / name).mkdir()
    shutil.copy(TOOLS / "bench.sh", base / "tools")
    (base / "tools" / "place.sh").write_text(PLACE, encoding="utf-8")
    python = base / "bin" / "python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    return base / "here"


def _bench(base: Path, here: Path, root: str, *given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(base / "tools" / "bench.sh"), "benchmarks.growth", *given],
        cwd=here,
        env={**os.environ, "BASE": str(base), "ROOT": root, "PATH": _path(base)},
        capture_output=True,
        text=True,
        check=False,
    )


def _path(base: Path) -> str:
    return os.pathsep.join([str(base / "bin"), "/usr/bin", "/bin"])
