"""Which Bio-Formats the tests run over.

It is the one of this machine, or the jars that the variable `JARS` names: absolute paths of jars
or directories of jars, with commas between, as in omero.fs.bioformatsJars.
"""

from __future__ import annotations

import os

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats import jars
from omero_fs_plugin.errors import ConfigurationError

JARS = "OMERO_FS_TEST_BIOFORMATS_JARS"


def as_property() -> str:
    """The value of omero.fs.bioformatsJars for a test: empty for that of this machine."""
    return os.environ.get(JARS, "")


def installation() -> jars.Installation:
    """Skips the test if this machine has no Bio-Formats.

    Raises ConfigurationError if the jars that are named are not there: nobody is to believe that
    they were tested.
    """
    given = [entry for entry in as_property().split(",") if entry]
    try:
        return jars.find(given)
    except ConfigurationError as error:
        if given:
            raise
        pytest.skip(str(error))
