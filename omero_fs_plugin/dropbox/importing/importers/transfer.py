"""omero.fs.transfer: the ways in which a file gets into OMERO's repository.  Pure."""

from __future__ import annotations

import enum


class Transfer(enum.Enum):
    """The values have the names that OMERO's importer uses."""

    UPLOAD = "upload"
    UPLOAD_RM = "upload_rm"
    LN = "ln"
    LN_S = "ln_s"
    LN_RM = "ln_rm"
    CP = "cp"
    CP_RM = "cp_rm"

    @property
    def in_place(self) -> bool:
        """Whether we put the file into the repository's directory ourselves."""
        return self not in (Transfer.UPLOAD, Transfer.UPLOAD_RM)

    @property
    def links(self) -> bool:
        """Whether the repository gets a hard link to the file itself."""
        return self in (Transfer.LN, Transfer.LN_RM)

    @property
    def removes(self) -> bool:
        """Whether the source is removed when the images are there."""
        return self.value.endswith("_rm")

    @property
    def keeping(self) -> Transfer:
        """The same transfer, without removal."""
        return Transfer(self.value.removesuffix("_rm"))

    @property
    def annotation(self) -> str:
        """What OMERO's importer notes on the fileset; empty for an upload."""
        name = {
            Transfer.LN: "Hardlink",
            Transfer.LN_S: "Symlink",
            Transfer.LN_RM: "Move",
            Transfer.CP: "Copy",
            Transfer.CP_RM: "CopyMove",
        }.get(self)
        return f"ome.formats.importer.transfers.{name}FileTransfer" if name else ""
