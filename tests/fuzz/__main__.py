"""`make fuzz`: every parser, one after the other, until the time is over; an hour unless told.

Prints what each was given.  Exit code 1 as soon as one fails, with the input that it failed on.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
import traceback

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .running import try_one
from .targets import TARGETS, Target

MEMORY = 1 << 30  # bytes of data that the process may have
ROUND = 500  # inputs of one parser, before the next has its turn


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz FUZZ_ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="default: %(default)g")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--only", metavar="NAME", help="the parser of that name")
    told = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    targets = [one for one in TARGETS if told.only in (None, one.name)]
    if not targets:
        parser.error(f"--only: one of {', '.join(one.name for one in TARGETS)}")
    print(f"seed {told.seed}", flush=True)  # noqa: T201
    numbers = dict.fromkeys((one.name for one in targets), 0)
    end, turn = time.monotonic() + told.seconds, 0
    while time.monotonic() < end:
        target = targets[turn % len(targets)]
        try:
            numbers[target.name] += _round(target, told.seed + turn)
        except Exception:
            print(f"{target.name}, with --seed {told.seed + turn}:")  # noqa: T201
            traceback.print_exc()
            return 1
        turn += 1
    for name, number in numbers.items():
        print(f"{number:>9,}  {name}")  # noqa: T201
    return 0


def _round(target: Target, number: int) -> int:
    """How many inputs it was given."""
    done = 0

    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        nonlocal done
        done += 1
        try_one(target, data.draw(target.inputs))

    run()
    return done


if __name__ == "__main__":
    sys.exit(main())
