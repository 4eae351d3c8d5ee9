"""The grid's descriptors: puts our fragment in, and takes it out again.

Bytes in, bytes out: this module touches no file.  lxml finds what a descriptor
says, expat finds where in its bytes it says so.  Only our own part changes::

    unmerge(*merge(templates, default, fragment)) == (templates, default)

holds for every byte, and still holds for what an admin edits in between, as
long as the marks stay.  The marks are

- two processing instructions around our part, and
- an element ``<target name="omero.fs.stock">`` around each server of
  OMERO.server that ours replace.  IceGrid deploys a target only when somebody
  asks for it by name, which nobody does.

If this module does not understand something in a descriptor, it raises
DescriptorError, which names the file and the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

from .document import MARK, STOCK_TARGET, Document

BEGIN = f'<?{MARK} begin: put here by "omero fs install", taken out by "omero fs uninstall"?>'
END = f"<?{MARK} end?>"

# The names of the servers of a stock OMERO.server that ours replace.
STOCK_SERVERS = ("MonitorServer", "FileServer", "DropBox", "TestDropBox")
STOCK_TEMPLATES = tuple(f"{server}Template" for server in STOCK_SERVERS)
STOCK_PROPERTIES = ("DropBox",)

# `omero admin rewrite` looks for this in default.xml (omero-py,
# omero/util/_process_defaultxml.py), and fails if it does not find it.
REWRITABLE = re.compile(rb'<node name="master">\s*<server-instance[^>]*>')

VARIABLE = re.compile(r"\$\{([^}]+)\}")
RESERVED = frozenset({"application", "node", "server"})  # IceGrid itself knows these variables


@dataclass(frozen=True)
class Fragment:
    """grid/omero-fs.xml, cut into what each descriptor gets."""

    properties: bytes  # and templates, for templates.xml; with their comments and indents
    instances: bytes  # for the node "master" of default.xml
    defined: frozenset[tuple[str, str]]  # (tag, id) of everything that it defines
    property_sets: frozenset[str]  # it refers to these and does not define them
    variables: frozenset[str]  # it refers to these and does not define them


def read_fragment(data: bytes, name: str = "grid/omero-fs.xml") -> Fragment:
    """Cuts the fragment.

    Raises DescriptorError unless it is an <icegrid> whose last element is an
    <application> with one <node name="master">.
    """
    document = Document(data, name)
    root = document.root
    application = root.find("application")
    nodes = root.findall("application/node[@name='master']")
    elements = [child for child in root if isinstance(child.tag, str)]
    if len(elements) < 2 or len(nodes) != 1 or elements[-1] is not application:
        raise document.refused('it must end with <application> and its one <node name="master">')
    body = [e for e in elements if e is not application]
    defined = frozenset((e.tag, e.get("id")) for e in body)
    parameters = {p.get("name") for p in root.iter("parameter")}
    used = VARIABLE.findall(data.decode("ascii"))
    referred = {p.get("refid") for p in root.iter("properties") if p.get("refid")}
    first, last = document.span(body[0]), document.span(body[-1])
    return Fragment(
        properties=data[_line_start(data, first.start) : last.end],
        instances=_inner(document, nodes[0]),
        defined=defined,
        property_sets=frozenset(referred - {id_ for tag, id_ in defined if tag == "properties"}),
        variables=frozenset(used) - parameters - RESERVED,
    )


def _line_start(data: bytes, position: int) -> int:
    """`position`, moved back over the blanks before it."""
    return len(data[:position].rstrip(b" \t"))


def _inner(document: Document, node: Any) -> bytes:
    span = document.span(node)
    return document.data[span.inner_start : span.inner_end].strip(b"\r\n").rstrip()


def merge(
    templates: bytes,
    default: bytes,
    fragment: bytes,
    *,
    names: tuple[str, str] = ("templates.xml", "default.xml"),
) -> tuple[bytes, bytes]:
    """templates.xml and default.xml with `fragment` in them.

    What an earlier merge put there is taken out first.  So a second merge changes nothing, and
    the merge of a newer fragment replaces the older one.  `names` are the names of the two
    files in errors.

    Raises DescriptorError.
    """
    stock_templates, stock_default = unmerge(templates, default, names=names)
    ours = read_fragment(fragment)
    into_templates = Document(stock_templates, names[0])
    into_default = Document(stock_default, names[1])
    _check(into_templates, into_default, ours)

    merged_templates = _put(
        into_templates, into_templates.root, ours.properties, _stock_templates(into_templates)
    )
    node = _master(into_default)
    merged_default = _put(into_default, node, ours.instances, _stock_instances(into_default))
    if not REWRITABLE.search(merged_default):
        raise into_default.refused(
            '<node name="master"> must begin with a <server-instance> other than '
            + ", ".join(STOCK_TEMPLATES)
            + ", because `omero admin rewrite` needs this"
        )
    return merged_templates, merged_default


def unmerge(
    templates: bytes,
    default: bytes,
    *,
    names: tuple[str, str] = ("templates.xml", "default.xml"),
) -> tuple[bytes, bytes]:
    """templates.xml and default.xml as they were before any `merge`.

    Raises DescriptorError.
    """
    return _taken_out(Document(templates, names[0])), _taken_out(Document(default, names[1]))


def set_aside(templates: bytes, default: bytes) -> tuple[list[str], list[str]]:
    """Which templates, and which instances of them, a merge has set aside."""

    def names(data: bytes, attribute: str) -> list[str]:
        found = (child for t in Document(data, "").set_aside() for child in t)
        return [child.get(attribute) for child in found if child.get(attribute) is not None]

    return names(templates, "id"), names(default, "template")


def properties(data: bytes, id_: str, *, aside: bool = False) -> dict[str, str]:
    """Name -> value of the <properties id=...> in a descriptor; `aside`: of those set aside."""
    document = Document(data, "")
    parents = document.set_aside() if aside else [document.root]
    found = (e for p in parents for e in p.findall("properties") if e.get("id") == id_)
    return {p.get("name"): p.get("value", "") for e in found for p in e.findall("property")}


def options(templates: bytes, default: bytes) -> dict[str, tuple[str, ...]]:
    """Each server of a template that default.xml has an instance of, and its command's words.

    Those set aside are left out.  A server whose words have parameters in them is left out, too.
    """
    deployed = {
        element.get("template")
        for element in Document(default, "").root.iter("server-instance")
        if element.getparent().tag != "target"
    }
    found = {}
    for template in Document(templates, "").root.findall("server-template"):
        for server in template.findall("server"):
            words = tuple((option.text or "").strip() for option in server.findall("option"))
            name = server.get("id", "")
            if template.get("id") in deployed and not VARIABLE.search("".join((name, *words))):
                found[name] = words
    return found


def same_xml(one: bytes, other: bytes) -> bool:
    """Whether two descriptors mean the same, also if they are written differently (C14N)."""

    def canonical(data: bytes) -> bytes:
        return bytes(etree.tostring(Document(data, "").root, method="c14n"))

    return canonical(one) == canonical(other)


def _stock_templates(document: Document) -> list[Any]:
    return [
        element
        for element in document.root
        if (element.tag == "server-template" and element.get("id") in STOCK_TEMPLATES)
        or (element.tag == "properties" and element.get("id") in STOCK_PROPERTIES)
    ]


def _stock_instances(document: Document) -> list[Any]:
    """Stock instances on every node: two servers with the same id cannot be deployed."""
    return [
        element
        for element in document.root.iter("server-instance")
        if element.get("template") in STOCK_TEMPLATES
    ]


def _master(document: Document) -> Any:
    applications = document.root.findall("application")
    nodes = document.root.findall("application/node[@name='master']")
    if len(applications) != 1 or len(nodes) != 1:
        raise document.refused(
            'it needs one <application> with one <node name="master">, '
            f"and has {len(applications)} and {len(nodes)}"
        )
    return nodes[0]


def _check(templates: Document, default: Document, ours: Fragment) -> None:
    """Raises if something that the fragment refers to is missing, or something it adds is there."""
    _master(default)
    roots = (templates.root, default.root)
    sets = {p.get("id") for root in roots for p in root.iter("properties")}
    if missing := ours.property_sets - sets:
        raise templates.refused(_lacking("<properties id=...>", missing))
    variables = {v.get("name") for root in roots for v in root.iter("variable")}
    if missing := ours.variables - variables:
        raise default.refused(_lacking("<variable name=...>", missing))
    stock = _stock_templates(templates)
    for tag, id_ in sorted(ours.defined):
        for element in templates.root.iter(tag):
            if element.get("id") == id_ and element not in stock:
                raise templates.refused(
                    f'line {element.sourceline}: there is a <{tag} id="{id_}"> already, which is '
                    "neither from OMERO.server nor from `omero fs install`; remove or rename it"
                )


def _lacking(what: str, names: set[str] | frozenset[str]) -> str:
    return f"the servers of OMERO.fs need {what} named {', '.join(sorted(names))}"


def _put(document: Document, parent: Any, block: bytes, stock: list[Any]) -> bytes:
    """Sets `stock` aside and appends `block`, marked, to the content of `parent`."""
    edits: list[tuple[int, int, bytes]] = []
    for element in stock:
        span = document.span(element)
        edits.append((span.start, span.start, f'<target name="{STOCK_TARGET}">'.encode()))
        edits.append((span.end, span.end, b"</target>"))
    newline = b"\r\n" if b"\r\n" in document.data else b"\n"
    indent = block[: len(block) - len(block.lstrip())].replace(b"\n", b"")
    lines = [b"", indent + BEGIN.encode(), *block.splitlines(), indent + END.encode()]
    position = len(document.data[: document.span(parent).inner_end].rstrip())
    edits.append((position, position, newline.join(lines)))
    return document.changed(edits)


def _taken_out(document: Document) -> bytes:
    edits: list[tuple[int, int, bytes]] = []
    for begin, end in document.marks():
        # Also takes out the line break and indent that `_put` has put before it.
        before = document.data[: document.span(begin).start]
        lead = re.search(rb"(\r?\n[ \t]*)?$", before)
        start = lead.start() if lead else len(before)
        edits.append((start, document.span(end).end, b""))
    for target in document.set_aside():
        span = document.span(target)
        edits.append((span.start, span.inner_start, b""))
        edits.append((span.inner_end, span.end, b""))
    return document.changed(edits)
