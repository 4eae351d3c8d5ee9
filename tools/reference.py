"""Writes what the docs have from tables in the code: properties, names of system files, sets.

The properties go into docs/configuration.rst, the names into docs/system-names.rst, what the
index of a set promises into docs/sets.rst.

python tools/reference.py          # what `make reference` runs
python tools/reference.py --check  # exit code 1 if a file differs from its table
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from omero_fs_plugin import system_names  # noqa: E402
from omero_fs_plugin.config.properties import PROPERTIES, Property  # noqa: E402
from omero_fs_plugin.dropbox.grouping.promises.table import KINDS, Kind  # noqa: E402
from omero_fs_plugin.system_names import SystemName  # noqa: E402

PROPERTIES_FILE = HERE / "docs" / "configuration.rst"
NAMES_FILE = HERE / "docs" / "system-names.rst"
SETS_FILE = HERE / "docs" / "sets.rst"
BEGIN = ".. The list below is written by `make reference`, from omero_fs_plugin/{}."
END = ".. The end of what `make reference` writes."
WIDTH = 100


def reference() -> str:
    """The list, between two empty lines."""
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


def names() -> str:
    """The two lists of names, with an empty line before and after them."""
    in_stores = (*system_names.BESIDE, *system_names.BESIDE_DIRECTORIES)
    lists = (
        ("Files", system_names.FILES),
        ("Directories", system_names.DIRECTORIES),
        ("Within a store", in_stores),
    )
    return (
        "".join(
            f"\n{heading}\n{'-' * len(heading)}\n\n" + "\n".join(map(_kind, kinds))
            for heading, kinds in lists
        )
        + "\n"
    )


def _kind(kind: SystemName) -> str:
    examples = ", ".join(f"``{example}``" for example in kind.examples)
    return f"{examples}\n{_filled(kind.maker[0].upper() + kind.maker[1:] + '.')}\n"


def sets() -> str:
    """What each kind of index promises, with an empty line before and after it."""
    return "\n" + "\n".join(map(_index, KINDS)) + "\n"


def _index(kind: Kind) -> str:
    names = ", ".join(f"``{name}``" for name in kind.named)
    if kind.words:
        words = ", ".join(f"``{word.decode()}``" for word in kind.words)
        names += f" with {words} near its start"
    told = [f"Promises {kind.promises}."]
    if kind.keeps:
        where = "beside it" if not kind.depth else "beside it and below"
        told.append(f"While it is not whole, {_listed(kind.keeps)} files {where} wait with it.")
    if kind.tree:
        tree = kind.tree.format(name=kind.named[0].replace("*", "NAME"), stem="NAME")
        tree = f"``{tree}/``" if tree != "." else "its directory" if kind.keeps else "its name"
        told.append(f"The files of {tree} must have been quiet.")
    told.append(f"Source: {kind.source}.")
    return f"{kind.format}: {names}\n{_filled(' '.join(told))}\n"


def _listed(suffixes: tuple[str, ...]) -> str:
    return ", ".join(f"``.{suffix}``" for suffix in suffixes)


def replaced(file: Path, source: str, part: str) -> str:
    """The whole file, with the list as it should be."""
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN.format(source) + "\n")
    _, end, after = rest.partition(END + "\n")
    if not begin or not end:
        raise SystemExit(f"{file}: one of the comments around the list is missing")
    return before + begin + part + end + after


def main() -> int:
    """The exit code."""
    wanted = {
        PROPERTIES_FILE: replaced(PROPERTIES_FILE, "config/properties.py", reference()),
        NAMES_FILE: replaced(NAMES_FILE, "system_names.py", names()),
        SETS_FILE: replaced(SETS_FILE, "dropbox/grouping/promises/table.py", sets()),
    }
    if "--check" in sys.argv[1:]:
        return int(any(file.read_text(encoding="utf-8") != text for file, text in wanted.items()))
    for file, text in wanted.items():
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
