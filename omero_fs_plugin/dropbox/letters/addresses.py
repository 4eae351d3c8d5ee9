"""Whose address is what: as the admin has set it, or as OMERO has it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.kinds import is_address
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.outbox import ADMINS
from omero_fs_plugin.errors import ServerAwayError

log = logging.getLogger(__name__)


class Addresses:
    """Knows where people are reached.  Not thread-safe: one thread asks.

    The admins' addresses are kept, because admins must hear of an OMERO that is away.
    """

    def __init__(self, omero: Omero, settings: Callable[[], Settings], known: str = "") -> None:
        """`known`: the admins' addresses from before a restart, with spaces between."""
        self._omero = omero
        self._settings = settings
        self._admins = tuple(known.split())

    @property
    def known(self) -> str:
        """The admins' addresses, as `known` of the constructor."""
        return " ".join(self._admins)

    def of(self, person: str) -> tuple[str, ...]:
        """The addresses of a user, or of the admins; empty if there are none.

        Raises ServerAwayError while OMERO cannot say it, and UserError if there is no such user.
        """
        if person != ADMINS:
            address = self._omero.address_of(person)
            return (address,) if is_address(address) else ()
        given = self._settings().notify_admins
        if given:
            return given
        try:
            found = self._omero.addresses_of_admins()
        except ServerAwayError:
            if self._admins:
                return self._admins
            raise
        self._admins = tuple(address for address in found if is_address(address))
        return self._admins
