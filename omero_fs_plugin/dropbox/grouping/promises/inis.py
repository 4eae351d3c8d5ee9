"""Indexes of sections with keys and values (INI): slides, Olympus's OIF, Hitachi."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .said import Index, Said, fewer, plain, promising

_LINE = re.compile(r"[ \t]*([^=\[\];#\r\n][^=\r\n]{0,255}?)[ \t]*=[ \t]*([^\r\n]*)")
_IMAGE_FILE = re.compile(r"imagefile(\(\d+(,\d+)*\))?")
_MOST_KEYS = 1 << 20


def _keys(index: Index) -> Mapping[str, str]:
    """Its values by their keys, in lower case and without sections: no key is in two of them."""
    data = index.data()
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data.decode("utf-16" if utf16 else "latin-1", errors="replace")
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and len(found) < _MOST_KEYS:
            found.setdefault(match[1].lower(), match[2].strip().strip('"'))
    return found


def _number(keys: Mapping[str, str], key: str, default: int = 0) -> int:
    value = keys.get(key, "")
    return int(value) if value.isdecimal() and len(value) < 10 else default


def ndpis(index: Index) -> Said:
    """Hamamatsu's ``.ndpis``: NoImages says how many keys Image0, Image1 ... there are."""
    keys = _keys(index)
    names = [keys[key] for key in keys if re.fullmatch(r"image\d{1,6}", key) and keys[key]]
    if not _number(keys, "noimages"):
        return promising(map(plain, names), "it does not say yet how many images it has")
    return promising(map(plain, names), fewer(_number(keys, "noimages"), len(names), "images"))


def vms(index: Index) -> Said:
    """Hamamatsu's ``.vms`` and ``.vmu``: NoJpegColumns times NoJpegRows times NoLayers images."""
    keys = _keys(index)
    images = [keys[key] for key in keys if _IMAGE_FILE.fullmatch(key) and keys[key]]
    others = [keys[key] for key in ("mapfile", "macroimage") if keys.get(key)]
    promised = max(1, _number(keys, "nolayers", 1))
    for key in ("nojpegcolumns", "nojpegrows"):
        promised *= max(1, _number(keys, key, 1))
    return promising(map(plain, [*images, *others]), fewer(promised, len(images), "images"))


def mirax(index: Index) -> Said:
    """``Slidedat.ini``: FILE_COUNT says how many data files there are, besides the index file."""
    keys = _keys(index)
    count = _number(keys, "file_count")
    files = [keys[f"file_{n}"] for n in range(min(count, len(keys))) if keys.get(f"file_{n}")]
    if not count or "indexfile" not in keys:
        return promising(map(plain, files), "it does not name its data files yet")
    names = [keys["indexfile"], *files]
    return promising(map(plain, names), fewer(count, len(files), "data files"))


def oif(index: Index) -> Said:
    """Olympus's ``.oif``: its parts lie in the directory ``<name>.files`` beside it."""
    keys = _keys(index)
    folder = f"{index.name}.files"

    def parts() -> Iterator[str]:
        for key, value in keys.items():
            named = key.startswith("inifilename") or key in ("ptyfilenames", "ptyfilenamee")
            if named and value and "thumb" not in value.lower() and "%" not in value:
                yield f"{folder}/{plain(value).rpartition('/')[2]}"

    images = [n for n in index.names_in(folder) if n.lower().endswith((".tif", ".tiff"))]
    return promising(parts(), "" if images else f"the images of {folder}/ are not there yet")


def pty(index: Index) -> Said:
    """A ``.pty`` of Olympus: DataName is the image that it describes."""
    name = _keys(index).get("dataname", "")
    return promising([plain(name).rpartition("/")[2]] if name else ())


def hitachi(index: Index) -> Said:
    """Hitachi's text beside an image: ImageName."""
    name = _keys(index).get("imagename", "")
    return promising([plain(name)] if name else (), "" if name else "it names no image yet")
