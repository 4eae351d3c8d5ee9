"""The campaign at full size: one line of result, exit code 0 when it is faultless."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from .campaign import Campaign
from .grid import grid


def main() -> int:
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--filesets", type=int, default=1000, help="to drop (1000)")
    parser.add_argument("--users", type=int, default=5, help="who drop them (5)")
    parser.add_argument("--kills", type=int, default=60, help="at random, beside fault points (60)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of every choice")
    parser.add_argument("--keep", action="store_true", help="leave the sandbox, to look into")
    parser.add_argument("--quiet", action="store_true", help="tell nothing but the result")
    options = parser.parse_args()
    users = [f"user{n}" for n in range(1, options.users + 1)]
    directory = Path(tempfile.mkdtemp(prefix="omero-fs-torture-"))

    begun = time.monotonic()

    def say(text: str) -> None:
        if not options.quiet:
            print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)  # noqa: T201

    say(f"seed {options.seed}, in {directory}")
    with grid(directory, users, quiet_period=0.7, keep=options.keep) as made:
        campaign = Campaign(
            made,
            users,
            seed=options.seed,
            filesets=options.filesets,
            kills=options.kills,
            say=say,
        )
        result = campaign.run()
    if not result.faultless:
        print(result.details())  # noqa: T201
    print(result, flush=True)  # noqa: T201
    return 0 if result.faultless else 1


if __name__ == "__main__":
    sys.exit(main())
