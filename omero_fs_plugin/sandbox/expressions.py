"""The words of a query, and its expressions; hql.py has its clauses, tables and paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

import omero

from .calls import Call
from .store import MODEL, base

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>:?[A-Za-z_][\w.]*)"
    r"|(?P<sign>\|\||<>|!=|<=|>=|[-=<>+*/(),]))"
)
CLAUSES = {"where", "group", "order", "join", "left", "inner", "outer", "fetch", "with", "having"}
KEYWORDS = {"and", "or", "not", "as", "from", "by", "asc", "desc", "is", "in", "like", "select"}


# Nodes without a table of their own: two events, a pair of name and value in a map, and a node
# that never exists.
EVENTS = {"details.creationEvent": "Event", "details.updateEvent": "Update"}
PAIR = "Pair"
VIRTUAL = (*EVENTS.values(), PAIR, "Nothing")


def refuse(text: str) -> omero.QueryException:
    """The sandbox cannot do it, or it is not HQL."""
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
    """An expression.  If it stands for an object, `entity` is set and `sql` is the object's id."""

    sql: Any
    kind: str = ""  # text, int, float, bool, time; what is returned is wrapped by it
    entity: str = ""
    node: Node | None = None
    column: str = ""  # the attribute of `owner`, for its exact type
    owner: str = ""


class Expressions:
    """A parser of everything that has a value; a subclass knows `query`, `path` and tables."""

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

    # What a subclass knows

    def query(self) -> tuple[Any, list[Value]]:
        raise NotImplementedError

    def path(self, path: str) -> Value:
        raise NotImplementedError

    def named(self, alias: str) -> Node:
        raise NotImplementedError

    def node(self, name: str) -> Node:
        raise NotImplementedError

    def guard(self, node: Node) -> list[Any]:
        raise NotImplementedError

    # Expressions

    def listed(self, part: Callable[[], Any]) -> list[Any]:
        parts = [part()]
        while self.accept(","):
            parts.append(part())
        return parts

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
        if not word[0].isalpha() or word.lower() in CLAUSES | KEYWORDS:
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
