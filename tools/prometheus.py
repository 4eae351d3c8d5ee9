"""A real Prometheus for a while: Debian's package, which scrapes what it is told to."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE_S = 60.0  # for its start, and for one answer

Point = tuple[float, float]  # s since the epoch, and the value


class NoAnswer(Exception):
    """Prometheus did not start, or refused a question.  The text says why."""


@dataclass(frozen=True)
class Series:
    """What a query gives for one set of labels."""

    labels: dict[str, str]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Prometheus:
    """The running one."""

    address: str

    def over_time(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """The value of an expression at each `step` (s) from `start` to `end` (s since the epoch).

        Raises NoAnswer.
        """
        asked = {"query": expression, "start": start, "end": end, "step": step}
        return [
            Series(
                {key: value for key, value in one["metric"].items() if key != "__name__"},
                tuple((float(at), float(value)) for at, value in one["values"]),
            )
            for one in self._ask("query_range", asked)["result"]
        ]

    def targets(self) -> dict[str, str]:
        """Each address that it scrapes -> up, down, or unknown."""
        found = self._ask("targets", {"state": "active"})["activeTargets"]
        return {one["labels"]["instance"]: one["health"] for one in found}

    def ready(self) -> bool:
        """Whether it has started."""
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _ask(self, what: str, values: dict[str, Any]) -> Any:
        url = f"{self.address}/api/v1/{what}?{urllib.parse.urlencode(values)}"
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise NoAnswer(f"{values}: {error.read().decode(errors='replace')}") from error
        return told["data"]


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scraping(place: Path, ports: Sequence[int], every_s: int) -> Iterator[Prometheus]:
    """Prometheus scrapes the `ports` of this machine.  Its data is below `place`.

    Raises NoAnswer.
    """
    place.mkdir(parents=True, exist_ok=True)
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    configuration, log = place / "prometheus.yml", place / "prometheus.log"
    configuration.write_text(
        f"global:\n  scrape_interval: {every_s}s\n  scrape_timeout: {every_s}s\n"
        "scrape_configs:\n  - job_name: omero-fs\n    static_configs:\n"
        f"      - targets: [{targets}]\n",
        encoding="utf-8",
    )
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with log.open("wb") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, cwd=place)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + _PATIENCE_S
        while not running.ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoAnswer(log.read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE_S)
