"""A small HQL: parsed and turned into one SQL statement over the store's tables.

It knows select lists (paths, arithmetic, `||`, count, sum, min, max, avg,
coalesce, lower, upper, size, sub-selects), from with joins and fetches, where,
group by, order by and named parameters.  Anything else raises
omero.QueryException, which names the place.  Every table is seen through
`Call.visible`, so a query shows what the caller's group context allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import omero

from .calls import Call
from .expressions import CLAUSES, EVENTS, KEYWORDS, PAIR, VIRTUAL, Expressions, Node, Value, refuse
from .store import MODEL, SUBTYPES, TABLES, base


@dataclass(frozen=True)
class Statement:
    """The SQL, what its columns are, and what to load with each object."""

    select: Any
    items: list[Value]


def compile_query(
    text: str, parameters: Mapping[str, Any], call: Call, page: tuple[int | None, int | None]
) -> Statement:
    """`text` as SQL; `page` is (offset, limit).  Raises omero.QueryException."""
    return _Parser(text, parameters, call).statement(page)


class _Parser(Expressions):
    """One query, from its first word to its last."""

    def statement(self, page: tuple[int | None, int | None]) -> Statement:
        select, items = self.query()
        if self.at != len(self.tokens):
            raise refuse(f"cannot do {self.ahead()!r}")
        offset, limit = page
        return Statement(select.offset(offset).limit(limit), items)

    def query(self) -> tuple[Any, list[Value]]:
        """One select, from its first word to its end; also within parentheses."""
        distinct, begin = False, None
        if self.accept("select"):
            distinct = self.accept("distinct")
            begin = self.at
            depth = 0
            while depth or self.peek() != "from":
                depth += {"(": 1, ")": -1}.get(self.take(), 0)
        self.expect("from")
        scope: dict[str, Node] = {}
        self.scopes.append(scope)
        roots = self.from_clause(scope)
        rest = self.at
        if begin is None:
            items = [self.whole(node) for node in roots]
        else:
            self.at = begin
            items = self.listed(self.item)
        self.at = rest
        where = [self.condition()] if self.accept("where") else []
        group = [v.sql for v in self.listed(self.expression)] if self.accept("group", "by") else []
        order = self.listed(self.ordering) if self.accept("order", "by") else []
        for node in roots:
            where += self.guard(node)
        select = sa.select(*(item.sql for item in items)).select_from(*(r.chain for r in roots))
        select = select.where(*where).group_by(*group).order_by(*order)
        fetching = any(node.fetched for node in scope.values())
        if distinct or (fetching and not group):
            select = select.distinct()  # fetching never multiplies here
        self.scopes.pop()
        for outer in self.scopes:
            select = select.correlate(*(n.table for n in _all(outer)))
        return select, items

    def from_clause(self, scope: dict[str, Node]) -> list[Node]:
        roots = []
        while True:
            name = self.take().rpartition(".")[2]
            node = self.node(name)
            node.chain = node.table
            scope[self.alias() or f"_{len(scope)}"] = node
            roots.append(node)
            while self.join(scope):
                pass
            if not self.accept(","):
                return roots

    def alias(self) -> str:
        self.accept("as")
        word = self.peek()
        if not word or not word[0].isalpha() or word in CLAUSES | KEYWORDS:
            return ""
        return self.take()

    def item(self) -> Value:
        value = self.expression()
        self.alias()
        return value

    def ordering(self) -> Any:
        value = self.expression().sql
        if self.accept("desc"):
            return sa.desc(value)
        self.accept("asc")
        return value

    def join(self, scope: dict[str, Node]) -> bool:
        outer = self.accept("left", "outer") or self.accept("left")
        if not outer:
            self.accept("inner")
        if not self.accept("join"):
            return False
        fetch = self.accept("fetch")
        path = self.take()
        head, _, rest = path.partition(".")
        node, attribute = self.named(head), rest
        while attribute.count(".") > attribute.startswith("details."):
            step, _, attribute = attribute.partition(".")
            node = self.step(node, step)
        if attribute in EVENTS:
            joined: Node | None = None  # comes with every object
            scope[self.alias() or f"_{len(scope)}"] = Node(EVENTS[attribute], node.table, node.top)
        elif outer and self.lacks(node, attribute):
            joined = None  # nothing is ever found there
            scope[self.alias() or f"_{len(scope)}"] = Node("Nothing", node.table, node.top)
        else:
            joined = self.connect(node, attribute, outer)
            scope[self.alias() or f"_{len(scope)}"] = joined
        if fetch:
            node.fetched.append((attribute, joined))
        return True

    def lacks(self, node: Node, attribute: str) -> bool:
        """Whether OMERO has this attribute, while the sandbox never has a value of it."""
        if node.entity == "Nothing":
            return True
        if attribute == "details.externalInfo":
            return "_externalInfo" not in MODEL[base(node.entity)].references
        kind, made = MODEL[base(node.entity)], getattr(omero.model, node.entity + "I", None)
        known = {*kind.columns, *kind.references, *kind.collections}
        return made is not None and attribute in made._field_info._fields and attribute not in known

    # Tables and paths

    def node(self, name: str) -> Node:
        try:
            entity = base(name)
        except KeyError:
            raise refuse(f"it has no {name}") from None
        table = TABLES[entity].alias()
        return Node(name if name in SUBTYPES else entity, table)

    def guard(self, node: Node) -> list[Any]:
        conditions = []
        if node.entity in SUBTYPES:
            conditions.append(node.table.c._type == node.entity)
        if MODEL[base(node.entity)].owned:
            conditions.append(self.call.visible(node.table))
        if node.entity == "Session" and "ReadSession" not in self.call.session.privileges:
            conditions.append(node.table.c.owner == self.call.user)  # a uuid is a key
        return conditions

    def connect(self, node: Node, attribute: str, outer: bool) -> Node:
        """Joins what `attribute` of `node` refers to."""
        model = MODEL.get(base(node.entity)) if node.entity not in VIRTUAL else None
        if model and model.columns.get(attribute) == "map":
            return self.pairs(node, attribute, outer)
        if model and attribute in model.collections:
            target, reference = model.collections[attribute]
            joined = self.node(target)
            on = joined.table.c[reference] == node.table.c.id
        else:
            target, column = self.reference(node, attribute)
            joined = self.node(target)
            on = joined.table.c.id == column
        joined.root = node.top
        top = node.top
        top.chain = top.chain.join(joined.table, sa.and_(on, *self.guard(joined)), isouter=outer)
        return joined

    def pairs(self, node: Node, attribute: str, outer: bool) -> Node:
        """Joins the names and values of a map, such as that of an annotation or an upload."""
        table = sa.func.json_each(node.table.c[attribute]).table_valued("value")
        node.top.chain = node.top.chain.join(table, sa.true(), isouter=outer)
        return Node(PAIR, table, node.top)

    def reference(self, node: Node, attribute: str) -> tuple[str, Any]:
        model = MODEL[base(node.entity)] if node.entity not in VIRTUAL else None
        if model and model.owned and attribute in ("details.owner", "details.group"):
            column = attribute.removeprefix("details.") + "_id"
            target = "Experimenter" if column == "owner_id" else "ExperimenterGroup"
            return target, node.table.c[column]
        if attribute == "details.externalInfo":
            attribute = "_externalInfo"
        if model and attribute in model.references:
            return model.references[attribute], node.table.c[attribute]
        raise refuse(f"{node.entity} has no {attribute!r} here")

    def step(self, node: Node, attribute: str) -> Node:
        if attribute not in node.implied:
            node.implied[attribute] = self.connect(node, attribute, outer=False)
        return node.implied[attribute]

    def named(self, alias: str) -> Node:
        for scope in reversed(self.scopes):
            if alias in scope:
                return scope[alias]
        raise refuse(f"nothing is called {alias!r}")

    def path(self, path: str) -> Value:
        head, *parts = path.split(".")
        if all(head not in scope for scope in self.scopes):
            head, parts = "_0", [head, *parts]  # attributes of a single entity without an alias
            if "_0" not in self.scopes[-1]:
                raise refuse(f"nothing is called {path.split('.')[0]!r}")
        node = self.named(head)
        if not parts:
            return self.whole(node)
        while len(parts) > 1:
            step = parts.pop(0)
            if step == "details":
                step += "." + parts.pop(0)
            if step in EVENTS:
                node = Node(EVENTS[step], node.table, node.top)
                parts = parts or ["id"]
            elif not parts or parts == ["id"]:
                target, column = self.reference(node, step)
                return Value(column, "int") if parts else Value(column, entity=target)
            else:
                node = self.step(node, step)
        return self.attribute(node, parts[0])

    def attribute(self, node: Node, name: str) -> Value:
        if node.entity in EVENTS.values():
            if name not in ("id", "time"):
                raise refuse(f"Event has no {name!r} here")
            if name == "time":
                made, changed = node.table.c.creation, node.table.c.updated
                then = made if node.entity == "Event" else sa.func.coalesce(changed, made)
                return Value(then, "time")
            return Value(node.table.c.id, "int")
        if node.entity == PAIR:
            if name not in ("name", "value"):
                raise refuse(f"a pair has no {name!r}")
            place = "$[0]" if name == "name" else "$[1]"
            return Value(sa.func.json_extract(node.table.c.value, place), "text")
        if node.entity == "Nothing":
            raise refuse(f"{name!r} of what it never has")
        if name == "id":
            return Value(node.table.c.id, "int")
        model = MODEL[base(node.entity)]
        if name in model.columns and not name.startswith("_"):
            return Value(node.table.c[name], model.columns[name], column=name, owner=node.entity)
        target, column = self.reference(node, name)
        return Value(column, entity=target)

    def whole(self, node: Node) -> Value:
        return Value(node.table.c.id, entity=node.entity, node=node)


def _all(scope: Mapping[str, Node]) -> list[Node]:
    nodes, found = list(scope.values()), []
    while nodes:
        found.append(nodes.pop())
        nodes += found[-1].implied.values()
    return found
