"""The role for Ansible, by Ansible itself: its syntax, its rules, and what it does on this machine.

Everything that the role touches lies in a directory: an OMERO.server as OMERO's own role lays it
out, and the directory of systemd.  Nothing is restarted.
"""

from __future__ import annotations

import getpass
import grp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import CHECKOUT
from tests.conftest import EXTERNAL

from .server import search_path

ROLE = CHECKOUT / "deploy" / "ansible"
TOOLS = Path(os.environ.get("OMERO_FS_TEST_ANSIBLE", "")) / "bin"
_TEMPLATES = ("templates.xml", "default.xml")

pytestmark = [
    pytest.mark.skipif(EXTERNAL in os.environ, reason="it needs no server"),
    pytest.mark.skipif(not (TOOLS / "ansible-playbook").exists(), reason="no Ansible here"),
]


class Target:
    """A machine with OMERO.server, as a directory."""

    def __init__(self, top: Path) -> None:
        self.top, self.omerodir = top, top / "OMERO.server"
        omero = shutil.which("omero", path=search_path())
        assert omero
        command = [omero, "fs", "sandbox", "create", "--no-install", str(self.omerodir)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        (top / "config").mkdir()
        shutil.copytree(ROLE, top / "playbooks")
        # OMERO's own role is not ours to try: it has been run.
        others = top / "playbooks" / "roles" / "ome.omero_server" / "tasks"
        others.mkdir(parents=True)
        (others / "main.yml").write_text("---\n")
        self.stock = {name: self.template(name).read_bytes() for name in _TEMPLATES}
        self.drop_in = top / "systemd" / "omero-server.service.d" / "omero-fs.conf"
        self.properties = top / "config" / "50-omero-fs.omero"

    def template(self, name: str) -> Path:
        return self.omerodir / "etc" / "templates" / "grid" / name

    def tool(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "ANSIBLE_HOME": str(self.top / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            [TOOLS / name, *words],
            cwd=self.top / "playbooks",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
            check=False,
        )

    def play(self) -> dict[str, int]:
        """Runs the role; how many tasks were `ok`, have `changed` something, and so on."""
        group = grp.getgrgid(os.getegid()).gr_name
        said = {
            "omero_fs_basedir": self.top,
            "omero_fs_virtualenv": sys.prefix,
            "omero_fs_package": "pip",  # which is there: this package is, too
            "omero_fs_system_user": getpass.getuser(),
            "omero_fs_system_group": group,
            "omero_fs_admin_user": getpass.getuser(),
            "omero_fs_admin_group": group,
            "omero_fs_systemd": self.top / "systemd",
            "omero_fs_restart": "false",
            "ansible_become": "false",
            "ansible_python_interpreter": sys.executable,
        }
        play = self.top / "playbooks" / "play.yml"
        play.write_text(
            "- hosts: all\n  connection: local\n  roles:\n    - role: omero_fs\n      vars:\n"
            "        omero_fs_config: {dirImportWait: 7, target: 'Dataset:name:{dir1}'}\n"
        )
        words = [word for name, value in said.items() for word in ("-e", f"{name}={value}")]
        done = self.tool("ansible-playbook", "-i", "localhost,", *words, str(play))
        assert done.returncode == 0, done.stdout + done.stderr
        return {
            name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", done.stdout.split("RECAP")[1])
        }


@pytest.fixture
def target(tmp_path: Path) -> Target:
    if os.geteuid() == 0:
        pytest.skip("`omero` refuses to run as root")
    return Target(tmp_path)


def test_ansible_understands_it(target: Target) -> None:
    done = target.tool("ansible-playbook", "--syntax-check", "-i", "omero,", "example.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_keeps_the_rules_of_ansible_lint(target: Target) -> None:
    done = target.tool(
        "ansible-lint", "--offline", "--strict", "-q", "roles/omero_fs", "example.yml"
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_second_run_changes_nothing_and_an_upgrade_is_mended(target: Target) -> None:
    first = target.play()
    assert first["failed"] == 0 and first["changed"] >= 4
    installed = {name: target.template(name).read_bytes() for name in _TEMPLATES}
    assert installed != target.stock
    assert f"ExecStartPre=-{sys.prefix}/bin/omero fs install" in target.drop_in.read_text()
    assert target.properties.stat().st_mode & 0o777 == 0o640
    loaded = subprocess.run(
        [str(target.omerodir / "bin" / "omero"), "load", str(target.properties)],
        env={**os.environ, "OMERODIR": str(target.omerodir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert "Dataset:name:{dir1}" in (target.omerodir / "etc/grid/config.xml").read_text()
    assert target.play()["changed"] == 0
    for name, content in target.stock.items():  # as an upgrade unpacks them
        target.template(name).write_bytes(content)
    assert target.play()["changed"] == 1
    assert {name: target.template(name).read_bytes() for name in _TEMPLATES} == installed
