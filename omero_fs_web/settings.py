"""The settings that OMERO.web reads from its own configuration for this app."""

from __future__ import annotations

OMERO_FS_WEB_POLL: int = 3  # s; OMERO.web replaces it by what is configured

CUSTOM_SETTINGS_MAPPINGS = {
    "omero.web.fs.poll": [
        "OMERO_FS_WEB_POLL",
        3,
        int,
        "How often, in seconds, the page My drops asks for news while it is seen.",
    ],
}
