"""FSServer's entry point under IceGrid: ``python -m omero_fs_plugin.monitor.server``."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from omero_fs_plugin import icegrid, niceness
from omero_fs_plugin.config.changes import changed_monitoring, digest
from omero_fs_plugin.config.parsing import read, read_monitoring
from omero_fs_plugin.config.path_map import for_fsserver, translated
from omero_fs_plugin.metrics.publisher import Publisher

from .access import Access
from .families import Families
from .files import Files, Root
from .guests import of_calls
from .kernel import collector
from .kernel.observers import Observing
from .monitors import Monitors
from .record.record import open_record
from .servants import FileServer, IceClient, MonitorServer
from .tracking.arrivals import Timing

log = logging.getLogger(__name__)

ADAPTER = "omerofs.FSServer"
ENDPOINTS = "tcp -h 127.0.0.1"

# Between two checks whether a monitor hangs on a disk that does not answer.
PULSE = 5.0  # s
METRICS_S = 1.0  # that a stop waits for the disk on which the metrics lie
# A thread that works on, as the record's may, lets another one run after this time.  A monitor's
# thread asks for that after each look at a file, and Python's own 5 ms would be too long.
SWITCH = 0.0005  # s


class FSServer:
    """The running server: its adapter, servants and monitors."""

    def __init__(self, communicator: Any) -> None:
        properties = communicator.getProperties()
        for key, value in (
            (f"{ADAPTER}.Endpoints", ENDPOINTS),
            # So that no call has to wait for a start that looks at a large tree, or for many calls
            # about disks that do not answer.  Each of these holds a thread for a short time.
            (f"{ADAPTER}.ThreadPool.Size", "2"),
            (f"{ADAPTER}.ThreadPool.SizeMax", "64"),
        ):
            if not properties.getProperty(key):
                properties.setProperty(key, value)
        self._node = icegrid.node_of(properties.getProperty("Ice.Admin.ServerId"))
        given = read_monitoring(properties.getPropertiesForPrefix("omero."), self._node)
        self._given = given
        self._seen = digest(properties.getPropertiesForPrefix("omero."))
        self._restart = ""  # which properties have changed and take effect only at the next start
        self.record = open_record(given.record)
        self.monitors = Monitors(
            Timing(poll=given.poll_interval),
            record=self.record,
            client_timeout=given.client_timeout,
            observing=Observing(given.observer),
        )
        self._families: Families | None = None
        self._publisher = Publisher(given.metrics, self._collect)
        problems = {f"problem.{n}": str(p) for n, p in enumerate(given.problems, 1)}
        for problem in problems.values():
            log.error("%s; the default is used", problem)
        communicator.addAdminFacet(
            icegrid.StatusFacet(
                lambda: {
                    **problems,
                    **self.monitors.figures(),
                    "seen": self._seen,
                    "restart": self._restart,
                    "metrics": self._publisher.trouble,
                }
            ),
            icegrid.STATUS_FACET,
        )
        self.adapter = communicator.createObjectAdapter(ADAPTER)
        self._watched = _watched(properties, self._node)
        access, calls = Access(self._given_to_all), of_calls()
        self.adapter.add(
            MonitorServer(self.monitors, sys.platform, access, calls),
            communicator.stringToIdentity(given.server_id),
        )
        self.adapter.add(
            FileServer(
                Files(self._roots),
                Files(self._roots_for_all),
                access,
                calls,
                far_may_read=not self._node,
            ),
            communicator.stringToIdentity(given.file_server_id),
        )
        # Before anybody can ask for them: a client that is told something may ask at once.
        self.monitors.restore(lambda address: IceClient(communicator.stringToProxy(address)))
        icegrid.when_changed(communicator, lambda: self._changed(communicator))
        self._stopped = threading.Event()
        self._pulse = threading.Thread(target=self._check_pulses, name="pulse", daemon=True)
        self._pulse.start()
        self._publisher.start()
        self.adapter.activate()
        log.info("FSServer is ready")

    def _changed(self, communicator: Any) -> None:
        properties = icegrid.omero_properties(communicator)
        changed = changed_monitoring(self._given, read_monitoring(properties, self._node))
        self._restart = ", ".join(changed)
        if changed:
            log.warning("changed; takes effect at the next start of FSServer: %s", self._restart)
        self._seen = digest(properties)
        self._watched = _watched(communicator.getProperties(), self._node)

    def _given_to_all(self) -> list[str]:
        """The directories that clients of every account may watch and read."""
        return [*self._watched, *self._given.monitor_roots, *self._given.file_server_roots]

    def _roots_for_all(self) -> list[Root]:
        """As Files takes it; first those that are known to hang."""
        given = [Root(os.fsencode(path), deep=True) for path in self._given_to_all()]
        return [*(root for root in self.monitors.roots() if _is_in(root, given)), *given]

    def _roots(self) -> list[Root]:
        """For our own account."""
        return [*self.monitors.roots(), *self._roots_for_all()]

    def _collect(self) -> bytes:
        if self._families is None:
            self._families = Families(self.monitors.figures)
        return self._families.collect()

    def _check_pulses(self) -> None:
        while not self._stopped.wait(PULSE):
            try:
                self.monitors.check_pulse(time.monotonic())
            except Exception:
                log.exception("checking whether monitors hang failed")

    def stop(self) -> None:
        """As icegrid.Service.stop."""
        self.adapter.deactivate()
        self._stopped.set()
        self._pulse.join()
        self._publisher.stop(METRICS_S)
        self.monitors.close()
        self.adapter.waitForDeactivate()
        if self.record is not None:
            self.record.close()
        log.info("FSServer has stopped")


def _watched(properties: Any, node: str) -> list[str]:
    """What DropBox watches with this FSServer, also where a rule is wrong in another way."""
    settings = read(properties.getPropertiesForPrefix("omero."))
    here = for_fsserver(settings.path_map, node)
    rules = (*settings.rules, *settings.unusable)
    return [translated(str(rule.watch_dir), here) for rule in rules if rule.node == node]


def _is_in(root: Root, others: Iterable[Root]) -> bool:
    return any(
        root.path == other.path or root.path.startswith(other.path.rstrip(b"/") + b"/")
        for other in others
    )


def _below_omero(communicator: Any) -> FSServer:
    """Half as far below as DropBox: clients wait for what it tells.

    Late, it would also lose events: the kernel's queue has an end.
    """
    given = read_monitoring(icegrid.omero_properties(communicator))
    niceness.lower((given.nice + 1) // 2)
    collector.seldom()
    return FSServer(communicator)


def main() -> int:
    """Runs FSServer, and returns the exit code."""
    sys.setswitchinterval(SWITCH)
    return icegrid.run(_below_omero)


if __name__ == "__main__":
    sys.exit(main())
