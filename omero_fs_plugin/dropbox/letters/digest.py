"""What a person is told of files: what arrived, what is held up, what failed.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.outbox import ADMINS
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.situation import Stand, below, standing, without_paths
from omero_fs_plugin.names import printable

SHOWN = 20  # filesets of each kind; of the others the number is told
_IMAGES = 5  # links of one fileset
# Held up by something that ends by itself, soon.
_SOON = ("in its quiet period", "waits for the end of an")
FAILED, HELD, ARRIVED, SKIPPED = "failed", "held_up", "arrived", "skipped"
_KINDS = {
    Stand.FAILED: FAILED,
    Stand.HELD: HELD,
    Stand.IMPORTED: ARRIVED,
    Stand.SKIPPED: SKIPPED,
}


def is_news(after: str, reason: str) -> bool:
    """Whether an event with this state and reason is for the person whose file it is."""
    return after in ("imported", "failed", "skipped") or is_trouble(after, reason)


def is_trouble(after: str, reason: str) -> bool:
    """Whether an event with this state and reason is for the admins too."""
    if after in ("waiting", "queued"):
        return bool(reason) and not any(soon in reason for soon in _SOON)
    return after == "failed"


class Digest:
    """Collects what one person is told.  It keeps few filesets, however many it is given."""

    def __init__(self, person: str, settings: Settings, now: float) -> None:
        """`now`: s since the epoch."""
        self._person = person
        self._settings = settings
        self._now = now
        self._counts = dict.fromkeys(_KINDS.values(), 0)
        self._shown: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS.values()}

    def add(self, filesets: Iterable[Seen]) -> None:
        """Filesets as they are now."""
        for seen in filesets:
            stands = standing(seen, self._settings, self._now)
            kind = _KINDS.get(stands.stand)
            if kind is None or (kind == HELD and any(soon in seen.reason for soon in _SOON)):
                continue
            self._counts[kind] += 1
            if len(self._shown[kind]) < SHOWN:
                self._shown[kind].append(self._entry(seen, stands.what, stands.remedy))

    def _entry(self, seen: Seen, what: str, remedy: str) -> dict[str, Any]:
        name = below(seen.files[0] if seen.files else seen.path, seen.root)
        web = self._settings.web_address
        return {
            "id": seen.id,
            "user": printable(seen.user),
            "path": printable(name),
            "files": len(seen.files),
            "images": list(seen.images),
            "links": [f"{web}/webclient/?show=image-{image}" for image in seen.images[:_IMAGES]]
            if web
            else [],
            "why": printable(without_paths(what, seen.files, seen.root)),
            "remedy": remedy,
        }

    def content(self) -> dict[str, Any] | None:
        """What is told, as a JSON object; None if there is nothing to tell."""
        counts = self._counts
        of_admins = self._person == ADMINS
        wanted = (FAILED, HELD) if of_admins else tuple(counts)
        if not any(counts[kind] for kind in wanted):
            return None
        shown = {kind: self._shown[kind] if kind in wanted else [] for kind in counts}
        return {
            "kind": "digest",
            "person": self._person,
            "time": datetime.fromtimestamp(self._now, timezone.utc).isoformat(timespec="seconds"),
            "counts": dict(counts),
            **shown,
        }
