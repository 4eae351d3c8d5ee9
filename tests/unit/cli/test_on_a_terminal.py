"""What each command shows people, on terminals of three widths, and in a pipe.

The paths, the reasons and the names are long, and some have characters of two columns.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from omero_fs_plugin.checks import error, ok, warning
from omero_fs_plugin.cli import (
    audit_text,
    check,
    explain_text,
    outcome,
    published,
    receipt_text,
    report_text,
    users,
)
from omero_fs_plugin.cli.columns import columns
from omero_fs_plugin.cli.report_facts import facts
from omero_fs_plugin.cli.status_text import render
from omero_fs_plugin.cli.terminal import shown
from omero_fs_plugin.dropbox.audit.findings import Finding, Kind
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.journal.seen import Came
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.receipts.proof import Proof
from omero_fs_plugin.dropbox.settling.handover import Left
from omero_fs_plugin.dropbox.userdirs.directories import Finding as Directory
from tests.statuses import a_fileset, a_status

ROOT = "/OMERO/DropBox/amy"
JAPANESE = "\u65e5\u672c\u8a9e\u306e\u9577\u3044\u540d\u524d"
PATHS = {
    "short": f"{ROOT}/a.tif",
    "long": f"{ROOT}/2026-11-28 mice/{'another day/' * 12}a very long name of a file.ome.tif",
    "deep": f"{ROOT}/{'day/' * 40}z.tif",
    "one word": f"{ROOT}/{'x' * 240}.tif",
    "wide": f"{ROOT}/{JAPANESE * 9}/{JAPANESE * 12}.tif",
}
REASON = (
    "OMERO refuses it: the file ends in the middle of a strip, which its tags say is whole; " * 3
)
REMEDY = "copy it again if no program is writing it any more, then `omero fs import --retry 12`"
NOW = 1_790_000_000.0


def of_explain(path: str) -> str:
    found = {
        "path": path,
        "rule": {"user": "default", "directory": f"{path}.d"},
        "user": "amy",
        "id": 12,
        "files": [path, f"{path}2", f"{path}3"],
        "plate": False,
        "stand": "failed",
        "reason": f"{path}: {REASON}",
        "age": 7_300.0,
        "history": [{"at": NOW, "what": f"waits for {path}2, which is not there"}],
        "next": "",
        "remedy": REMEDY,
        "after_import": {"at": NOW, "what": f"moved to {path}.moved"},
        "fileset": 4,
        "images": [{"id": 3, "in_omero": True, "containers": [f"Dataset:{path}"]}],
    }
    return shown(explain_text.lines(found))


def of_explain_of_a_directory(path: str) -> str:
    found = {
        "directories": [path, f"{path}.d"],
        "files": 3016,
        "counts": {"imported": 3000, "failed": 12, "passed over": 4},
        "passed_over": [{"reason": REASON, "files": 4, "for_example": path}],
        "attention": [
            {"id": 12, "path": path, "stand": "failed", "reason": REASON, "remedy": REMEDY}
        ],
    }
    return shown(explain_text.lines(found))


def of_explain_from_afar(path: str) -> str:
    one = {
        "id": 12,
        "stand": "failed",
        "files": [path],
        "more_files": 3,
        "since": NOW,
        "reason": REASON,
        "progress": "",
        "images": [*range(9)],
        "remedy": REMEDY,
    }
    return shown(published.lines_of(one))


def of_receipt(path: str) -> str:
    proofs = [
        Proof(path, 12, why_not=f"{path}: {REASON}"),
        Proof(path, 3_000_000, sha1="0123456789" * 4, images=(3, 4, 5, 6)),
    ]
    containers = {3: [f"Dataset:{path}", "Project:mice"]}
    return receipt_text.as_text(proofs, containers, [path])


def of_report(path: str) -> str:
    came = [
        Came(number, user, ROOT, path, state, REASON, NOW - 60, NOW - 30, None, 3, 12)
        for number, (user, state) in enumerate(
            [("amy", State.FAILED), ("zak", State.WAITING), (JAPANESE, State.FAILED)]
        )
    ]
    told = facts(came, NOW - 7_200, NOW)
    return report_text.as_text(told, [(path, REASON)], f"of amy below {path}")


def of_audit(path: str) -> str:
    record = Record.fresh("/OMERO.server", NOW)
    try:
        record.add(
            Finding(
                Kind.BROKEN_LINK,
                path=path,
                why=REASON,
                user="amy",
                fileset=12,
                server_fileset=4,
                copy=f"{path}.copy",
            )
        )
        record.not_seen(path, REASON)
        args = SimpleNamespace(all=False, yes=False)
        return "\n".join(audit_text.as_text(record, path, 7, [], args))
    finally:
        record.close()


def of_check(path: str) -> str:
    lines = [
        ok("directory of amy", f"{path}: is watched"),
        warning("managed repository", f"{path}: {REASON}", f"free some space below {path}"),
        error("directory of zak", f"{path}: may not be listed", REMEDY),
    ]
    told: list[str] = []
    ctx = SimpleNamespace(dir="/OMERO.server", out=told.append, die=lambda code, text: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "collect", lambda omerodir, limit: lines)
        check.run(
            ctx,
            SimpleNamespace(former=None, fail_on="none", timeout=1.0, json=False, publish=False),
        )
    return "\n".join(told)


def of_status(path: str) -> str:
    failed = a_fileset(id=12, stand="failed", files=[path], reason=REASON, remedy=REMEDY)
    held = a_fileset(
        id=13,
        stand="held up",
        files=[path],
        reason=f"waits for {path}2",
        deadline=80_000.0,
        remedy=REMEDY,
        user=JAPANESE,
    )
    moved = {"left." + path: REASON, "away." + path: "its disk does not answer, since 12 s ago"}
    trouble = [{"kind": "down", "what": f"{path}: {REASON}"}]
    return render(a_status(failed, held, dropbox=moved, trouble=trouble), details=True)


def of_users(path: str) -> str:
    return users.render(
        [
            Directory("amy", Path(path), users.State.OWNER, REASON),
            Directory("zak", Path(path), users.State.UNSAFE, REASON),
            Directory("eve", Path(path), users.State.WELL),
        ]
    )


def of_import(path: str) -> str:
    failed = SimpleNamespace(
        id=12,
        state="failed",
        files=[SimpleNamespace(path=path), SimpleNamespace(path=f"{path}2")],
        images=(3, 4),
        reason=REASON,
    )
    left = Left((path, f"{path}2"), f"{path}: {REASON}")
    return shown([outcome.line_of(failed), outcome.left_line(left)])  # type: ignore[arg-type]


COMMANDS: tuple[Callable[[str], str], ...] = (
    of_explain,
    of_explain_of_a_directory,
    of_explain_from_afar,
    of_receipt,
    of_report,
    of_audit,
    of_check,
    of_status,
    of_users,
    of_import,
)
IDS = [command.__name__ for command in COMMANDS]
_STYLES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """Standard output that is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def of(width: int) -> None:
        monkeypatch.setattr(sys, "stdout", Terminal())
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("LINES", "24")
        monkeypatch.setenv("TERM", "xterm")

    return of


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_it_is_laid_out_for_the_terminal(
    command: Callable[[str], str], width: int, path: str, terminal: Callable[[int], None]
) -> None:
    terminal(10_000)
    known = words_of(_STYLES.sub("", command(path)))
    terminal(width)
    lines = _STYLES.sub("", command(path)).splitlines()
    assert [line for line in lines if columns(line) > width] == []
    assert [line for line in lines if line != line.rstrip()] == []
    # A word of the text is whole; a path may be cut within a word only if it has one word.
    told = {word for line in lines for word in words_of(line)}
    assert {word for word in told - known if not set(word) <= {"x"}} == set()
    assert (words_of(REASON) | words_of(REMEDY)) & known <= told


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_in_a_pipe_nothing_is_cut_and_no_line_is_broken(
    command: Callable[[str], str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = command(path)
    assert "\x1b" not in text
    assert "..." not in text
    assert path in text or path.removeprefix(f"{ROOT}/") in text
    assert REASON.strip() in text
