"""docs/status-80x24.txt: what `omero fs status --user amy` shows on a terminal of 80 columns.

It is drawn by the command's own code, from filesets that are made up here: `make pictures`.
"""

from __future__ import annotations

from pathlib import Path

from tests.statuses import a_fileset, a_status, on_a_terminal

SCREEN = Path(__file__).parent.parent / "docs" / "status-80x24.txt"
WIDTH = 80  # columns
_ROOT = "/OMERO/DropBox/amy"

FILESETS = (
    a_fileset(
        id=41, stand="failed", files=[f"{_ROOT}/2026-11-28 mice/stack 7.tif"],
        age=7300.0,
        reason=f"{_ROOT}/2026-11-28 mice/stack 7.tif: it is cut short: it has 1048576 bytes",
        remedy="copy it again, or `omero fs forget 41`",
    ),
    a_fileset(
        id=44, stand="held up", files=[f"{_ROOT}/plate 3/plate.companion.ome"],
        age=600.0,
        reason=f"waits for {_ROOT}/plate 3/B07.ome.tif", deadline=85_800.0,
        remedy="copy the missing files there",
    ),
    a_fileset(
        id=46, stand="importing", files=[f"{_ROOT}/overnight.lif"],
        progress={"done": 2_500_000_000, "total": 10_000_000_000, "rate": 5e7, "left": 150.0},
    ),
    a_fileset(
        id=47, stand="settling", files=[f"{_ROOT}/live.nd2"],
        reason="until it has been quiet for 60 s", age=5.0,
    ),
    a_fileset(
        id=45, stand="imported", files=[f"{_ROOT}/cells/cell 12.czi"],
        images=[3012], age=95.0,
    ),
    a_fileset(
        id=43, stand="imported", files=[f"{_ROOT}/cells/cell 11.czi"],
        images=[3008, 3009], age=230.0,
    ),
)  # fmt: skip


def screen() -> str:
    """The screen."""
    status = a_status(*FILESETS, user="amy", dropbox={}, watched=[], monitors=[])
    status["summary"]["last_import_age"] = 95.0
    return "\n".join(on_a_terminal(status, WIDTH)) + "\n"


def main() -> None:
    """Writes it."""
    SCREEN.write_text(screen(), encoding="utf-8")


if __name__ == "__main__":
    main()
