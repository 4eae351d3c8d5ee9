"""What OMERO gets of a store that is registered: the objects of its mark, and of its images.

Sources: OMERO's model for what an object must have, and the documentation of
omero-zarr-pixel-buffer for the ExternalInfo of an image.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import omero.model
from omero.model.enums import UnitsLength
from omero.rtypes import rbool, rdouble, rint, rlong, rstring, rtime, unwrap

import omero
from omero_fs_plugin import __version__
from omero_fs_plugin.blitz.copies import REGISTERED, TRANSFER
from omero_fs_plugin.blitz.sessions import DROPPED
from omero_fs_plugin.blitz.user_session import AGENT, UserSession
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import ServerMisconfiguredError
from omero_fs_plugin.stores import directory_of

from .protocol import Wishes
from .store_images import Channel, Layout, StoreImage, StorePlate

# How the pixel buffer knows an image that it is to read.
ENTITY_TYPE, ENTITY_ID = "com.glencoesoftware.ngff:multiscales", 3
_NAME = 255  # characters that OMERO's database has room for
_PENDING = "Pending..."  # instead of a checksum of the pixels, as OMERO itself writes it
_GREY = (128, 128, 128)
_COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))  # of channels for which none is said
_KINDS = (
    "ChecksumAlgorithm",
    "DimensionOrder",
    "Family",
    "JobStatus",
    "PixelsType",
    "RenderingModel",
)
ROWS = 8  # of OMERO's database for an image, and CHANNEL_ROWS for each channel of it
CHANNEL_ROWS = 4


class Enumerations:
    """The enumerations of OMERO that are needed.  Whoever saves an object must know their ids."""

    def __init__(self, session: UserSession) -> None:
        """Asks once in a session.  Raises what a question to OMERO raises."""
        self._ids: Mapping[tuple[str, str], int] = session.keep(
            "enumerations", lambda: _enumerations(session)
        )

    def of(self, kind: str, value: str) -> Any:
        """The object.  Raises ServerMisconfiguredError if OMERO does not have it."""
        try:
            identifier = self._ids[kind, value]
        except KeyError:
            raise ServerMisconfiguredError(f"OMERO has no {kind} {value}") from None
        return getattr(omero.model, f"{kind}I")(identifier, False)


def _enumerations(session: UserSession) -> dict[tuple[str, str], int]:
    found = {}
    with server_errors("asking for OMERO's enumerations"):
        for kind in _KINDS:
            for identifier, value in session.query.projection(
                f"select e.id, e.value from {kind} e", None
            ):
                found[kind, unwrap(value)] = unwrap(identifier)
    return found


def mark(
    fileset: Fileset, client_path: str, digest: str, user: str, group: str, of: Enumerations
) -> Any:
    """A Fileset without images, by which the registration of a store is known.

    It has one file, which stands for the whole store: its `client_path` ends with a slash, and
    its hash is the `digest` of the store.  It is in no repository, so OMERO never reads, moves or
    deletes anything for it.
    """
    above, _, name = directory_of(fileset.path).rpartition("/")
    file = omero.model.OriginalFileI()
    file.path, file.name = rstring(f"{above}/"), rstring(name)
    file.mimetype = rstring("application/octet-stream")  # as of any file that is imported
    file.size = rlong(sum(met.stat.size for met in fileset.files))
    file.hash, file.hasher = rstring(digest), of.of("ChecksumAlgorithm", "SHA1-160")
    entry = omero.model.FilesetEntryI()
    entry.clientPath, entry.originalFile = rstring(client_path), file
    made = omero.model.FilesetI()
    made.templatePrefix = rstring("")
    made.addFilesetEntry(entry)
    made.linkJob(_job(fileset, user, group, of))
    note = omero.model.CommentAnnotationI()
    note.ns, note.textValue = rstring(TRANSFER), rstring(REGISTERED)
    made.linkAnnotation(note)
    return made


def _job(fileset: Fileset, user: str, group: str, of: Enumerations) -> Any:
    """The UploadJob that says that a DropBox has made it, as that of an import does."""
    now = rtime(int(time.time() * 1000))
    dropped = datetime.fromtimestamp(fileset.created, timezone.utc)
    job = omero.model.UploadJobI()
    job.username, job.groupname = rstring(user), rstring(group)
    job.type, job.message = rstring("Import"), rstring("Registered")
    job.submitted = job.scheduledFor = job.started = job.finished = now
    job.status = of.of("JobStatus", "Finished")
    job.versionInfo = [
        omero.model.NamedValue("client", f"{AGENT} {__version__}"),
        omero.model.NamedValue(DROPPED, dropped.isoformat(timespec="seconds")),
        omero.model.NamedValue("bioformats.reader", fileset.reader),
    ]
    return job


@dataclass(frozen=True)
class Registered:
    """Makes the images of a store, and its plate, all of which belong to one mark."""

    store: str  # its path, with a slash at its end
    mark: int  # id of the Fileset
    wishes: Wishes
    of: Enumerations

    def objects(self, found: Layout) -> list[Any]:
        """What is saved in one call: the plate with all in it, or the images."""
        images = [self._image(n, one, found) for n, one in enumerate(found.images)]
        target = self.wishes.target
        if found.plate is None:
            for image in images:
                if isinstance(target, omero.model.Dataset):
                    image.linkDataset(omero.model.DatasetI(target.id, False))
            return images
        plate = self._plate(found.plate)
        wells: dict[tuple[int, int], Any] = {}
        for one, image in zip(found.images, images, strict=True):
            assert one.well is not None
            if one.well not in wells:
                wells[one.well] = well = omero.model.WellI()
                well.row, well.column = map(rint, one.well)
                plate.addWell(well)
            sample = omero.model.WellSampleI()
            sample.image = image
            wells[one.well].addWellSample(sample)
        if isinstance(target, omero.model.Screen):
            plate.linkScreen(omero.model.ScreenI(target.id, False))
        return [plate]

    def _plate(self, said: StorePlate) -> Any:
        plate = omero.model.PlateI()
        plate.name = _text(self.wishes.name or said.name or self._own_name)
        plate.rows, plate.columns = rint(said.rows), rint(said.columns)
        plate.rowNamingConvention, plate.columnNamingConvention = (
            rstring("number" if numbered else "letter") for numbered in said.numbered
        )
        if self.wishes.description:
            plate.description = rstring(self.wishes.description)
        return plate

    def _image(self, number: int, one: StoreImage, found: Layout) -> Any:
        image = omero.model.ImageI()
        image.name = _text(self._name(one, found))
        if self.wishes.description and found.plate is None:
            image.description = rstring(self.wishes.description)
        image.series = rint(number)
        image.fileset = omero.model.FilesetI(self.mark, False)
        info = omero.model.ExternalInfoI()
        info.entityType, info.entityId = rstring(ENTITY_TYPE), rlong(ENTITY_ID)
        info.lsid = rstring(directory_of(self.store + one.path))
        image.details.externalInfo = info
        image.addPixels(self._pixels(one))
        return image

    @property
    def _own_name(self) -> str:
        return directory_of(self.store).rpartition("/")[2]

    def _name(self, one: StoreImage, found: Layout) -> str:
        if len(found.images) == 1 and found.plate is None:
            return self.wishes.name or one.name or self._own_name
        if found.plate is not None:
            whole = self.wishes.name or found.plate.name or self._own_name
        else:
            whole = self.wishes.name or self._own_name
        return f"{whole[: _NAME // 2]} [{one.name or one.path}]"

    def _pixels(self, one: StoreImage) -> Any:
        pixels = omero.model.PixelsI()
        for axis in "XYZCT":
            setattr(pixels, f"size{axis}", rint(one.sizes[axis]))
        pixels.sha1 = rstring(_PENDING)
        pixels.dimensionOrder = self.of.of("DimensionOrder", "XYZCT")
        pixels.pixelsType = self.of.of("PixelsType", one.pixel_type)
        for axis, (size, unit) in one.pixel_size.items():
            known = getattr(UnitsLength, unit.upper(), None)
            if isinstance(known, UnitsLength):
                setattr(pixels, f"physicalSize{axis}", omero.model.LengthI(size, known))
        said = one.channels or (Channel(),) * one.sizes["C"]
        for number, channel in enumerate(said):
            pixels.addChannel(_channel(channel, number, len(said)))
        if one.channels and all(channel.window for channel in one.channels):
            pixels.addRenderingDef(self._rendering(one))
        return pixels

    def _rendering(self, one: StoreImage) -> Any:
        """The window and the colour of each channel.  Without it OMERO chooses them itself."""
        rendering = omero.model.RenderingDefI()
        rendering.defaultZ, rendering.defaultT = rint(one.default_z), rint(one.default_t)
        rendering.model = self.of.of("RenderingModel", "greyscale" if one.grey else "rgb")
        quantum = omero.model.QuantumDefI()
        quantum.cdStart, quantum.cdEnd, quantum.bitResolution = rint(0), rint(255), rint(255)
        rendering.quantization = quantum
        for number, channel in enumerate(one.channels):
            assert channel.window is not None
            binding = omero.model.ChannelBindingI()
            binding.family = self.of.of("Family", "linear")
            binding.coefficient = rdouble(1)
            binding.inputStart, binding.inputEnd = map(rdouble, channel.window)
            binding.active = rbool(channel.active)
            binding.noiseReduction = rbool(False)
            _paint(binding, _color(channel, number, len(one.channels)))
            rendering.addChannelBinding(binding)
        return rendering


def _channel(said: Channel, number: int, of: int) -> Any:
    channel = omero.model.ChannelI()
    channel.logicalChannel = omero.model.LogicalChannelI()
    if said.name:
        channel.logicalChannel.name = _text(said.name)
    if said.extent is not None:
        info = omero.model.StatsInfoI()
        info.globalMin, info.globalMax = map(rdouble, said.extent)
        channel.statsInfo = info
    if said.color is not None or of > 1:
        _paint(channel, _color(said, number, of))
    return channel


def _color(said: Channel, number: int, of: int) -> tuple[int, int, int]:
    if said.color is not None:
        return said.color
    return _GREY if of == 1 else _COLORS[number % len(_COLORS)]


def _paint(value: Any, color: tuple[int, int, int]) -> None:
    value.red, value.green, value.blue = map(rint, color)
    value.alpha = rint(255)


def _text(name: str) -> Any:
    """A name from metadata that anybody wrote: as much of it as OMERO's database can have."""
    return rstring(name.encode(errors="replace").decode().replace("\0", "")[:_NAME])
