"""What OMERO has, asked over omero-py's API as root."""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Glacier2
import Ice
import omero.clients
import omero.cmd
import omero.sys
import pytest
from omero.model import ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.rtypes import rlist, rstring, unwrap, wrap

import omero

from .waiting import PATIENCE

ALL_GROUPS = {"omero.group": "-1"}
_BLOCK = 2**20  # bytes in one read
_LATE = (Glacier2.CannotCreateSessionException, Ice.LocalException, omero.ClientError)


@dataclass(frozen=True)
class Image:
    """An image with its first pixels."""

    id: int
    owner: str
    group: str
    size: tuple[int, int, int, int, int]  # x, y, z, c, t
    kind: str  # pixel type


@dataclass(frozen=True)
class StoredFile:
    """A file in the managed repository."""

    id: int
    path: str  # relative to the repository
    size: int  # bytes
    sha1: str  # as OMERO has it


@dataclass(frozen=True)
class Fileset:
    """A fileset in OMERO."""

    id: int
    owner: str
    group: str
    files: tuple[StoredFile, ...]
    images: tuple[Image, ...]


def client_path(path: Path | str) -> str:
    """How OMERO names a file on the client's side, as its Java importer writes it.

    That of a server with the default omero.fs.repo.path_rules.
    """
    return "/".join(map(_safe, str(path).lstrip("/").split("/")))


def _safe(name: str) -> str:
    if re.match(r"(AUX|CLOCK\$|CON|NUL|PRN|COM[1-9]|LPT[1-9])$", name, re.IGNORECASE):
        name += "_"
    if re.match(r"(\$|(AUX|CLOCK\$|CON|NUL|PRN|COM[1-9]|LPT[1-9])\.)", name, re.IGNORECASE):
        name = f"_{name}"
    name = "".join("_" if unicodedata.category(c) == "Cc" else c for c in name)
    return name.translate(str.maketrans('"*:<>?|\\', "'x;[]%!!"))


