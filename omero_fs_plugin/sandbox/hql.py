"""A small HQL: parsed and turned into one SQL statement over the store's tables.

Of HQL it has select lists (paths, arithmetic, `||`, count, sum, min, max, avg,
coalesce, lower, upper, size, sub-selects), from with joins and fetches, where,
group by, order by and named parameters.  What it does not have raises
omero.QueryException that names the place.  Every table is seen through
`Call.visible`, so a query shows what the caller's group context allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

import omero

from .sessions import Call
from .store import MODEL, SUBTYPES, TABLES, base

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>:?[A-Za-z_][\w.]*)"
    r"|(?P<sign>\|\||<>|!=|<=|>=|[-=<>+*/(),]))"
)
_CLAUSES = {"where", "group", "order", "join", "left", "inner", "outer", "fetch", "with", "having"}
_KEYWORDS = {"and", "or", "not", "as", "from", "by", "asc", "desc", "is", "in", "like", "select"}


_VIRTUAL = ("Event", "Nothing")  # nodes without a table of their own


def refuse(text: str) -> omero.QueryException:
    """What the sandbox cannot do, or what is no HQL."""
    return omero.QueryException("", "", f"sandbox: {text}")


@dataclass(eq=False)
class Node:
    """One alias: an entity and its place in the from clause."""

    entity: str
    table: Any
    root: Node | None = None  # None: it is one
    chain: Any = None  # a root's table with all that is joined to it
    implied: dict[str, Node] = field(default_factory=dict)  # paths joined without being asked
    fetched: list[tuple[str, Node | None]] = field(default_factory=list)

    @property
    def top(self) -> Node:
        return self.root or self


@dataclass(frozen=True)
class Value:
    """An expression: `entity` when it stands for an object (then `sql` is its id)."""

    sql: Any
    kind: str = ""  # text, int, float, bool, time; what is returned is wrapped by it
    entity: str = ""
    node: Node | None = None
    column: str = ""  # the attribute of `owner`, for its exact type
    owner: str = ""


@dataclass(frozen=True)
class Statement:
    """The SQL, what its columns are, and what is to be loaded with each object."""

    select: Any
    items: list[Value]


def compile_query(
    text: str, parameters: Mapping[str, Any], call: Call, page: tuple[int | None, int | None]
) -> Statement:
    """`text` as SQL; `page` is (offset, limit).  Raises omero.QueryException."""
    return _Parser(text, parameters, call).statement(page)


class _Parser:
    def __init__(self, text: str, parameters: Mapping[str, Any], call: Call) -> None:
        self.tokens: list[str] = []
        position, text = 0, text.strip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                raise refuse(f"cannot read the query at {text[position : position + 20]!r}")
            self.tokens.append(found.group().strip())
            position = found.end()
        self.at = 0
        self.parameters = parameters
        self.call = call
        self.scopes: list[dict[str, Node]] = []

    # Tokens

    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].lower() if place < len(self.tokens) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise refuse("the query ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, *words: str) -> bool:
        if all(self.peek(i) == word for i, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def ahead(self) -> str:
        """The next few words, for messages."""
        return " ".join(self.tokens[self.at : self.at + 4])

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise refuse(
                f"expected {word!r} before {' '.join(self.tokens[self.at : self.at + 4])!r}"
            )

    # Clauses

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
        if not word or not word[0].isalpha() or word in _CLAUSES | _KEYWORDS:
            return ""
        return self.take()

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
        if attribute in ("details.creationEvent", "details.updateEvent"):
            joined: Node | None = None  # comes with every object
            scope[self.alias() or f"_{len(scope)}"] = Node("Event", node.table, node.top)
        elif outer and self.lacks(node, attribute):
            joined = None  # what is never there is never found
            scope[self.alias() or f"_{len(scope)}"] = Node("Nothing", node.table, node.top)
        else:
            joined = self.connect(node, attribute, outer)
            scope[self.alias() or f"_{len(scope)}"] = joined
        if fetch:
            node.fetched.append((attribute, joined))
        return True

    def lacks(self, node: Node, attribute: str) -> bool:
        """Whether OMERO has this attribute, and the sandbox never a value of it."""
        if node.entity == "Nothing" or attribute == "details.externalInfo":
            return True
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
        return conditions

    def connect(self, node: Node, attribute: str, outer: bool) -> Node:
        """Joins what `attribute` of `node` refers to."""
        model = MODEL.get(base(node.entity)) if node.entity not in _VIRTUAL else None
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

    def reference(self, node: Node, attribute: str) -> tuple[str, Any]:
        model = MODEL[base(node.entity)] if node.entity not in _VIRTUAL else None
        if model and model.owned and attribute in ("details.owner", "details.group"):
            column = attribute.removeprefix("details.") + "_id"
            target = "Experimenter" if column == "owner_id" else "ExperimenterGroup"
            return target, node.table.c[column]
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
            if step in ("details.creationEvent", "details.updateEvent"):
                node = Node("Event", node.table, node.top)
                parts = parts or ["id"]
            elif not parts or parts == ["id"]:
                target, column = self.reference(node, step)
                return Value(column, "int") if parts else Value(column, entity=target)
            else:
                node = self.step(node, step)
        return self.attribute(node, parts[0])

    def attribute(self, node: Node, name: str) -> Value:
        if node.entity == "Event":
            if name not in ("id", "time"):
                raise refuse(f"Event has no {name!r} here")
            if name == "time":
                return Value(node.table.c.creation, "time")
            return Value(node.table.c.id, "int")
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

    # Expressions

    def listed(self, part: Callable[[], Any]) -> list[Any]:
        parts = [part()]
        while self.accept(","):
            parts.append(part())
        return parts

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

    def condition(self) -> Any:
        parts = [self.conjunction()]
        while self.accept("or"):
            parts.append(self.conjunction())
        return sa.or_(*parts)

    def conjunction(self) -> Any:
        parts = [self.predicate()]
        while self.accept("and"):
            parts.append(self.predicate())
        return sa.and_(*parts)

    def predicate(self) -> Any:
        if self.accept("not"):
            return sa.not_(self.predicate())
        if self.accept("exists"):
            self.expect("(")
            select, _ = self.query()
            self.expect(")")
            return select.exists()
        if self.peek() == "(" and self.peek(1) != "select":
            start = self.at
            try:
                self.take()
                inside = self.condition()
                self.expect(")")
                return inside
            except omero.QueryException:
                self.at = start  # then it is an expression in parentheses
        left = self.expression().sql
        if self.accept("is"):
            negated = self.accept("not")
            self.expect("null")
            return left.is_not(None) if negated else left.is_(None)
        negated = self.accept("not")
        if self.accept("in"):
            found = left.in_(self.collection())
        elif self.accept("like"):
            found = left.like(self.expression().sql)
        elif self.accept("between"):
            low = self.expression().sql
            self.expect("and")
            found = left.between(low, self.expression().sql)
        elif self.peek() in ("=", "<>", "!=", "<", ">", "<=", ">="):
            sign = self.take()
            right = self.expression().sql
            found = left != right if sign in ("<>", "!=") else left.op(sign)(right)
        else:
            raise refuse(f"cannot compare with {self.ahead()!r}")
        return sa.not_(found) if negated else found

    def collection(self) -> Any:
        bare = self.peek().startswith(":")
        if not bare:
            self.expect("(")
        if self.peek() == "select":
            found: Any = self.query()[0]
        else:
            found = []
            for value in [self.take()] if bare else self.listed(self.take):
                given = self.literal(value)
                found += given if isinstance(given, list) else [given]
        if not bare:
            self.expect(")")
        return found

    def expression(self) -> Value:
        value = self.product()
        while self.peek() in ("+", "-", "||"):
            sign = self.take()
            right = self.product()
            if sign == "||":
                value = Value(sa.cast(value.sql, sa.Text) + sa.cast(right.sql, sa.Text), "text")
            else:
                value = Value(value.sql.op(sign)(right.sql), value.kind or right.kind or "int")
        return value

    def product(self) -> Value:
        value = self.primary()
        while self.peek() in ("*", "/"):
            sign = self.take()
            value = Value(value.sql.op(sign)(self.primary().sql), value.kind or "int")
        return value

    def primary(self) -> Value:
        word = self.take()
        if word == "(":
            if self.peek() == "select":
                select, items = self.query()
                inner = Value(select.scalar_subquery(), items[0].kind or "int")
            else:
                inner = self.expression()
            self.expect(")")
            return inner
        if word == "-":
            return Value(-self.primary().sql, "int")
        if word[0] in ":'" or word[0].isdigit() or word.lower() in ("true", "false", "null"):
            given = self.literal(word)
            if isinstance(given, list):
                raise refuse(f"{word} is a list: only `in` takes one")
            return Value(sa.literal(given), _kind(given))
        if self.peek() == "(":
            return self.function(word.lower())
        if not word[0].isalpha() or word.lower() in _CLAUSES | _KEYWORDS:
            raise refuse(f"no expression at {word!r}")
        return self.path(word)

    def function(self, name: str) -> Value:
        self.expect("(")
        if name == "size":
            value = self.size(self.take())
        elif name == "count":
            distinct = self.accept("distinct")
            counted = sa.literal_column("*") if self.accept("*") else self.expression().sql
            value = Value(sa.func.count(counted.distinct() if distinct else counted), "int")
        elif name in ("sum", "min", "max", "avg", "coalesce", "lower", "upper", "length", "abs"):
            arguments = self.listed(self.expression)
            kind = {"avg": "float", "length": "int"}.get(name, arguments[0].kind)
            value = Value(getattr(sa.func, name)(*(a.sql for a in arguments)), kind or "int")
        else:
            raise refuse(f"it has no function {name}()")
        self.expect(")")
        return value

    def size(self, path: str) -> Value:
        alias, _, attribute = path.rpartition(".")
        node = self.named(alias)
        collections = MODEL[base(node.entity)].collections
        if attribute not in collections:
            raise refuse(f"{node.entity} has no collection {attribute!r} here")
        target, reference = collections[attribute]
        inner = self.node(target)
        where = [inner.table.c[reference] == node.table.c.id, *self.guard(inner)]
        count = sa.select(sa.func.count(inner.table.c.id)).where(*where)
        return Value(count.correlate(node.table).scalar_subquery(), "int")

    def literal(self, word: str) -> Any:
        if word.startswith(":"):
            if word[1:] not in self.parameters:
                raise refuse(f"the parameter {word} is not given")
            return self.parameters[word[1:]]
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if word.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word.lower()]
        try:
            return float(word) if "." in word else int(word)
        except ValueError:
            raise refuse(f"{word!r} is no value") from None


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float", str: "text"}
    return kinds.get(type(value), "")


def _all(scope: Mapping[str, Node]) -> list[Node]:
    nodes, found = list(scope.values()), []
    while nodes:
        found.append(nodes.pop())
        nodes += found[-1].implied.values()
    return found
