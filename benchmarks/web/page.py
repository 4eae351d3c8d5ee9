"""The view that an open page asks, in this process; OMERO is a stand-in that counts its calls.

So the figures have what the app itself does, and nothing of gunicorn, OMERO.web's own look at the
session, the network and OMERO's database.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omero.rtypes import rstring, rtime, unwrap

from benchmarks.dropbox.scenarios import Figure, Outcome
from omero_fs_plugin.dropbox.publishing.document import FILESETS, MOST_BYTES, text_of
from omero_fs_plugin.dropbox.publishing.heartbeat import sign

EVERY_S = 3.0  # between two looks of a page: omero.web.fs.poll
PAGES = (1, 20, 100)
LONG = 255  # bytes of a long name
_STATES = ("waiting", "queued", "importing", "imported", "skipped", "failed")


class Omero:
    """What the view asks of OMERO, with a document of one user."""

    def __init__(self, text: str) -> None:
        """`text` is the document."""
        self.text, self.sign = text, sign(time.time(), 15)
        self.calls = self.sent = 0  # sent: characters of texts that OMERO gave
        query = SimpleNamespace(projection=self._projection)
        admin = SimpleNamespace(getSecurityRoles=self._roles)
        config = SimpleNamespace(getServerTime=self._time)
        services = SimpleNamespace(
            getQueryService=lambda: query,
            getAdminService=lambda: admin,
            getConfigService=lambda: config,
        )
        self.conn = SimpleNamespace(
            c=SimpleNamespace(sf=services),
            SERVICE_OPTS=SimpleNamespace(
                setOmeroGroup=lambda group: None, setOmeroShare=lambda share=None: None
            ),
            close=lambda hard: None,
            canCreate=lambda: True,
            getClientSettings=dict,
            getEmailSettings=lambda: False,
            isAdmin=lambda: False,
            getUserId=lambda: 2,
            getEventContext=lambda: SimpleNamespace(userName="amy"),
        )

    def _time(self) -> Any:  # asked for if the machine was so slow that the sign is an old one
        self.calls += 1
        return rtime(1000 * time.time())

    def _roles(self) -> Any:
        self.calls += 1
        return SimpleNamespace(rootId=0, userGroupName="user")

    def _projection(self, hql: str, parameters: Any, context: Any) -> list[Any]:
        self.calls += 1
        if "textValue, a.id" in hql:
            text = self.sign if "root" in parameters.map else self.text
            self.sent += len(text)
            return [[rstring(text), 1]]
        if "DatasetImageLink" not in hql:
            return []
        return [[image, 5, "a dataset"] for image in unwrap(parameters.map["ids"])]


def document(number: int) -> str:
    """Of `number` filesets imported now, each of one file with a long name."""
    now = time.time()
    filesets = [
        {
            **{"id": one, "files": [f"day/{one:0{LONG - 4}}.tif"], "more_files": 0, "size": 10},
            **{"state": "imported", "stand": "imported", "reason": "", "remedy": ""},
            **{"since": round(now, 1), "until": None, "progress": "", "images": [one]},
            **{"more_images": 0, "fileset": one},
        }
        for one in range(number, 0, -1)
    ]
    counts = {**dict.fromkeys(_STATES, 0), "imported": number}
    content = {"format": 1, "user": "amy", "counts": counts, "held_up": 0, "filesets": filesets}
    return text_of({**content, "roots": [], "answers": [], "revision": 1, "written": now})


def measure(scratch: Path, number: int, *, looks: int) -> Outcome:
    """A page of `number` drops of today looks `looks` times; a minute of 1, 20 and 100 such."""
    from django.test import Client
    from omeroweb.decorators import login_required

    text = document(number)
    omero = Omero(text)
    login_required.get_connection = lambda *_: omero.conn
    login_required.load_server_settings = lambda *_: None
    client = Client()
    page = client.get("/omero_fs_web/")
    omero.calls = omero.sent = 0
    sizes, began = 0, time.process_time()
    for _ in range(looks):
        answer = client.get("/omero_fs_web/part/")
        sizes += len(answer.content)
    cpu = time.process_time() - began
    calls, sent = omero.calls, omero.sent
    same, still = {"If-None-Match": answer["ETag"]}, 0
    began = time.process_time()
    for _ in range(looks):
        still += client.get("/omero_fs_web/part/", headers=same).status_code == 304
    idle = time.process_time() - began
    outcome = Outcome(f"A page of {number} drops of today, names of {LONG} bytes")
    if answer.status_code != 200 or f'data-id="{number}"' not in json.loads(answer.content)["html"]:
        outcome.faults.append("the view did not show the drops")
    if still != looks:
        outcome.faults.append("what the browser has was sent again")
    add = outcome.figures.append
    add(Figure("document in OMERO", len(text) / 1e3, "kB", MOST_BYTES / 1e3))
    shown = min(FILESETS, len(json.loads(text)["filesets"]))
    add(Figure("filesets in it", shown, ""))
    add(Figure("whole page, HTML", len(page.content) / 1e3, "kB"))
    add(Figure("one look: calls of OMERO", calls / looks, ""))
    add(Figure("one look: texts from OMERO", sent / looks / 1e3, "kB"))
    add(Figure("one look: answer to the browser", sizes / looks / 1e3, "kB"))
    add(Figure("one look: CPU of the view", 1e3 * cpu / looks, "ms"))
    add(Figure("one look, nothing is new: CPU of the view", 1e3 * idle / looks, "ms"))
    for pages in PAGES:
        minute = pages * 60 / EVERY_S
        name = f"{pages} open page{'s' * (pages > 1)}, a minute"
        add(Figure(f"{name}: requests", minute, ""))
        add(Figure(f"{name}: calls of OMERO", minute * calls / looks, ""))
        add(Figure(f"{name}: texts from OMERO", minute * sent / looks / 1e6, "MB"))
        add(Figure(f"{name}: answers", minute * sizes / looks / 1e6, "MB"))
        add(Figure(f"{name}: CPU of the view", minute * cpu / looks, "s"))
        add(Figure(f"{name}, nothing is new: CPU of the view", minute * idle / looks, "s"))
    return outcome