class Omero:
    """Root's session.  It is made anew after a restart of the server."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self.port = port
        self._host, self._password = host, password
        self._client: Any = None

    def close(self) -> None:
        """Ends the session; the next question opens another."""
        client, self._client = self._client, None
        if client is not None:
            # With the server gone the session is gone as well.
            with suppress(Ice.Exception, omero.ServerError, omero.ClientError):
                client.closeSession()

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Calls `question` with root's ServiceFactoryPrx, and returns its answer."""
        if self._client is None:
            self._client = self._login()
        return question(self._client.getSession())

    def _login(self) -> Any:
        """A client; logins are refused for a while after a server's start."""
        until = time.monotonic() + PATIENCE
        while True:
            client = omero.client(self._host, self.port)
            try:
                client.createSession("root", self._password)
                client.enableKeepAlive(60)
                return client
            except _LATE:
                client.__del__()
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)
            except BaseException:
                client.__del__()
                raise

    def rows(self, hql: str, **parameters: Any) -> list[list[Any]]:
        """The rows of an HQL projection over all groups; lists are given as lists."""
        asked = omero.sys.ParametersI()
        asked.map = {
            name: rlist([wrap(v) for v in value]) if isinstance(value, list) else wrap(value)
            for name, value in parameters.items()
        }
        found = self.ask(lambda sf: sf.getQueryService().projection(hql, asked, ALL_GROUPS))
        return [[unwrap(value) for value in row] for row in found]

    # -- filesets -----------------------------------------------------------

    def fileset_ids(self, *paths: Path) -> dict[Path, list[int]]:
        """For each dropped file, every fileset that OMERO has, with or without images."""
        return self._ids("select distinct e.clientPath, f.id from Fileset f", paths)

    def imported_ids(self, *paths: Path) -> dict[Path, list[int]]:
        """The same as `fileset_ids`, but only filesets with images."""
        return self._ids("select distinct e.clientPath, f.id from Fileset f join f.images i", paths)

    def _ids(self, hql: str, paths: Iterable[Path]) -> dict[Path, list[int]]:
        names = {client_path(path): path for path in paths}
        of: dict[Path, list[int]] = {path: [] for path in names.values()}
        rows = self.rows(
            f"{hql} join f.usedFiles e where e.clientPath in (:paths)", paths=list(names)
        )
        for name, fileset in rows:
            of[names[name]].append(fileset)
        return {path: sorted(ids) for path, ids in of.items()}

    def fileset(self, number: int) -> Fileset:
        """The fileset with this id."""
        ((owner, group),) = self.rows(
            "select o.omeName, g.name from Fileset f join f.details.owner o "
            "join f.details.group g where f.id = :id",
            id=wrap_long(number),
        )
        files = self.rows(
            "select o.id, o.path, o.name, o.size, o.hash from Fileset f join f.usedFiles e "
            "join e.originalFile o where f.id = :id order by o.id",
            id=wrap_long(number),
        )
        images = self.rows(
            "select i.id, o.omeName, g.name, p.sizeX, p.sizeY, p.sizeZ, p.sizeC, p.sizeT, t.value "
            "from Image i join i.pixels p join p.pixelsType t join i.details.owner o "
            "join i.details.group g where i.fileset.id = :id order by i.id",
            id=wrap_long(number),
        )
        return Fileset(
            number,
            owner,
            group,
            tuple(StoredFile(i, path + name, size, sha1) for i, path, name, size, sha1 in files),
            tuple(Image(i, o, g, tuple(sizes), kind) for i, o, g, *sizes, kind in images),
        )

    def delete(self, number: int) -> None:
        """Deletes a fileset with all that belongs to it; returns when it is gone."""

        def delete(services: Any) -> None:
            request = omero.cmd.Delete2(targetObjects={"Fileset": [number]})
            handle = services.submit(request, ALL_GROUPS)
            try:
                while (answer := handle.getResponse()) is None:
                    time.sleep(0.05)
            finally:
                handle.close()
            assert not isinstance(answer, omero.cmd.ERR), answer

        self.ask(delete)

    def sha1_read_back(self, file: StoredFile) -> str:
        """The SHA1 of the file as the server gives it for download; lower-case hex."""

        def read(services: Any) -> str:
            store = services.createRawFileStore()
            # It replaces the implicit context; omero.client names the client there.
            context = {**self._implicit(), **ALL_GROUPS}
            try:
                store.setFileId(file.id, context)
                size, digest = store.size(context), hashlib.sha1()
                for offset in range(0, size, _BLOCK):
                    block = store.read(offset, min(_BLOCK, size - offset), context)
                    digest.update(block)
                return digest.hexdigest()
            finally:
                store.close()

        return str(self.ask(read))

    def _implicit(self) -> dict[str, str]:
        return dict(self._client.getImplicitContext().getContext())

    def managed_repository(self) -> Path:
        """Where the server says that the managed repository lies, on its machine."""

        def look(services: Any) -> Path:
            found = services.sharedResources().repositories()
            for description, proxy in zip(found.descriptions, found.proxies, strict=True):
                if proxy and omero.grid.ManagedRepositoryPrx.checkedCast(proxy):
                    return Path(unwrap(description.path)) / unwrap(description.name)
            pytest.fail("the server has no managed repository")

        place = self.ask(look)
        assert isinstance(place, Path)
        return place

    # -- people -------------------------------------------------------------

    def need_user(self, name: str) -> None:
        """Makes the user, with a group of the same kind, if no user has that name."""

        def need(services: Any) -> None:
            admin = services.getAdminService()
            try:
                admin.lookupExperimenter(name)
                return
            except omero.ApiUsageException:
                pass
            group = ExperimenterGroupI()
            group.name, group.ldap = rstring(f"{name}_group"), wrap(False)
            group.details.permissions = PermissionsI("rw----")
            own = ExperimenterGroupI(admin.createGroup(group), False)
            common = ExperimenterGroupI(admin.getSecurityRoles().userGroupId, False)
            user = ExperimenterI()
            user.omeName, user.firstName, user.lastName = (
                rstring(name),
                rstring(name.capitalize()),
                rstring("Acceptance"),
            )
            user.ldap = wrap(False)
            admin.createExperimenterWithPassword(user, rstring(name), own, [common])

        self.ask(need)

    def default_group(self, name: str) -> str:
        """The name of the group that OMERO puts the user's imports into."""

        def look(services: Any) -> str:
            admin = services.getAdminService()
            user = admin.lookupExperimenter(name)
            return str(unwrap(admin.getDefaultGroup(unwrap(user.id)).name))

        return str(self.ask(look))

    def session_keys(self, *names: str, ended: bool = False) -> set[str]:
        """The keys of the sessions these users have open; with `ended` also those of before."""
        rows = self.rows(
            "select s.uuid from Session s join s.owner o where o.omeName in (:names)"
            + ("" if ended else " and s.closed is null"),
            names=list(names),
        )
        return {key for (key,) in rows}


def wrap_long(number: int) -> Any:
    """An id as HQL wants it: `wrap` would make an int of it."""
    return omero.rtypes.rlong(number)
