"""Turns rows into objects of omero.model, and objects into rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from omero.model import DetailsI, EventI, ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.model.enums import UnitsLength
from omero.rtypes import rlong, rtime, unwrap

import omero

from .sessions import Call, security
from .store import MODEL, TABLES, Store, base


class Builder:
    """Makes objects in one transaction.  The same row gives the same object.

    If there is a `call`, their permissions say what its user may do with them.
    """

    def __init__(self, store: Store, db: sa.Connection, call: Call | None = None) -> None:
        self._store = store
        self._db = db
        self._call = call
        self._made: dict[tuple[str, int], Any] = {}
        self._permissions: dict[int, str] = {}

    def load(self, entity: str, row_id: int) -> Any:
        """The loaded object with this id, its references unloaded.  None if there is none."""
        if (base(entity), row_id) in self._made:
            return self._made[(base(entity), row_id)]
        row = self._store.row(self._db, entity, row_id)
        return self.build(entity, row) if row else None

    def build(self, entity: str, row: Mapping[str, Any]) -> Any:
        """The object of one row: values, unloaded references, details, no collections."""
        entity = base(entity)
        key = (entity, row["id"])
        if key in self._made:
            return self._made[key]
        built = self._made[key] = _class(row.get("_type") or entity)()
        built.unloadCollections()
        built._id = rlong(row["id"])
        for name, kind in MODEL[entity].columns.items():
            if row[name] is not None and name in built._field_info._fields:
                wrap = _WRAPS.get(kind) or getattr(built._field_info, name).wrapper
                setattr(built, "_" + name, wrap(row[name]))
        for name, target in MODEL[entity].references.items():
            if row[name] is not None and name in built._field_info._fields:
                setattr(built, "_" + name, self._unloaded(target, row[name]))
        built._details = self._details(entity, row)
        return built

    def attach(self, entity: str, row_id: int, attribute: str) -> list[Any]:
        """Loads a reference or a collection of an object, as `join fetch` does, and gives it."""
        owner = self.load(entity, row_id)
        entity = base(entity)
        if attribute == "details.externalInfo":
            of = self._store.row(self._db, entity, row_id)
            if of is None or of["_externalInfo"] is None:
                return []
            owner._details.externalInfo = self.load("ExternalInfo", of["_externalInfo"])
            return [owner._details.externalInfo]
        if attribute.startswith("details."):
            name = attribute.removeprefix("details.")
            target = "Experimenter" if name == "owner" else "ExperimenterGroup"
            loaded = self.load(target, getattr(owner._details, name).id.val)
            setattr(owner._details, name, loaded)
            return [loaded]
        if attribute in MODEL[entity].references:
            target = MODEL[entity].references[attribute]
            unloaded = getattr(owner, "_" + attribute)
            if unloaded is None:
                return []
            loaded = self.load(target, unloaded.id.val)
            setattr(owner, "_" + attribute, loaded)
            return [loaded]
        target, reference = MODEL[entity].collections[attribute]
        table = TABLES[target]
        order = table.c._position if "_position" in table.c else table.c.id
        where = sa.select(table).where(table.c[reference] == row_id)
        items = []
        for row in self._db.execute(where.order_by(order, table.c.id)).mappings():
            items.append(self.build(target, dict(row)))
            setattr(items[-1], "_" + reference, owner)
        setattr(owner, f"_{attribute}Seq", items)
        setattr(owner, f"_{attribute}Loaded", True)
        return items

    def _unloaded(self, entity: str, row_id: int) -> Any:
        if (entity, row_id) in self._made:
            return self._made[(entity, row_id)]
        if "_type" in TABLES[entity].c:  # an abstract class: the row knows which it is
            row = self._store.row(self._db, entity, row_id)
            entity = row["_type"] if row else entity
        return _class(entity)(row_id, False)

    def _details(self, entity: str, row: Mapping[str, Any]) -> DetailsI:
        details = DetailsI()
        if entity == "ExperimenterGroup":
            details.permissions = PermissionsI(row["_permissions"])
        if MODEL[entity].owned:
            group = row["group_id"]
            details.owner = ExperimenterI(row["owner_id"], False)
            details.group = ExperimenterGroupI(group, False)
            if group not in self._permissions:
                found = self._store.row(self._db, "ExperimenterGroup", group)
                self._permissions[group] = found["_permissions"] if found else "rw----"
            details.permissions = PermissionsI(self._permissions[group])
            if self._call:
                details.permissions._restrictions = self._call.restrictions(row)
            details.creationEvent = EventI(row["id"], True)
            details.creationEvent.time = rtime(row["creation"])
            details.creationEvent.unloadCollections()
            details.updateEvent = EventI(row["id"], True)
            details.updateEvent.time = rtime(row["updated"] or row["creation"])
            details.updateEvent.unloadCollections()
        return details


def _pairs(stored: list[list[str]]) -> list[Any]:
    return [omero.model.NamedValue(name, value) for name, value in stored]


def _length(stored: list[Any]) -> Any:
    number, unit = stored
    return omero.model.LengthI(number, getattr(UnitsLength, unit))


_WRAPS = {"map": _pairs, "length": _length}


def _stored(kind: str, value: Any) -> Any:
    if kind == "length":
        return value and [value.getValue(), str(value.getUnit())]
    if kind == "map":
        return value and [[pair.name, pair.value] for pair in value if pair is not None]
    return unwrap(value)


def _class(name: str) -> Any:
    return getattr(omero.model, name + "I")


def entity_of(value: Any) -> str:
    """The name of a model object's entity, such as Image.  Raises ApiUsageException."""
    name = str(value.ice_id()).rpartition("::")[2]
    try:
        base(name)
    except KeyError:
        raise omero.ApiUsageException("", "", f"sandbox: it has no {name}") from None
    return name


