"""`omero` run warm is `omero`: its arguments, its environment, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.warm import Warm

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="omero refuses to run as root")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("warm")
    (place / "etc" / "grid").mkdir(parents=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "OMERODIR": str(place),
        "OMERO_USERDIR": str(place / "user"),
    }


@pytest.fixture(scope="module")
def warm(environment: dict[str, str]) -> Iterator[Warm]:
    warm = Warm(environment)
    yield warm
    warm.close()


def cold(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    command = [str(Path(sys.executable).with_name("omero")), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("fs", "status", "--json"), ("no", "such", "command")],
    ids=" ".join,
)
def test_it_ends_as_when_people_run_it(
    warm: Warm, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    done = warm.run(arguments, limit=60.0)
    assert (done.returncode, done.stdout, done.stderr) == cold(environment, *arguments)


def test_what_one_sets_the_next_finds(warm: Warm, environment: dict[str, str]) -> None:
    assert warm.run(["config", "set", "omero.fs.readers", "mine.txt"], limit=60.0).returncode == 0
    assert warm.run(["config", "get", "omero.fs.readers"], limit=60.0).stdout == "mine.txt\n"
    assert cold(environment, "config", "get", "omero.fs.readers")[1] == "mine.txt\n"


def test_several_at_once(warm: Warm) -> None:
    # Not `config get`: it locks config.xml and ends with 112 if another has the lock.
    with ThreadPoolExecutor(4) as pool:
        asked = [["fs", "status", "--limit", name] for name in ("a", "b", "c", "d")]
        ends = list(pool.map(lambda words: warm.run(words, limit=60.0), asked))
    assert [done.returncode for done in ends] == [2] * 4
    for done, words in zip(ends, asked, strict=True):
        assert f"not {words[-1]!r}" in done.stderr


def test_what_does_not_end_is_killed(warm: Warm, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody writes into it
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(["load", str(pipe)], limit=0.0)
