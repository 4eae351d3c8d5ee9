"""The options that every benchmark takes."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any


def parser_of(
    target: str, about: str | None, results: Path, parts: Collection[str], **only: Any
) -> argparse.ArgumentParser:
    """The parser of `make TARGET`, with --quick, --only and --output.

    `parts` are the names that --only takes; `only` are further words for its help.
    """
    parser = argparse.ArgumentParser(prog=f"make {target} BENCH_ARGS=...", description=about)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--only",
        action="append",
        choices=tuple(parts),
        **{"help": "may be repeated", **only},
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the tables go; a whole run of full size writes {results.name} by itself",
    )
    return parser


def at_least_one(parser: argparse.ArgumentParser, options: argparse.Namespace, name: str) -> None:
    """Ends the command with an error if the number --NAME is not 1 or more."""
    if getattr(options, name) < 1:
        parser.error(f"--{name}: must be 1 or more")
