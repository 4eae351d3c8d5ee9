"""DropBox's metrics: collects what they need from the parts and the journal (omero.fs.metrics)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.processes.counted import JAVA
from omero_fs_plugin.errors import ConfigurationError, JournalError
from omero_fs_plugin.metrics.publisher import Publisher

from .configuration import Configuration
from .parts import Parts

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.metrics.families import Families, Now


class Showing:
    """Collects and publishes.  Rule: it takes no lock that a disk may hold for long."""

    def __init__(
        self,
        parts: Parts,
        configuration: Configuration,
        *,
        troubles: Callable[[], Mapping[str, str]],
        at_work: Callable[[], bool],
        fsservers: Callable[[], Mapping[str, bool]],
    ) -> None:
        """`fsservers`: as Subscriptions.connections."""
        self._parts = parts
        self._configuration = configuration
        self._troubles = troubles
        self._at_work = at_work
        self._fsservers = fsservers
        self._families: Families | None = None
        self.publisher = Publisher(configuration.settings.metrics, self.collect)

    def collect(self) -> bytes:
        """The text of all metrics, now.  Raises ConfigurationError without prometheus_client."""
        now = self._now()
        if self._families is None:
            from omero_fs_plugin.dropbox.metrics.families import Families

            self._families = Families(users=lambda: self._configuration.settings.metrics_users)
        try:
            with glance(self._configuration.settings.journal_url) as look:
                return self._families.collect(look, now(), time.monotonic())
        except JournalError as error:
            more = {"journal": str(error)}
            return self._families.collect(None, now(more), time.monotonic())

    def _now(self) -> Callable[..., Now]:
        try:
            from omero_fs_plugin.dropbox.metrics.families import Now
        except ImportError as error:
            raise ConfigurationError(
                f"{error}: pip install 'omero-fs-plugin[metrics]', or unset omero.fs.metrics"
            ) from error
        parts, rules = self._parts, self._configuration.settings.rules

        def now(more: Mapping[str, str] = {}) -> Now:
            directories = [str(rule.watch_dir) for rule in rules]
            silent = {*parts.lanes.calls.told(), *parts.rescanner.away}
            silent |= {path for path in directories if ROOTS.trouble(path)}
            away, beginning = parts.importers.away, parts.importers.beginning
            return Now(
                troubles={**self._troubles(), **more},
                starting=beginning.lasts(away, time.monotonic()) is not None,
                roots=len(directories),
                unreachable=sum(1 for path in directories if path in silent),
                closed=len(parts.importers.closed()),
                silent=len(silent),
                at_work=self._at_work(),
                rescans=parts.rescanner.ended,
                rescanned=parts.rescanner.last,
                java=JAVA.numbers(),
                fsservers=self._fsservers(),
            )

        return now
