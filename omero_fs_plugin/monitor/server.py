"""FSServer's entry point under IceGrid: ``python -m omero_fs_plugin.monitor.server``."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Any

from omero_fs_plugin import icegrid
from omero_fs_plugin.config.changes import changed_monitoring, digest
from omero_fs_plugin.config.parsing import read_monitoring

from .files import Files, Root
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


class FSServer:
    """The running server: its adapter, servants and monitors."""

    def __init__(self, communicator: Any) -> None:
        properties = communicator.getProperties()
        for key, value in (
            (f"{ADAPTER}.Endpoints", ENDPOINTS),
            # So that no call has to wait for a start that looks at a large tree.
            (f"{ADAPTER}.ThreadPool.Size", "2"),
            (f"{ADAPTER}.ThreadPool.SizeMax", "16"),
        ):
            if not properties.getProperty(key):
                properties.setProperty(key, value)
        given = read_monitoring(properties.getPropertiesForPrefix("omero."))
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
        lasting = [Root(os.fsencode(path), deep=True) for path in given.file_server_roots]
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
                }
            ),
            icegrid.STATUS_FACET,
        )
        self.adapter = communicator.createObjectAdapter(ADAPTER)
        self.adapter.add(
            MonitorServer(self.monitors, sys.platform),
            communicator.stringToIdentity(given.server_id),
        )
        self.adapter.add(
            FileServer(Files(lambda: [*lasting, *self.monitors.roots()])),
            communicator.stringToIdentity(given.file_server_id),
        )
        # Before anybody can ask for them: a client that is told something may ask at once.
        self.monitors.restore(lambda address: IceClient(communicator.stringToProxy(address)))
        icegrid.when_changed(communicator, lambda: self._changed(communicator))
        self._stopped = threading.Event()
        self._pulse = threading.Thread(target=self._check_pulses, name="pulse", daemon=True)
        self._pulse.start()
        self.adapter.activate()
        log.info("FSServer is ready")

    def _changed(self, communicator: Any) -> None:
        properties = communicator.getProperties().getPropertiesForPrefix("omero.")
        changed = changed_monitoring(self._given, read_monitoring(properties))
        self._restart = ", ".join(changed)
        if changed:
            log.warning("changed; takes effect at the next start of FSServer: %s", self._restart)
        self._seen = digest(properties)

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
        self.monitors.close()
        self.adapter.waitForDeactivate()
        if self.record is not None:
            self.record.close()
        log.info("FSServer has stopped")


def main() -> int:
    """Runs FSServer, and returns the exit code."""
    return icegrid.run(FSServer)


if __name__ == "__main__":
    sys.exit(main())
