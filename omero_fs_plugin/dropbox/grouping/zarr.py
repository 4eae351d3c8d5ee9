"""What an OME-Zarr store promises, and whether it is there.

Sources: the specifications of Zarr 2 and Zarr 3, and OME-NGFF 0.4 and 0.5 (multiscales, labels,
plates, the layout of bioformats2raw).

Chunks may be missing: then they have the fill value.  So a store is complete when its metadata is
whole, when each group and array that the metadata names is there, and when its tree rests.  An
array that has no chunk at all may be empty, or not written yet: then the store rests for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omero_fs_plugin.config.readers import PACKAGE
from omero_fs_plugin.errors import Unreadable

from .filesets import Candidate
from .opening import Opener, open_file
from .zarr_chunks import chunks_of
from .zarr_files import Metadata, NotWhole, Refused, joined

READER = PACKAGE + "ZarrReader"
# What not each source of pixels can do: to read Zarr 3, and to read images that do not have just
# the five axes that OMERO has, in this order.
ZARR_3, OTHER_AXES = "Zarr 3", "other axes"
_AXES = ["t", "c", "z", "y", "x"]
_DEEPEST = 8  # groups within each other that are looked at: plate, well, field, labels, label
_OME_XML = "METADATA.ome.xml"  # in the group OME
_NO_IMAGE = (
    "has no metadata of OME-NGFF yet (multiscales, plate or bioformats2raw.layout), without which "
    "it is no image for OMERO"
)


def look_at(
    root: str, store: str, opener: Opener = open_file, beat: Callable[[], None] = lambda: None
) -> Candidate:
    """What is known of the store at `path`.  Raises OSError if the disk cannot tell.

    `beat` is called at each step in its directories.
    """
    metadata = Metadata(root, store, opener, beat)
    promises = _Promises(metadata)
    incomplete, refused = "", ""
    unread: tuple[str, ...] = ()
    try:
        promises.read()
    except NotWhole as error:
        incomplete = str(error)
    except Refused as error:
        refused = str(error)
        if isinstance(error.__cause__, Unreadable):
            unread = (error.__cause__.path,)
    slow = f"{metadata.under_way} may be on its way" if metadata.under_way else ""
    if promises.empty:
        slow = f"{store}{promises.empty[0]} has no chunk yet"
    return Candidate(
        (store,),
        reader=READER,
        plate=promises.plate,
        missing=tuple(metadata.missing),
        incomplete=incomplete,
        refused=refused,
        slow=slow,
        unread=unread,
        needs=tuple(sorted(promises.needs)),
    )


class _Promises:
    """Goes from the top of a store to each group and array that it names."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._three = False  # Zarr 3
        self.plate = False
        self.empty: list[str] = []  # arrays without a chunk
        # What was looked at already: a group or an array may be named any number of times.
        self._known: dict[tuple[str, str], bool] = {}
        self._within: set[tuple[str, str]] = set()  # what is being looked at
        self.needs: set[str] = set()

    def read(self) -> None:
        """Reads all.  Raises NotWhole, Refused and OSError."""
        self._three = self._metadata.is_there("zarr.json")
        if self._three:
            self.needs.add(ZARR_3)
        elif not any(map(self._metadata.is_there, (".zgroup", ".zarray"))):
            raise NotWhole(
                f"{self._metadata.path('')}: has no zarr.json and no .zgroup at its top yet"
            )
        self._consolidated()
        if not self._image("", 0):
            raise NotWhole(f"{self._metadata.path('')}: {_NO_IMAGE}")

    def _consolidated(self) -> None:
        """Each file that consolidated metadata stands for must be there."""
        if self._three:
            said = (self._metadata.json("zarr.json") or {}).get("consolidated_metadata")
            if said is None:
                return
            named = _mapping(said, "consolidated_metadata").get("metadata")
            for name in _mapping(named, "consolidated_metadata"):
                self._metadata.expect(f"{joined('', name)}/zarr.json")
            return
        whole = self._metadata.json(".zmetadata")
        if whole is not None:
            for name in _mapping(whole.get("metadata"), ".zmetadata"):
                self._metadata.expect(joined("", name))

    def _ome(self, group: str) -> Mapping[str, Any] | None:
        """What OME-NGFF says of a group; None if its metadata is not there, which is noted."""
        within = f"{group}/" if group else ""
        if self._three:
            if not self._metadata.expect(f"{within}zarr.json"):
                return None
            found = self._metadata.json(f"{within}zarr.json") or {}
            attributes = found.get("attributes", {})
            return _mapping(_mapping(attributes, "attributes").get("ome", {}), "ome")
        array = self._metadata.is_there(f"{within}.zarray")
        if not array and not self._metadata.expect(f"{within}.zgroup"):
            return None
        self._metadata.json(f"{within}.zgroup")  # must be whole
        return self._metadata.json(f"{within}.zattrs") or {}

    def _image(self, group: str, depth: int, *, label: bool = False) -> bool:
        """Looks at an image, a plate or a collection.  Whether it is one, or may become one."""
        if depth > _DEEPEST:
            raise Refused(f"{self._metadata.path(group)}: images too deep within each other")
        key = (group, "label" if label else "image")
        if key in self._within:
            raise Refused(f"{self._metadata.path(group)}: is named as an image within itself")
        if key not in self._known:
            self._within.add(key)
            self._known[key] = self._looked_at(group, depth, label=label)
            self._within.remove(key)
        return self._known[key]

    def _looked_at(self, group: str, depth: int, *, label: bool) -> bool:
        ome = self._ome(group)
        if ome is None:
            return True  # it is noted as missing
        if "plate" in ome:
            self.plate = True
            if "bioformats2raw.layout" in ome:  # its OME-XML must be whole
                self._metadata.images_of_xml(f"{joined(group, 'OME')}/{_OME_XML}")
            for well in _each(_mapping(ome["plate"], "plate").get("wells"), "wells"):
                self._well(joined(group, well.get("path")), depth)
            return True
        if "bioformats2raw.layout" in ome:
            return self._collection(group, depth)
        if "multiscales" not in ome:
            return False
        for scales in _each(ome["multiscales"], "multiscales"):
            if not label and _names(scales.get("axes")) != _AXES:
                self.needs.add(OTHER_AXES)
            for dataset in _each(scales.get("datasets"), "datasets"):
                self._array(joined(group, dataset.get("path")))
        self._labels(joined(group, "labels"), depth)
        return True

    def _well(self, group: str, depth: int) -> None:
        if not self._is_new(group, "well"):
            return
        ome = self._ome(group)
        if ome is None:
            return
        if "well" not in ome:
            raise NotWhole(f"{self._metadata.path(group)}: does not say its images yet")
        for image in _each(_mapping(ome["well"], "well").get("images"), "images"):
            self._must_be_image(joined(group, image.get("path")), depth)

    def _collection(self, group: str, depth: int) -> bool:
        """The layout of bioformats2raw: the series that its group OME names, or 0, 1 and so on.

        Without `series` each image of its OME-XML has such a number.
        """
        inner = joined(group, "OME")
        images = self._metadata.images_of_xml(f"{inner}/{_OME_XML}")
        marker = f"{inner}/zarr.json" if self._three else f"{inner}/.zattrs"
        series = None
        if self._metadata.is_there(marker):
            series = (self._ome(inner) or {}).get("series")
        if isinstance(series, list):
            for name in series:
                self._must_be_image(joined(group, name), depth)
            return bool(series)
        number = 0
        while number < images or self._is_group(joined(group, str(number))):
            self._must_be_image(joined(group, str(number)), depth)
            number += 1
        if not number:
            raise NotWhole(f"{self._metadata.path(group)}: has none of its series yet")
        return True

    def _labels(self, group: str, depth: int) -> None:
        if not self._is_group(group):
            return
        names = (self._ome(group) or {}).get("labels")
        for name in names if isinstance(names, list) else ():
            self._must_be_image(joined(group, name), depth, label=True)

    def _must_be_image(self, group: str, depth: int, *, label: bool = False) -> None:
        if not self._image(group, depth + 1, label=label):
            raise NotWhole(f"{self._metadata.path(group)}: does not say its arrays yet")

    def _is_group(self, group: str) -> bool:
        name = "zarr.json" if self._three else ".zgroup"
        return self._metadata.is_there(f"{group}/{name}")

    def _array(self, array: str) -> None:
        """The metadata of an array must be there and say its shape, and its chunks be whole."""
        if not self._is_new(array, "array"):
            return
        name = f"{array}/zarr.json" if self._three else f"{array}/.zarray"
        if not self._metadata.expect(name):
            return
        said = self._metadata.json(name) or {}
        shape = said.get("shape")
        if not isinstance(shape, list) or not all(_is_size(size) for size in shape):
            raise NotWhole(f"{self._metadata.path(name)}: says no shape")
        wanted = ("data_type", "chunk_grid") if self._three else ("dtype", "chunks")
        for key in wanted:
            if key not in said:
                raise NotWhole(f"{self._metadata.path(name)}: says no {key}")
        chunks = chunks_of(said, three=self._three)
        if 0 not in shape and not self._metadata.has_chunks(array, chunks):
            self.empty.append(array)

    def _is_new(self, name: str, what: str) -> bool:
        """Whether it was not looked at before as `what`."""
        new = (name, what) not in self._known
        self._known[name, what] = True
        return new


def _names(axes: Any) -> list[Any]:
    """The names of the axes; those of OMERO if the metadata has none, as before OME-NGFF 0.3."""
    if not isinstance(axes, list):
        return _AXES
    return [axis.get("name") if isinstance(axis, Mapping) else axis for axis in axes]


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NotWhole(f"its metadata has no usable {what}")
    return value


def _each(value: Any, what: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, list) or not value:
        raise NotWhole(f"its metadata has no usable {what}")
    for one in value:
        yield _mapping(one, what)
