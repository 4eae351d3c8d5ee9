"""Bytes for each file of a plate, counted in a process in which nothing else goes on.

``python -m tests.integration.dropbox.plates_alone queues|waits DIRECTORY`` prints them.
"""

from __future__ import annotations

import gc
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.growth.plates import LAST, Plate
from tests.grown import for_each

FEWER, MORE = 2_000, 5_000  # files: one lot, and several
DOES = ("queues", "waits")


def main(does: str, directory: str) -> None:
    """`does`: one of DOES."""
    with ExitStack() as after:
        # `for_each` takes the smaller one twice.
        made = [
            (number, Plate(Path(directory, str(at)), number, after))
            for at, number in enumerate((FEWER, FEWER, MORE))
        ]

        def take(number: int) -> None:
            plate = next(one for of, one in made if of == number)
            made.remove((number, plate))
            if does == "waits":
                plate.lack(LAST)
                done = plate.wait() + 1
            else:
                done = plate.queue()
            if done != plate.number:
                raise SystemExit(f"{done} of {plate.number} files")

        # What waits for the collector is no matter of files: it comes soon.
        gc.freeze()
        gc.set_threshold(1_000, 1, 1)
        sys.stdout.write(f"{for_each(take, FEWER, MORE)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
