"""IQuery over the store."""

from __future__ import annotations

from typing import Any

from omero.rtypes import rbool, rdouble, rlong, robject, rstring, rtime, unwrap, wrap
from omero.sys import ParametersI

import omero

from .expressions import Node, Value, refuse
from .hql import compile_query
from .objects import Builder, entity_of
from .servants import Servant
from .sessions import Call
from .store import TABLES, base

_WRAP = {"bool": rbool, "int": rlong, "float": rdouble, "text": rstring, "time": rtime}


class Asking(Servant):
    """A servant that asks the store in HQL."""

    def _run(self, call: Call, text: str, parameters: Any) -> list[list[Any]]:
        call.require_role()  # the guest may ask for the version, and for nothing that is stored
        given = {k: unwrap(v) for k, v in ((parameters and parameters.map) or {}).items()}
        given = {k: getattr(v, "id", v) for k, v in given.items()}
        page = parameters.theFilter if parameters else None
        offset, limit = (unwrap(page.offset), unwrap(page.limit)) if page else (None, None)
        statement = compile_query(text, given, call, (offset, limit))
        store = self.sandbox.store
        with store.read() as db:
            build = Builder(store, db, call)
            return [
                [
                    _returned(build, item, cell)
                    for item, cell in zip(statement.items, row, strict=True)
                ]
                for row in db.execute(statement.select)
            ]


class Container(Asking, omero.api.IContainer):  # type: ignore[misc]
    """The part of IContainer that a gateway needs to show an image."""

    def do_getImages(self, call: Call, root: str, ids: list[int], options: Any) -> Any:
        paths = {"Image": "i.id", "Dataset": "l.parent.id"}
        if root not in paths:
            raise omero.ApiUsageException("", "", f"sandbox: getImages of a {root}")
        text = (
            "select i from Image i left outer join fetch i.pixels p "
            "left outer join fetch p.pixelsType left outer join i.datasetLinks l "
            f"where {paths[root]} in (:ids) order by i.id"
        )
        return [row[0] for row in self._run(call, text, ParametersI().addIds(ids))]


class Query(Asking, omero.api.IQuery):  # type: ignore[misc]
    """HQL (hql.py says which part of it), and look-ups by id or by a value."""

    def do_projection(self, call: Call, text: str, parameters: Any) -> Any:
        rows = self._run(call, text, parameters)
        return [[robject(c) if isinstance(c, omero.model.IObject) else c for c in r] for r in rows]

    def do_findAllByQuery(self, call: Call, text: str, parameters: Any) -> Any:
        rows = self._run(call, text, parameters)
        if any(not isinstance(row[0], omero.model.IObject) for row in rows):
            raise refuse("findByQuery returns objects; use projection for values")
        return [row[0] for row in rows]

    def do_findByQuery(self, call: Call, text: str, parameters: Any) -> Any:
        found = self.do_findAllByQuery(call, text, parameters)
        if len(found) > 1:
            raise omero.ApiUsageException("", "", "query returned more than one result")
        return found[0] if found else None

    def _where(
        self, call: Call, entity: str, condition: str = "", page: Any = None, **given: Any
    ) -> list[Any]:
        parameters = ParametersI({k: wrap(v) for k, v in given.items()})
        parameters.theFilter = page
        text = f"select x from {entity} x {'where ' + condition if condition else ''} order by x.id"
        return [row[0] for row in self._run(call, text, parameters)]

    def do_find(self, call: Call, entity: str, row_id: int) -> Any:
        found = self._where(call, entity, "x.id = :id", id=row_id)
        return found[0] if found else None

    def do_get(self, call: Call, entity: str, row_id: int) -> Any:
        found = self.do_find(call, entity, row_id)
        if found is None:
            raise omero.ValidationException(
                "", "", f"The requested object ({entity},{row_id}) is not available."
            )
        return found

    def do_findAll(self, call: Call, entity: str, page: Any) -> Any:
        return self._where(call, entity, page=page)

    def do_findByString(self, call: Call, entity: str, name: str, value: str) -> Any:
        found = self._where(call, entity, f"x.{_column(entity, name)} = :value", value=value)
        return found[0] if found else None

    def do_findAllByString(
        self, call: Call, entity: str, name: str, value: str, case: bool, page: Any
    ) -> Any:
        column = f"x.{_column(entity, name)}"
        condition = f"{column} = :value" if case else f"lower({column}) = lower(:value)"
        return self._where(call, entity, condition, page, value=value)

    def do_refresh(self, call: Call, value: Any) -> Any:
        return self.do_get(call, entity_of(value), unwrap(value.id))


def _column(entity: str, name: str) -> str:
    if name.startswith("_") or name not in TABLES[base(entity)].c:
        raise refuse(f"{entity} has no {name!r} here")
    return name


def _returned(build: Builder, item: Value, cell: Any) -> Any:
    if cell is None:
        return None
    if item.entity:
        if item.node:
            _fetch(build, item.node, cell)
        return build.load(item.entity, cell)
    if item.column and item.owner:
        built = getattr(omero.model, item.owner + "I", None)
        if built is not None:  # the exact type, such as int and not long
            return getattr(built._field_info, item.column).wrapper(cell)
    return _WRAP[item.kind](cell)


def _fetch(build: Builder, node: Node, row_id: int) -> None:
    for attribute, joined in node.fetched:
        if joined is None:
            continue
        for loaded in build.attach(node.entity, row_id, attribute):
            if loaded is not None:
                _fetch(build, joined, loaded.id.val)
