"""Runs refusals.py: one case after the other, with users, access lists and mounts of its own.

In a namespace of its own DropBox runs as an account that is neither root nor the owner of zak's
files, and root there changes rights and mounts.  As root, or as who has subordinate ids
(/etc/subuid).  All together: pytest tests/integration/dropbox/test_refusals.py -rP
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests import inner
from tests.integration.hanging.share import TOP

CASES = ["access_lists[a file]"]
LONG = [
    *("access_lists[the directory]", "access_lists[a directory above]"),
    *("read_only[met]", "read_only[grouped]", "read_only_while_it_is_put_into_quarantine"),
    *("a_full_quarantine", "originals_on_what_became_read_only"),
]
PATIENCE = 180.0  # s

# Root there does what it reads from one FIFO, and says in the other how that ended.
_ROOT = """
set -e
mount -t tmpfs -o mode=1777 none /mnt
mkfifo -m 666 /mnt/ask /mnt/told
while true; do
    while read -r line; do
        code=0
        sh -c "$line" >/mnt/said 2>&1 || code=$?
        echo "$code" >/mnt/told
    done </mnt/ask
done &
serving=$!
code=0
setpriv --reuid=2 --regid=2 --clear-groups "$@" || code=$?
kill "$serving"
exit "$code"
"""


def _inside() -> list[str]:
    alone = ["unshare", "--mount"]
    return alone if os.geteuid() == 0 else [*alone, "--user", "--map-root-user", "--map-auto"]


@cache
def _missing() -> str:
    """Why there can be no such namespace; empty if there can."""
    for program, package in (("setfacl", "acl"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install {package}"
    tried = (
        "mount -t tmpfs none /mnt && touch /mnt/a && chown 1:1 /mnt/a && setfacl -m u:2:r /mnt/a"
    )
    done = subprocess.run(
        [*_inside(), "sh", "-c", tried], capture_output=True, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.long) for case in LONG)]
)
def test_it_refuses_and_gives_again(case: str) -> None:
    if why := _missing():
        pytest.skip(f"no second account and no mount here: {why}")
    module = Path(__file__).with_name("refusals.py")
    options = ["-s", "--basetemp=/mnt/base", "-o", f"faulthandler_timeout={PATIENCE * 0.7:g}"]
    with inner.command(*options, f"{module}::test_{case}") as command:
        printed = _run(command)
    told = (line for line in printed.splitlines(keepends=True) if line.startswith("measured"))
    sys.stdout.writelines(told)


def _run(command: list[str]) -> str:
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *_inside(), "sh", "-c", _ROOT, "sh", *command],
        cwd=TOP,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/mnt", "TMPDIR": "/mnt"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        pytest.fail(f"not done after {PATIENCE:g} s\n{printed}", pytrace=False)
    if process.returncode:
        pytest.fail(printed, pytrace=False)
    return printed
