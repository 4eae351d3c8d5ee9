"""Where users see what became of their files: the page My drops in OMERO.web."""

from __future__ import annotations

import json
from collections.abc import Iterator

from . import Line, Subject, ok, warning

_PATH = "/omero_fs_web/"  # of the page, below OMERO.web; the app is called so
_APP = _PATH.strip("/")
_APPS, _ADDRESS, _INTERVAL = "omero.web.apps", "omero.fs.webAddress", "omero.fs.publishInterval"


def page(subject: Subject) -> Iterator[Line]:
    """Says where the page My drops is, and what keeps users from it.

    OMERO.web may be on another host, with a configuration of its own.  So a page that is not
    configured here is no fault.  OMERO.web is not asked.
    """
    settings = subject.settings
    here = _APP in _apps(subject.sources.properties.get(_APPS, ""))
    if not settings.publish_interval:
        if here:
            remedy = f"`omero config set -- {_INTERVAL} 5`"
            yield warning("web", f"My drops has nothing to show: {_INTERVAL} is off", remedy)
        else:
            yield ok("web", f"no page shows users their files: {_INTERVAL} is off")
    elif settings.web_address:
        yield ok("web", f"My drops, if OMERO.web has it: {settings.web_address}{_PATH}")
    elif here:
        yield ok("web", f"OMERO.web has the page My drops ({_APPS}); {_ADDRESS} is not set")
    else:
        yield ok(
            "web",
            f"{_ADDRESS}, where OMERO.web is, is not set; {_APP} is not in {_APPS} of this host",
        )


def _apps(value: str) -> list[object]:
    """As OMERO.web reads the property: a list in JSON."""
    try:
        found = json.loads(value or "[]")
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
