"""`omero fs -h` lists omero-py's subcommands and ours, in whatever order plugins load.

omero-py keeps the directories it reads plugin files from in a set of strings,
so their order follows PYTHONHASHSEED.  Each layout a site can have is built
here and tried with a seed for each order, in processes of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import omero
from tests import CHECKOUT

SITE = Path(omero.__file__).parents[1]

SEEDS = range(32)  # among these there is one for each order of three directories
OMERO_PYS = {"images", "importtime", "logfile", "ls", "mkdir", "rename", "repos", "sets", "usage"}
OURS = {
    *("install", "uninstall", "check", "config", "users"),
    *(
        "status",
        "explain",
        "receipt",
        "report",
        "audit",
        "import",
        "forget",
        "reload",
        "watch",
        "journal",
        "sandbox",
    ),
}
RIVALS = {"rivalry"}

# What the console script `omero` does, but for refusing root, on a sys.path of
# our own making: the checkout may be installed here as well.
OMERO = """
import sys
given, unwanted = sys.argv[1].split(":"), sys.argv[2]
sys.path[:] = given + [p for p in sys.path if p not in (unwanted, "", *given)]
import omero.cli
sys.exit(omero.cli.argv(["omero", *sys.argv[3:]]))
"""

RIVAL = """
from omero.cli import BaseControl

class RivalControl(BaseControl):
    def _configure(self, parser):
        parser.add(parser.sub(), self.rivalry)

    def rivalry(self, args):
        "claims `fs` for itself"

register("fs", RivalControl, "the rival's")
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from, for builds leave things behind."""
    copy = tmp_path_factory.mktemp("source") / "omero-fs-plugin"
    skip = shutil.ignore_patterns(".git", ".*", "__pycache__", "*.egg-info", "tests", "build")
    shutil.copytree(CHECKOUT, copy, ignore=skip)
    return copy


def built(source: Path, hook: str, into: Path) -> zipfile.ZipFile:
    """What the build backend makes: `build_wheel` or `build_editable`."""
    call = f"import sys; from setuptools import build_meta as b; b.{hook}(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", call, str(into)], cwd=source, check=True, capture_output=True
    )
    (wheel,) = into.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(source, "build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def layouts(
    wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Path]]:
    """Name -> what comes first on sys.path."""
    rival = tmp_path_factory.mktemp("rival")
    (rival / "omero" / "plugins").mkdir(parents=True)
    (rival / "omero" / "plugins" / "rival.py").write_text(RIVAL)

    # A site-packages where the wheel was unpacked into omero-py's directories.
    site = tmp_path_factory.mktemp("site")
    for entry in SITE.iterdir():
        if entry.name != "omero" and not entry.name.startswith(("omero_fs_plugin", "__editable__")):
            (site / entry.name).symlink_to(entry)
    for directory in (Path("omero"), Path("omero/plugins")):
        (site / directory).mkdir()
        for entry in (SITE / directory).iterdir():
            if entry.name not in ("plugins", "omero_fs.py", "__pycache__"):
                (site / directory / entry.name).symlink_to(entry)
    wheel.extractall(site)

    return {
        "wheel": [site],
        "editable": [SITE, CHECKOUT],
        "wheel and rival": [site, rival],
        "editable and rival": [rival, SITE, CHECKOUT],
        "wheel and editable": [site, CHECKOUT],
    }


def a_seed_for_each_order(path: list[Path]) -> list[int]:
    """Seeds with which a set of the plugin directories has each of its orders once."""
    wanted = {f"{place}/omero/plugins" for place in (*path, SITE)}
    show = "import sys; print(*set(sys.argv[1:]), sep=chr(10))"
    orders: dict[str, int] = {}
    for seed in SEEDS:
        done = subprocess.run(
            [sys.executable, "-S", "-c", show, *sorted(wanted)],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        )
        orders.setdefault(done.stdout, seed)
    assert len(orders) > 1
    return list(orders.values())


def omero_fs(path: list[Path], seed: int, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMERO")}
    return subprocess.run(
        [sys.executable, "-c", OMERO, ":".join(map(str, path)), str(CHECKOUT), "fs", *words],
        env={**environment, "PYTHONHASHSEED": str(seed)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def listed(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The subcommands in a help text."""
    assert done.returncode == 0, done.stderr
    _, _, tail = done.stdout.partition("  <subcommand>\n")
    subcommands, _, _ = tail.partition("\n\n")
    return {line.split()[0] for line in subcommands.splitlines()}


