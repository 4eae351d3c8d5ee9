"""Names in a client path: sixty of them, as OMERO's importer writes them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omero
from omero_fs_plugin.dropbox.importing.importers import client_path
from omero_fs_plugin.dropbox.importing.importers.names import Rules, safe
from omero_fs_plugin.sandbox.paths import PATH_RULES_DEFAULT, check_names

# By "Legal file names" of OMERO's documentation; what changes is what the server would refuse.
TABLE = {
    # nothing to do
    "a.tif": "a.tif",
    "ünï 🔬.tif": "ünï 🔬.tif",
    "日本語.czi": "日本語.czi",
    "a b  c": "a b  c",
    ".hidden": ".hidden",
    "-dash": "-dash",
    "..a": "..a",
    "b..": "b..",
    "dot.": "dot.",
    "space ": "space ",
    "a$b": "a$b",
    "a.$": "a.$",
    "{Group}GroupData.xml": "{Group}GroupData.xml",
    "it's": "it's",
    "a;b[c]d%e!f": "a;b[c]d%e!f",
    "~": "~",
    # characters
    'a"b': "a'b",
    "a*b": "axb",
    "a:b": "a;b",
    "a<b>c": "a[b]c",
    "a?b": "a%b",
    "a\\b": "a!b",
    "a|b": "a!b",
    "\\": "!",
    "???": "%%%",
    "tab\there\nline": "tab_here_line",
    "\x01": "_",
    "\x7f": "_",
    "\x80\x9f": "__",
    "C:\\data\\a.tif": "C;!data!a.tif",
    # beginning with $
    "$": "_$",
    "$a.tif": "_$a.tif",
    "$$": "_$$",
    "$MFT": "_$MFT",
    # devices
    "con": "con_",
    "CON": "CON_",
    "Con": "Con_",
    "con.tif": "_con.tif",
    "CON.": "_CON.",
    "con.a.tif": "_con.a.tif",
    "AUX": "AUX_",
    "aux.tif": "_aux.tif",
    "PRN.ome.tif": "_PRN.ome.tif",
    "nul": "nul_",
    "nul.": "_nul.",
    "CLOCK$": "CLOCK$_",
    "clock$.tif": "_clock$.tif",
    "COM1": "COM1_",
    "COM1.tif": "_COM1.tif",
    "com9.lif": "_com9.lif",
    "LPT1": "LPT1_",
    "lpt9.x": "_lpt9.x",
    "con.<x>": "_con.[x]",
    # as good as devices, and none
    "con_": "con_",
    "con tif": "con tif",
    "console.tif": "console.tif",
    "a.con": "a.con",
    "COM0.tif": "COM0.tif",
    "COM10.tif": "COM10.tif",
    "LPT.tif": "LPT.tif",
    "clock.tif": "clock.tif",
    "con:": "con;",
}
OPTIONAL = {
    "Windows optional": {"a.": "a._", "a ": "a _", "con.": "_con._", ".a": ".a", "...": "..._"},
    "UNIX optional": {".a": "_.a", "-a": "_-a", "a.": "a.", "--": "_--"},
    "local optional": {".a": "_.a"},
    "Windows optional, UNIX optional": {".a.": "_.a._", "- ": "_- _"},
}


def _legal(path: str, rules: str) -> bool:
    """By the sandbox, which has the rules on its own."""
    try:
        check_names(path, rules)
    except omero.FilePathNamingException:
        return False
    return True


@pytest.mark.parametrize(("name", "made"), TABLE.items())
def test_a_name_as_the_importer_writes_it(name: str, made: str) -> None:
    assert client_path(f"/data/{name}/{name}") == f"data/{made}/{made}"
    assert _legal(f"data/{made}", PATH_RULES_DEFAULT)
    assert _legal(f"data/{name}", PATH_RULES_DEFAULT) is (name == made)


def test_there_are_sixty() -> None:
    assert len(TABLE) >= 60


@pytest.mark.parametrize(
    ("rules", "name", "made"),
    [(rules, name, made) for rules, of in OPTIONAL.items() for name, made in of.items()],
)
def test_a_server_may_ask_for_more(rules: str, name: str, made: str) -> None:
    told = f"{PATH_RULES_DEFAULT},{rules}"
    assert client_path(f"/data/{name}", told) == f"data/{made}"
    assert _legal(f"data/{made}", told)
    assert _legal(name, told) is (name == made)


@pytest.mark.parametrize("rules", ["UNIX required", "local required", "", "Windows required"])
def test_a_server_that_asks_for_less_gets_what_the_java_importer_sends(rules: str) -> None:
    assert client_path("/d/con.tif", rules) == "d/_con.tif"


_RULES = ["Windows required", "Windows optional", "UNIX required", "UNIX optional"]
_SETS = [c for n in range(1, 5) for c in itertools.combinations(_RULES, n)]
_PIECES = ["con", "COM1", "clock$", "$", ".", " ", "-", "\\", "a", "é", "\x85", "ſ", "K", "?"]


@given(
    pieces=st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5),
    rules=st.sampled_from(_SETS),
)
def test_whatever_is_made_is_legal_and_stays(pieces: list[str], rules: tuple[str, ...]) -> None:
    told, name = ", ".join(rules), "".join(pieces)
    made = safe(name, Rules.of(told))
    assert _legal(made, told)
    assert safe(made, Rules.of(told)) == made
