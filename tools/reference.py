"""Writes the reference of the properties into docs/configuration.rst, from the table in the code.

python tools/reference.py          # what `make reference` runs
python tools/reference.py --check  # exit code 1 when the file is not what the table gives
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from omero_fs_plugin.config.properties import PROPERTIES, Property  # noqa: E402

FILE = HERE / "docs" / "configuration.rst"
BEGIN = (
    ".. The list below is written by `make reference`, from omero_fs_plugin/config/properties.py."
)
END = ".. The end of what `make reference` writes."
WIDTH = 100


def reference() -> str:
    """The list, with an empty line before and after it."""
    return "\n" + "\n".join(map(_entry, PROPERTIES)) + "\n"


def _entry(known: Property) -> str:
    facts = [known.kind.name]
    facts.append(f"default ``{known.default}``" if known.default else "default: empty")
    if known.of == "FSServer":
        facts.append("FSServer's")
    else:
        facts.append("for each user" if known.each else "for everyone")
    if known.restart:
        facts.append("a change needs a restart")
    meaning = known.meaning[0].upper() + known.meaning[1:] + "."
    body = _filled(f"*{', '.join(facts)}.*") + "\n\n" + _filled(meaning)
    return f"``{known.key}``\n{body}\n"


def _filled(text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def with_reference(text: str) -> str:
    """The whole file, with the list as it should be."""
    before, begin, rest = text.partition(BEGIN + "\n")
    _, end, after = rest.partition(END + "\n")
    if not begin or not end:
        raise SystemExit(f"{FILE}: one of the comments around the list is missing")
    return before + begin + reference() + end + after


def main() -> int:
    """The exit code."""
    text = FILE.read_text(encoding="utf-8")
    wanted = with_reference(text)
    if "--check" in sys.argv[1:]:
        return int(text != wanted)
    FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
