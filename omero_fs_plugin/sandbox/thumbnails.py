"""Thumbnails: a plain picture for each image, for the sandbox never decodes pixels.

Who may see the image may see it.  The picture has the shape of the image, and says that it is
of a sandbox.
"""

from __future__ import annotations

import io
from typing import Any

from omero.rtypes import unwrap

import omero

from .servants import Servant
from .sessions import Call, Sandbox, Session
from .store import TABLES

_LONGEST = 96  # pixels, if a client gives no size
_MOST = 2048  # pixels; a longer side is refused


class Thumbnails(Servant, omero.api.ThumbnailStore):  # type: ignore[misc]
    """A ThumbnailStore: it draws for the pixels that its user sets."""

    def __init__(self, sandbox: Sandbox, session: Session) -> None:
        super().__init__(sandbox, session)
        self.proxy = sandbox.serve(session, self)
        self._pixels: int | None = None

    def do_setPixelsId(self, call: Call, pixels: int) -> bool:
        """True: there are rendering settings, which the import made."""
        self._shape(call, pixels)
        self._pixels = pixels
        return True

    def do_resetDefaults(self, call: Call) -> None:
        self._chosen()

    def do_isInProgress(self, call: Call) -> bool:
        self._chosen()
        return False  # a plain picture is drawn at once

    def do_getThumbnail(self, call: Call, x: Any, y: Any) -> bytes:
        pixels = self._chosen()
        shape = self._shape(call, pixels)
        longest = _side(None, _LONGEST)
        return _picture(_side(x, longest), _side(y, longest), pixels, shape)

    def do_getThumbnailDirect(self, call: Call, x: Any, y: Any) -> bytes:
        return self.do_getThumbnail(call, x, y)

    def do_getThumbnailByLongestSide(self, call: Call, size: Any) -> bytes:
        pixels = self._chosen()
        return self._fitting(call, pixels, _side(size, _LONGEST))

    def do_getThumbnailByLongestSideDirect(self, call: Call, size: Any) -> bytes:
        return self.do_getThumbnailByLongestSide(call, size)

    def do_getThumbnailByLongestSideSet(self, call: Call, size: Any, pixels: list[int]) -> Any:
        found = {}
        for one in pixels:
            try:
                found[one] = self._fitting(call, one, _side(size, _LONGEST))
            except omero.ValidationException:
                found[one] = b""  # OMERO has no thumbnail of what the caller may not see
        return found

    def do_close(self, call: Call) -> None:
        self.sandbox.withdraw(self.session, self.proxy.ice_getIdentity())

    def _chosen(self) -> int:
        if self._pixels is None:
            raise omero.ApiUsageException("", "", "Thumbnail service not ready: set the pixels")
        return self._pixels

    def _fitting(self, call: Call, pixels: int, longest: int) -> bytes:
        shape = self._shape(call, pixels)
        width, height = (max(1, round(longest * side / max(shape))) for side in shape)
        return _picture(width, height, pixels, shape)

    def _shape(self, call: Call, pixels: int) -> tuple[int, int]:
        """Width and height of the image.  Raises ValidationException for what one may not see."""
        call.require_role()
        table = TABLES["Pixels"]
        where = table.select().where(table.c.id == pixels, call.visible(table))
        with self.sandbox.store.read() as db:
            row = db.execute(where).mappings().first()
        if row is None:
            raise omero.ValidationException("", "", f"No Pixels:{pixels}")
        return int(row["sizeX"]), int(row["sizeY"])


def _side(given: Any, default: int) -> int:
    side = unwrap(given)
    if side is None:
        return default
    if not 0 < side <= _MOST:
        raise omero.ApiUsageException("", "", f"a thumbnail of {side} pixels")
    return int(side)


def _picture(width: int, height: int, pixels: int, shape: tuple[int, int]) -> bytes:
    from PIL import Image, ImageDraw

    shade = (40 + pixels * 53 % 120, 40 + pixels * 97 % 120, 70 + pixels * 31 % 120)
    picture = Image.new("RGB", (width, height), shade)
    draw = ImageDraw.Draw(picture)
    draw.text((6, 4), f"sandbox\n{shape[0]} x {shape[1]}", fill=(255, 255, 255))
    written = io.BytesIO()
    picture.save(written, format="JPEG")
    return written.getvalue()
