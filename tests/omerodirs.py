"""OMERODIRs for tests, as files only: nothing runs in them."""

from __future__ import annotations

import shutil
from pathlib import Path

from omero_fs_plugin.deployment.installation import install
from tests import DATA

GRID = DATA / "grid"  # the descriptors of a released OMERO.server


def installed(directory: Path) -> Path:
    """`directory` as an OMERODIR with our servers in its templates, before its first start."""
    for name in ("templates.xml", "default.xml"):
        target = directory / "etc/templates/grid" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(GRID / name, target)
    (directory / "etc/grid").mkdir()
    install(directory)
    return directory
