"""The options that every benchmark takes, and whether a run with them is the whole one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

# Options of which none is a size or a number: what is run, beside what, and where the tables go.
APART = ("quick", "only", "contender", "output", "before", "tree", "dropbox_python")
MORE_IS_FINE = "repeat"  # more runs of the same say the same, only better
_REPEAT = f"--{MORE_IS_FINE}"
RUNS = 3  # of which a figure is the median: a single one says little on a noisy machine


def parser_of(
    target: str, about: str | None, results: Path, parts: Collection[str], **only: Any
) -> argparse.ArgumentParser:
    """The parser of `make TARGET`, with --quick, --only and --output.

    `parts` are the names that --only takes; `only` are further words for its help.  Its arguments
    are read by `read`.
    """
    # tools/bench.sh looks for --output too, and knows no abbreviations.
    parser = argparse.ArgumentParser(
        prog=f"make {target} BENCH_ARGS=...", description=about, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--only",
        action="append",
        choices=tuple(parts),
        **{"help": "may be repeated", **only},
    )
    add_output(parser, results)
    return parser


def add_output(parser: argparse.ArgumentParser, results: Path) -> None:
    """Has it take --output."""
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the tables go; a whole run of the usual sizes writes {results.name} by itself",
    )


def add_repeat(parser: argparse.ArgumentParser) -> None:
    """Has it take --repeat."""
    parser.add_argument(
        _REPEAT,
        type=int,
        default=RUNS,
        metavar="N",
        help="runs of each, in turn; figures are medians (default: %(default)s; with --quick 1)",
    )


def read(parser: argparse.ArgumentParser, given: Sequence[str]) -> argparse.Namespace:
    """The options, and as `changed` the words for those that make sizes or numbers other ones.

    Ends the command with exit code 2 and one line if --output cannot be written: a run takes
    minutes or hours, and its tables would be lost.
    """
    options = parser.parse_args(given)
    if hasattr(options, MORE_IS_FINE):
        at_least_one(parser, options, MORE_IS_FINE)
        if options.quick:
            parser.set_defaults(repeat=1)
            if not any(word.partition("=")[0] == _REPEAT for word in given):
                options.repeat = 1
    options.changed = changed(parser, options)
    if options.output is not None and (why := cannot_write(options.output)):
        parser.exit(2, f"bench: --output: {why}\n")
    return options


def changed(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[str]:
    """`--rounds 1`, for each option that has another value than it has by itself."""
    words = []
    for name, value in vars(options).items():
        usual = parser.get_default(name)
        if name in APART or value == usual or (name == MORE_IS_FINE and value > usual):
            continue
        word = _word(parser, name)
        words += [f"{word} {one}" for one in (value if isinstance(value, list) else [value])]
    return words


def _word(parser: argparse.ArgumentParser, name: str) -> str:
    (action,) = (one for one in parser._actions if one.dest == name)
    return action.option_strings[-1]


def cannot_write(file: Path) -> str:
    """Why the file cannot be written; empty if it can."""
    if not file.parent.is_dir():
        return f"{file.parent} is no directory"
    if file.is_dir():
        return f"{file} is a directory"
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return f"{file} may not be written"
    return ""


def sizes(*, quick: bool, changed: Sequence[str] = ()) -> str:
    """What a report says of the sizes."""
    usual = "A tenth of the sizes (--quick)" if quick else "Full sizes"
    return usual + (f", but for {', '.join(changed)}." if changed else ".")


def at_least_one(parser: argparse.ArgumentParser, options: argparse.Namespace, name: str) -> None:
    """Ends the command with an error if the number --NAME is not 1 or more."""
    if getattr(options, name) < 1:
        parser.error(f"--{name}: must be 1 or more")
