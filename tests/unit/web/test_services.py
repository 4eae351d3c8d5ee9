"""How often the views ask OMERO: each call takes as long as many rows of the page."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("omeroweb", reason="the extra `web` is not installed")

from django.test import Client
from omero.rtypes import rlong, rstring
from omeroweb.decorators import login_required

from omero_fs_plugin.dropbox.publishing.heartbeat import sign
from omero_fs_web import services as module

from .documents import NOW, document, fileset


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What OMERO is asked, call by call, for the page of amy, who has a failed fileset."""
    made: list[str] = []
    text = json.dumps(document(fileset(1), fileset(2, "failed")))

    def projection(hql: str, parameters: Any, context: Any) -> list[Any]:
        if "DatasetImageLink" in hql:
            made.append("datasets")
            return [[rlong(1), rlong(5), rstring("a set")]]
        if hql.startswith("select a.id from"):
            made.append("requests")
            return []
        made.append("sign" if "root" in parameters.map else "document")
        return [[rstring(sign(NOW, 15) if "root" in parameters.map else text), rlong(1)]]

    def noted(name: str, value: Any) -> Any:
        def ask() -> Any:
            made.append(name)
            return value

        return ask

    roles = SimpleNamespace(rootId=0, userGroupName="user")
    admin = SimpleNamespace(getSecurityRoles=noted("roles", roles))
    session = SimpleNamespace(
        getQueryService=noted("query service", SimpleNamespace(projection=projection)),
        getAdminService=noted("admin service", admin),
    )
    conn = SimpleNamespace(
        c=SimpleNamespace(sf=session),
        server_id="1",
        SERVICE_OPTS=SimpleNamespace(
            setOmeroGroup=lambda group: None, setOmeroShare=lambda share=None: None
        ),
        close=lambda hard: None,
        isAdmin=lambda: False,
        getUserId=lambda: 2,
        getEventContext=lambda: SimpleNamespace(userName="amy"),
    )
    monkeypatch.setattr(login_required, "get_connection", lambda *_: conn)
    monkeypatch.setattr(login_required, "load_server_settings", lambda *_: None)
    monkeypatch.setattr(module, "_roles", {})
    monkeypatch.setattr(module.time, "time", lambda: NOW)  # so fileset 1 is of today
    return made


@pytest.mark.parametrize("page", ["/omero_fs_web/", "/omero_fs_web/part/"])
def test_a_look_asks_omero_for_nothing_twice(calls: list[str], page: str) -> None:
    assert Client().get(page).status_code == 200
    needed = ["query service", "document", "sign", "requests", "datasets"]
    assert sorted(calls) == sorted([*needed, "admin service", "roles"])
    calls.clear()
    assert Client().get(page).status_code == 200
    assert sorted(calls) == sorted(needed)  # the roles are those of the server
