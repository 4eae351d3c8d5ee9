"""The metrics of FSServer, for Prometheus (omero.fs.metrics): its monitors and watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from omero_fs_plugin.errors import ConfigurationError

from .kernel.limits import instances, watches

_MONITOR = "monitor."  # before the figures of each monitor, in what `Monitors.figures` gives


class Families:
    """All metrics of FSServer.  One thread calls `collect`."""

    def __init__(self, figures: Callable[[], Mapping[str, str]]) -> None:
        """`figures`: as `Monitors.figures`.

        Raises ConfigurationError without prometheus_client.
        """
        try:
            from prometheus_client import CollectorRegistry, Gauge
        except ImportError as error:
            raise ConfigurationError(
                f"{error}: pip install 'omero-fs-plugin[metrics]', or unset omero.fs.metrics"
            ) from error
        self.registry = CollectorRegistry(auto_describe=False)
        self._figures = figures

        def make(name: str, meaning: str) -> Gauge:
            return Gauge(f"omero_fs_{name}", meaning, registry=self.registry)

        self.monitors = make("monitors", "Monitors, of DropBox and of other clients.")
        self.lost = make("monitors_unreachable", "Monitors whose directory does not answer.")
        self.watches = make("inotify_watches", "inotify watches that FSServer has.")
        self.watches_limit = make("inotify_watches_limit", "As many may one account have.")
        self.instances_limit = make("inotify_instances_limit", "As many monitors may watch.")
        self.polled = make("polled_directories", "Directories that are polled instead.")
        self.waiting = make("events_waiting", "Events that clients have not been told of yet.")
        self.away = make("client_away_seconds", "For how long the longest silent client is away.")

    def collect(self) -> bytes:
        """The text, in Prometheus' format."""
        from prometheus_client import generate_latest

        told = self._figures()
        self.monitors.set(int(told.get("monitors", "0")))
        self.lost.set(sum(value == "false" for value in _each(told, "reachable")))
        for gauge, name in (
            (self.watches, "watches"),
            (self.polled, "polled"),
            (self.waiting, "waiting"),
        ):
            gauge.set(sum(map(int, _each(told, name))))
        self.away.set(max(map(float, _each(told, "away")), default=0.0))
        for gauge, limit in ((self.watches_limit, watches()), (self.instances_limit, instances())):
            if limit is not None:
                gauge.set(limit.most)
        return bytes(generate_latest(self.registry))


def _each(told: Mapping[str, str], name: str) -> list[str]:
    return [v for k, v in told.items() if k.startswith(_MONITOR) and k.endswith(f".{name}")]