def save(store: Store, db: sa.Connection, call: Call, value: Any, *, whole: bool = False) -> int:
    """Inserts or updates `value` and the unsaved objects it refers to, and gives its id.

    With `whole`, as for IUpdate, a new object must have all that OMERO's model wants of it.  The
    server itself adds some of that to what it is given.

    Raises SecurityViolation if the caller may not change, link or see a row, and
    ValidationException if a row does not exist, or if something is missing.
    """
    entity = entity_of(value)
    row_id = unwrap(value.id)
    if row_id is not None and not value.loaded:
        return int(row_id)
    kind = MODEL[base(entity)]
    if not kind.owned:
        raise security(f"{entity} is not written through IUpdate")
    values = {
        name: _stored(form, getattr(value, "_" + name))
        for name, form in kind.columns.items()
        if hasattr(value, "_" + name)
    }
    check_name(entity, values)
    for name, target in kind.references.items():
        referred = getattr(value, "_" + name, None)  # a subtype may lack it
        values[name] = (
            None if referred is None else _referred(store, db, call, target, referred, whole=whole)
        )
    if entity == "OriginalFile":
        _check_file(store, db, row_id, values)
    if entity.endswith("Link"):
        _check_link(store, db, call, entity, row_id, values)
    info = value.details.externalInfo if value.details else None
    if info is not None:
        if "_externalInfo" not in kind.references:
            raise omero.ApiUsageException("", "", f"sandbox: its {entity} has no ExternalInfo")
        values["_externalInfo"] = save(store, db, call, info, whole=True)
    elif row_id is not None:
        values.pop("_externalInfo", None)  # whoever says nothing of it leaves it as it is
    row = store.row(db, entity, row_id) if row_id is not None else None
    if row is None and whole:
        _check_whole(value, values)
    if entity == "OriginalFile" and not call.is_admin:
        _check_place(values, row or {})
    if row_id is None:
        owner = _owner(call, entity, value)
        row_id = store.insert(db, entity, owner=owner, group=call.write_group, **values)
    else:
        if row is None:
            raise omero.ValidationException("", "", f"No row with the given identifier: {entity}")
        if not call.may_change(row):
            raise security(f"Updating {entity}:{row_id} not permitted")
        store.update(db, entity, row_id, **values)
    value._id = rlong(row_id)
    for name, (_, reference) in kind.collections.items():
        for item in getattr(value, f"_{name}Seq", None) or ():
            if item is not None and item.id is None:
                setattr(item, "_" + reference, _class(entity)(row_id, False))
                save(store, db, call, item, whole=whole)
    return int(row_id)