# The wheel and a rival have the orders of the checkout and a rival: six of three directories.
@pytest.mark.parametrize(
    "layout",
    [
        *("wheel", "editable", "editable and rival"),
        pytest.param("wheel and rival", marks=pytest.mark.long),
    ],
)
def test_both_are_listed_whatever_loads_first(layouts: dict[str, list[Path]], layout: str) -> None:
    seeds = a_seed_for_each_order(layouts[layout])
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda seed: omero_fs(layouts[layout], seed, "-h"), seeds))

    found = [listed(one) for one in done]
    if "rival" in layout:  # whoever won `fs`, ours are there
        assert all(one in (OURS | OMERO_PYS, OURS | RIVALS) for one in found)
    else:
        assert all(one == OURS | OMERO_PYS for one in found)
    assert all(one.stderr == "" for one in done)


def test_a_plugin_file_found_twice_does_no_harm(layouts: dict[str, list[Path]]) -> None:
    done = omero_fs(layouts["wheel and editable"], 0, "-h")

    assert listed(done) == OURS | OMERO_PYS


@pytest.mark.parametrize("layout", ["wheel", "editable"])
def test_a_subcommand_of_each_kind_answers(layouts: dict[str, list[Path]], layout: str) -> None:
    ours = omero_fs(layouts[layout], 0, "install", "-h")
    theirs = omero_fs(layouts[layout], 0, "repos", "-h")

    assert ours.returncode == theirs.returncode == 0
    assert "omero admin restart" in ours.stdout
    assert "--managed" in theirs.stdout


@pytest.mark.parametrize("layout", ["wheel", "editable"])
def test_install_finds_the_fragment(
    layouts: dict[str, list[Path]], layout: str, tmp_path: Path
) -> None:
    site = CHECKOUT if layout == "editable" else layouts[layout][0]
    where = f"import sys; sys.path.insert(0, {str(site)!r}); " + textwrap.dedent(
        """
        from omero_fs_plugin.deployment.installation import fragment_path
        print(fragment_path())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", where], cwd="/", capture_output=True, text=True, check=True
    )
    fragment = Path(done.stdout.strip())

    assert fragment.is_relative_to(site)
    assert fragment.read_bytes() == (CHECKOUT / "grid" / "omero-fs.xml").read_bytes()


def test_what_the_wheel_carries(source: Path, wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())

    assert {
        "omero/plugins/omero_fs.py",
        "omero_fs_plugin/grid/omero-fs.xml",
        "omero_fs_plugin/py.typed",
        "omero_fs_plugin/cli/install.py",
        "omero_fs_plugin/monitor/server.py",
        "omero_fs_plugin/dropbox/server.py",
    } <= names
    # Both directories are omero-py's, and its __init__.py files stay its own.
    assert [name for name in names if name.startswith("omero/")] == ["omero/plugins/omero_fs.py"]
    assert not [name for name in names if name.startswith(("tests/", "tools/", "grid/"))]
    assert [name for name in names if name.endswith("LICENSE")]
    modules = {str(path.relative_to(source)) for path in (source / "omero_fs_plugin").rglob("*.py")}
    assert modules <= names


def test_an_editable_install_is_a_plain_path(source: Path, tmp_path: Path) -> None:
    """`omero` finds no plugin behind an import hook, only in directories on sys.path."""
    editable = built(source, "build_editable", tmp_path)

    (pth,) = [name for name in editable.namelist() if name.endswith(".pth")]
    assert editable.read(pth).decode().split() == [str(source)]
