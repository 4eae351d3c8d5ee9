"""The syntax of a property's value: `;` between users, `,` between items.

OMERO's documentation of OMERO.fs: "Each property takes the form of a single
item or a semi-colon separated list of items.  Where the item is a list values
within that list should be comma separated."  Spaces around an entry do not
count.  Double quotes protect the text between them; there, a quote is written
twice.
"""

from __future__ import annotations

from collections.abc import Iterable

USERS, ITEMS = ";", ","
QUOTE = '"'
SHELL_QUOTES = "\"'"  # in arguments, as a shell has them
BACKSLASH = "\\"  # in arguments it protects the next character, but not within single quotes


def split(text: str, separator: str, quotes: str = QUOTE) -> list[str]:
    """The entries of `text`, without the spaces around them, quotes and all.

    Raises ValueError for a quote that is not closed.
    """
    entries: list[str] = []
    begin, inside, escaped = 0, "", False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == BACKSLASH and quotes == SHELL_QUOTES and inside != "'":
            escaped = True
        elif inside:
            if character == inside:
                inside = ""
        elif character in quotes:
            inside = character
        elif character == separator:
            entries.append(text[begin:position].strip())
            begin = position + 1
    if inside:
        raise ValueError(f"has a {inside} that is not closed")
    entries.append(text[begin:].strip())
    return entries


def entries(text: str, quotes: str = QUOTE) -> list[str]:
    """The entry of each user; an empty entry at the end does not count."""
    found = split(text, USERS, quotes)
    while len(found) > 1 and not found[-1]:
        found.pop()
    return found


def bare(entry: str) -> str:
    """`entry` without its quotes; the spaces within them stay."""
    plain: list[str] = []
    inside = False
    position = 0
    while position < len(entry):
        character = entry[position]
        if character != QUOTE:
            plain.append(character)
        elif inside and entry[position + 1 : position + 2] == QUOTE:
            plain.append(QUOTE)
            position += 1
        else:
            inside = not inside
        position += 1
    return "".join(plain)


def items(entry: str) -> tuple[str, ...]:
    """The items of one user's entry, without quotes; an empty item does not count."""
    return tuple(bare(item) for item in split(entry, ITEMS) if item)


def quoted(text: str, *, empty: bool = True) -> str:
    """`text`, quoted so that it is read as `text`.

    Without quotes, an empty entry takes the default, and an empty item does not count.
    With `empty`, quotes say that it really is empty.
    """
    plain = text == text.strip() and not any(c in text for c in (USERS, ITEMS, QUOTE))
    if plain and (text or not empty):
        return text
    return QUOTE + text.replace(QUOTE, 2 * QUOTE) + QUOTE


def joined(values: Iterable[str], separator: str) -> str:
    """One text of entries or items, which are quoted already."""
    return separator.join(values)
