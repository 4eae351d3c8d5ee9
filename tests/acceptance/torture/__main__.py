"""The campaign at full size: one line of result, exit code 0 when it is faultless."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.dropbox.journal.postgres import running

from .campaign import Campaign
from .grid import grid
from .takeover import LEASE_S, Takeovers, every_point


def main() -> int:
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--filesets", type=int, default=1000, help="to drop (1000)")
    parser.add_argument("--users", type=int, default=5, help="who drop them (5)")
    parser.add_argument("--kills", type=int, default=60, help="at random, beside fault points (60)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of every choice")
    parser.add_argument("--keep", action="store_true", help="leave the sandbox, to look into")
    parser.add_argument(
        "--takeovers",
        choices=["sqlite", "postgresql"],
        help="two DropBoxes on a journal there, stopped and woken at every point; no kills",
    )
    parser.add_argument("--quiet", action="store_true", help="tell nothing but the result")
    options = parser.parse_args()
    users = [f"user{n}" for n in range(1, options.users + 1)]
    directory = Path(tempfile.mkdtemp(prefix="omero-fs-torture-"))

    begun = time.monotonic()

    def say(text: str) -> None:
        if not options.quiet:
            print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)  # noqa: T201

    say(f"seed {options.seed}, in {directory}")
    made_of = {"seed": options.seed, "filesets": options.filesets, "say": say}
    wrote: list[str] = []
    if options.takeovers:
        with (
            journal(options.takeovers) as url,
            grid(
                directory, users, quiet_period=0.7, keep=options.keep, journal=url, lease=LEASE_S
            ) as made,
        ):
            takeovers = Takeovers(made, users, kills=0, **made_of)
            points = every_point()
            random.Random(options.seed).shuffle(points)
            result = takeovers.run_points(points)
            wrote = takeovers.wrote_after
            say(f"{len(points)} stops, {takeovers.takeovers} takeovers")
    else:
        with grid(directory, users, quiet_period=0.7, keep=options.keep) as made:
            result = Campaign(made, users, kills=options.kills, **made_of).run()
    if not result.faultless:
        print(result.details())  # noqa: T201
    for line in wrote:
        print(f"written after the lease was lost: {line}")  # noqa: T201
    print(result, flush=True)  # noqa: T201
    return 0 if result.faultless and not wrote else 1


@contextmanager
def journal(kind: str) -> Iterator[str]:
    """omero.fs.journal: of a database of our own, or as ever."""
    if kind == "sqlite":
        yield ""
    else:
        with running() as server:
            yield server.url("takeovers")


if __name__ == "__main__":
    sys.exit(main())
