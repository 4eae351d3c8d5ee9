"""Our image and its compose file: what they name is in the repository, and sets what it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from omero_fs_plugin.checks.next_start import property_of, variables
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import PREFIX
from tests import CHECKOUT

DOCKER = CHECKOUT / "docker"
LINES = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
_NO_CACHES = shutil.ignore_patterns("__pycache__")
SCRIPTS = ("entrypoint.sh", "startup/55-omero-fs.sh")


def told(instruction: str) -> list[list[str]]:
    """The words of each such line of the Dockerfile."""
    begin = f"{instruction} "
    return [shlex.split(line.removeprefix(begin)) for line in LINES if line.startswith(begin)]


def test_what_is_copied_is_there() -> None:
    copied = [word for words in told("COPY") for word in words[:-1] if not word.startswith("--")]
    assert {"omero_fs_plugin", "omero", "grid", "setup.py"} <= set(copied)
    assert [one for one in copied if not (CHECKOUT / one).exists()] == []


def test_the_package_can_be_built_from_what_is_copied(tmp_path: Path) -> None:
    """The image is built from these files alone."""
    source = tmp_path / "source"
    for words in told("COPY"):
        *names, place = (word for word in words if not word.startswith("--"))
        if place.startswith("/opt/setup/omero-fs-plugin/"):
            below = place.removeprefix("/opt/setup/omero-fs-plugin/")
            for name in names:
                if (CHECKOUT / name).is_dir():
                    shutil.copytree(CHECKOUT / name, source / below, ignore=_NO_CACHES)
                else:
                    source.mkdir(exist_ok=True)
                    shutil.copy2(CHECKOUT / name, source / name)
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", str(tmp_path)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        names = built.namelist()
    assert {"omero/plugins/omero_fs.py", "omero_fs_plugin/grid/omero-fs.xml"} <= set(names)
    assert "omero_fs_plugin/dropbox/server.py" in names


def test_the_extras_are_those_of_the_package() -> None:
    (extras,) = re.findall(r"omero-fs-plugin\[([\w,]+)\]", "\n".join(LINES))
    setup = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    for extra in extras.split(","):
        assert f'"{extra}": [' in setup


def test_it_ends_as_the_user_of_the_image() -> None:
    assert [words[0] for words in told("USER")] == ["root", "omero-server"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_understands_it(script: str) -> None:
    subprocess.run(["bash", "-n", str(DOCKER / script)], check=True, timeout=60)


def test_the_services_of_the_compose_file() -> None:
    services = COMPOSE["services"]
    assert services.keys() == {"database", "omeroserver", "omeroweb"}
    server = services["omeroserver"]
    top = (DOCKER / server["build"]["context"]).resolve()
    assert top == CHECKOUT.resolve() and (top / server["build"]["dockerfile"]).is_file()
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
    assert services["omeroweb"]["environment"]["OMEROHOST"] in services
    environment = server["environment"]
    assert environment["CONFIG_omero_db_host"] in services
    # Docker kills ten seconds after its signal, unless more is asked for.
    assert int(server["stop_grace_period"].removesuffix("s")) > 10


def test_its_variables_set_properties_that_there_are() -> None:
    environment = COMPOSE["services"]["omeroserver"]["environment"]
    assert list(variables(environment)) == []
    ours = {key: value for name, value in environment.items() if (key := property_of(name))}
    ours = {key: value for key, value in ours.items() if key.startswith(PREFIX)}
    assert ours and not read(ours).problems