def _check_whole(value: Any, values: Mapping[str, Any]) -> None:
    """Refuses a new object without something that no object of its kind is without."""
    known = value._field_info
    for name in known._fields:
        if name in values and values[name] is None and not getattr(known, name).nullable:
            what = f"{value.ice_id().rpartition('::')[2]}.{name}"
            raise omero.ValidationException("", "", f"not-null property references null: {what}")


def _referred(
    store: Store, db: sa.Connection, call: Call, target: str, value: Any, *, whole: bool = False
) -> int:
    if "value" in MODEL[target].columns and value.id is None:
        if whole:  # that would be a new value
            raise security(f"{target} is not written through IUpdate")
        return store.enum(db, target, unwrap(value.value))
    if MODEL[target].owned and value.id is None:
        return save(store, db, call, value, whole=whole)  # the caller's own
    row_id = (
        save(store, db, call, value, whole=whole) if MODEL[target].owned else int(unwrap(value.id))
    )
    row = store.row(db, target, row_id)
    if row is None or (MODEL[target].owned and not call.may_see(row)):
        raise omero.ValidationException("", "", f"No row with the given identifier: {target}")
    return row_id


def _owner(call: Call, entity: str, value: Any) -> int:
    """Whose a new row is: the caller's, or another's if the caller may write what is others'."""
    owner = value.details.owner if value.details else None
    wanted = call.user if owner is None else int(unwrap(owner.id))
    if wanted != call.user and "WriteOwned" not in call.session.privileges:
        raise security(f"You are not authorized to set the ExperimenterID for {entity}")
    return wanted


def _check_file(
    store: Store, db: sa.Connection, row_id: int | None, values: Mapping[str, Any]
) -> None:
    """Refuses clients who make or move such a row: it leads to a file in the repository."""
    row = store.row(db, "OriginalFile", row_id) if row_id is not None else None
    place = ("repo", "path", "name")
    if (row and row["repo"] and any(values[c] != row[c] for c in place)) or (
        values["repo"] and not row
    ):
        raise security("OriginalFile: its place in a repository is not the client's to set")


def _check_place(values: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuses clients who make or move a row of a repository: it says which file is read."""
    moved = any(values[name] != before.get(name) for name in ("repo", "path", "name"))
    if moved and (values["repo"] or before.get("repo")):
        raise security("The files of a repository are not changed through IUpdate")


def check_name(entity: str, values: Mapping[str, Any]) -> None:
    """Refuses a name that is missing or too long for OMERO's database."""
    name = values.get("name")
    if name is None and entity in ("Project", "Dataset", "Screen", "Plate"):
        raise omero.ValidationException("", "", f"not-null property references null: {entity}.name")
    if any(len(values.get(short) or "") > 255 for short in ("name", "lsid")):
        raise omero.ValidationException("", "", "value too long for type character varying(255)")


def _check_link(
    store: Store,
    db: sa.Connection,
    call: Call,
    entity: str,
    row_id: int | None,
    values: Mapping[str, Any],
) -> None:
    """Refuses a link that exists, leads to another group, or that the caller may not make."""
    ends = {end: values[end] for end in MODEL[entity].references}
    if row_id is None and store.first(db, entity, owner_id=call.user, **ends):
        raise omero.ValidationException(
            "", "", f"duplicate key value violates unique constraint: {entity} {ends}"
        )
    for end, target in MODEL[entity].references.items():
        row = store.row(db, target, values[end])
        if row is None or not MODEL[target].owned:
            continue
        if row["group_id"] != call.write_group:
            raise security(f"{entity}: {target}:{row['id']} is in another group")
        annotating = entity.endswith("AnnotationLink")
        if not (call.may_annotate(row) if annotating else call.may_link(row)):
            raise security(f"Cannot link to {target}:{row['id']}: group permissions forbid it")
