"""In a browser: what an open page My drops shows while its user becomes another kind of user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from omero.model import ExperimenterGroupI, ExperimenterI, SessionI
from omero.rtypes import rstring

from .dropping import DropBox
from .test_web import _missing, _text, _told
from .test_web import address as address  # fixtures
from .test_web import browse as browse
from .test_web import publishing as publishing
from .waiting import until

pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")

PAGES = ("", "receipt.html", "older/?before=9", "everybody/", "check/")
NAME = "ida"


class Account:
    """Ida, as administrators change her."""

    def __init__(self, dropbox: DropBox) -> None:
        self._omero = dropbox.omero

    def _admin(self, does: Callable[[Any, Any], None]) -> None:
        def ask(services: Any) -> None:
            admin = services.getAdminService()
            does(admin, ExperimenterI(admin.lookupExperimenter(NAME).id.val, False))

        self._omero.ask(ask)

    def join(self, *groups: str) -> None:
        """Makes her a member of these groups."""
        self._admin(
            lambda admin, ida: admin.addGroups(
                ida, [ExperimenterGroupI(admin.lookupGroup(name).id.val, False) for name in groups]
            )
        )

    def leave(self, *groups: str) -> None:
        """Takes her out of these groups."""
        self._admin(
            lambda admin, ida: admin.removeGroups(
                ida, [ExperimenterGroupI(admin.lookupGroup(name).id.val, False) for name in groups]
            )
        )

    def end_sessions(self) -> None:
        """Ends those that she has."""
        for key in self._omero.session_keys(NAME):
            row = SessionI()
            row.uuid = rstring(key)
            self._omero.ask(
                lambda services, row=row: services.getSessionService().closeSession(row)
            )


def test_whose_rights_change_while_the_page_is_open(
    new_dropbox: Callable[..., DropBox], dropbox: DropBox, browse: Callable[..., Any], address: str
) -> None:
    from tools.browser import log_in

    server = dropbox.server
    dropbox.omero.need_user(NAME)
    account, idas = Account(dropbox), new_dropbox(NAME)
    for one, name in ((dropbox, "amys.tif"), (idas, "idas.tif")):
        one.until_imported(one.drop(name))
        until("it is told", _told(one, name), evidence=server.evidence)
    page = browse(NAME)
    others = dropbox.directory.name
    assert "idas.tif" in _text(page)

    def keys() -> set[str]:
        return dropbox.omero.session_keys("amy", "zak", "root", NAME)

    def every_page() -> dict[str, str]:
        """What each page shows now; none of them breaks."""
        shown = {}
        for place in PAGES:
            page.get(f"{address}/omero_fs_web/{place}")
            source = page.page_source
            for word in ("Traceback", "Server Error", "Internal Server"):
                assert word not in source, (place, word)
            # No session's key, and no directory of another user on the server.
            for secret in (*keys(), str(dropbox.directory.parent)):
                assert secret not in source, (place, secret)
            shown[place] = source
        page.get(f"{address}/omero_fs_web/")
        return shown

    def goes_on() -> None:
        """An open page asks for news, and what it shows is hers alone."""
        done = page.execute_async_script(
            "fetch('/omero_fs_web/part/', {headers: {'X-Requested-With': 'XMLHttpRequest'}})"
            ".then((one) => one.text().then((text) => arguments[0]([one.status, text])))"
        )
        assert done[0] in (200, 403), done
        assert others not in done[1] and others not in page.page_source

    # An administrator: her own drops on My drops as before, and those of all on All users.
    account.join("system")
    try:
        goes_on()
        assert others not in every_page()[""]
        account.end_sessions()
        goes_on()
        page.delete_all_cookies()
        log_in(page, address, NAME, NAME)
        shown = every_page()
        assert "idas.tif" in shown[""] and others not in shown[""]
        assert "By group" in shown["everybody/"] and "amy" in shown["everybody/"]
    finally:
        account.leave("system")
    # No administrator any more: her next session sees nothing of others.
    goes_on()
    account.end_sessions()
    page.delete_all_cookies()
    log_in(page, address, NAME, NAME)
    shown = every_page()
    assert "idas.tif" in shown[""] and "By group" not in shown["everybody/"]
    assert all(others not in source for source in shown.values())
    # Out of all groups but that of all users, and then inactive.
    try:
        account.leave("omero-fs", f"{NAME}_group")
        goes_on()
        account.end_sessions()
        page.delete_all_cookies()
        log_in(page, address, NAME, NAME)
        shown = every_page()
        assert "OMERO has nothing to tell you of your drops" in shown[""]
        assert all("idas.tif" not in source for source in shown.values())
        account.leave("user")
        goes_on()
        account.end_sessions()
        goes_on()
        for source in every_page().values():
            assert 'name="password"' in source and "idas.tif" not in source  # the login
        page.find_element("name", "username").send_keys(NAME)
        page.find_element("name", "password").send_keys(NAME)
        page.find_element("name", "password").submit()
        assert "/webclient/login/" in page.current_url and others not in page.page_source
    finally:
        account.join("user", f"{NAME}_group", "omero-fs")
        account.end_sessions()
    page.delete_all_cookies()
    log_in(page, address, NAME, NAME)
    assert "idas.tif" in _text(page) and others not in _text(page)
