"""The process of a large store, in tests without a router: it enters by the door behind it."""

from __future__ import annotations

from typing import Any

from omero_fs_plugin.blitz import user_session
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.importing.apart import child

from .blitz import Client, client_communicator, manager_at

BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {__name__} import main; main(int(sys.argv[2]))"
)


def main(job: int) -> None:
    """As `child.main`."""
    child.join = user_session.join = join  # type: ignore[assignment]
    child.main(job)


def join(host: str, port: int, key: str, user: User) -> Any:
    """As that of `user_session`."""
    ice = client_communicator()
    manager = manager_at(f"BlitzManager:tcp -h {host} -p {port}", ice)
    import omero

    return _Joined(omero.api.ServiceFactoryPrx.uncheckedCast(manager.create(key, None, {})))


class _Joined(Client):
    def closeSession(self) -> None:
        """The test's own session goes on."""
        self._services.ice_getCommunicator().destroy()
