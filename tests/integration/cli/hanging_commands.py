"""Commands by hand while zak's share hangs: each ends, names his directory, and tells the rest.

test_hanging_commands.py runs this in a mount namespace and a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.cli import disks, users
from omero_fs_plugin.cli.disks import NO_ANSWER
from tests.integration.hanging.share import Share
from tests.integration.whole import Whole

from .test_commands_on_sets import runner

LIMIT = 1.0  # s
SOON = 10.0  # s; much more than the limit, much less than for ever


def test_each_ends_and_tells_the_rest(
    tmp_path: Path, make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "LIMIT_S", LIMIT)
    zak = tmp_path / "OMERO" / "DropBox" / "zak"
    with Share(tmp_path / "behind", zak) as share:
        whole = make_whole(pollInterval="0.2")
        whole.until_state("running")
        of_amy = whole.drop("day 1/a.tif")
        of_zak = whole.drop("day 1/z.tif", user="zak")
        whole.until_known(of_amy, of_zak)
        whole.until_settled()
        unmet = whole.drop(".unmet.tif")
        run = runner(whole, monkeypatch)
        monkeypatch.setattr(users, "_experimenters", lambda *_: {"amy": True, "zak": True})
        share.hang()

        def ends(name: str, *arguments: object) -> list[str]:
            began = time.monotonic()
            code, lines = run(name, *arguments)
            took = time.monotonic() - began
            sys.stdout.write(f"measured: {name} ends with {code} after {took:.1f} s\n")
            assert code == NO_ANSWER, lines
            assert took < SOON
            end = [line for line in lines if "the disk does not answer" in line][-1]
            assert end.startswith(str(zak))
            assert whole.dropbox is not None
            return lines

        lines = ends("explain", whole.watch_dir)
        assert lines[0].startswith(str(whole.watch_dir)) and any("imported" in one for one in lines)
        ends("explain", "--user", "zak")
        ends("explain", zak / "unknown.tif")
        told = proofs(ends("receipt", whole.watch_dir, "--json"))
        assert told[str(of_amy)]["safe"]
        assert not told[str(zak)]["safe"] and "does not answer" in told[str(zak)]["why_not"]
        assert str(unmet) in told
        told = proofs(ends("receipt", of_zak, of_amy, "--json"))
        assert told[str(of_amy)]["safe"] and not told[str(of_zak)]["safe"]
        ends("report", "--verify", "--since", "1h")
        ends("import", of_zak)
        lines = ends("explain", of_zak)
        assert any(line.startswith("  now:      imported") for line in lines)  # by the journal
        code, lines = run("explain", of_amy)
        assert code == 0, lines
        share.answer()
        whole.until("all is told again", lambda: run("receipt", of_zak, of_amy)[0] == 0)


def proofs(lines: list[str]) -> dict[str, Any]:
    told, _ = json.JSONDecoder().raw_decode("\n".join(lines))
    return {one["path"]: one for one in told["files"]}
