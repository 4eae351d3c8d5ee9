"""What is read from an existing site's descriptors, of each layout there was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.deployment.descriptor import merge
from omero_fs_plugin.deployment.installation import fragment_path
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.migration.former import MOST_BYTES, read
from tests import DATA

SAMPLES = DATA / "grid"


def of(name: str, value: str) -> str:
    return f'<property name="omero.fs.{name}" value="{value}"/>'


# 4.2: what is set stands in the server itself, beside one FSServer.
IN_THE_SERVER = f"""<icegrid>
  <properties id="PythonServer"><property name="Ice.ImplicitContext" value="Shared"/></properties>
  <server-template id="FSServerTemplate"><server id="FSServer" exe="python"><properties>
    <properties refid="PythonServer"/>
    {of("fileServerIdString", "Files")}
  </properties></server></server-template>
  <server-template id="DropBoxTemplate"><server id="DropBox" exe="python"><properties>
    <properties refid="PythonServer"/>
    <properties refid="Profile"/>
    {of("importUsers", "amy;zak")}{of("watchDir", "/home/amy;/home/zak")}
    {of("dirImportWait", "30")}
  </properties></server></server-template>
  <server-template id="TestDropBoxTemplate"><server id="TestDropBox"><properties>
    {of("dirImportWait", "1")}
  </properties></server></server-template>
</icegrid>"""

# Since then: a set of properties that the server refers to, and the profile after it.
IN_A_SET = f"""<icegrid>
  <properties id="DropBox"><!-- {of("dirImportWait", "1")} -->
    {of("port", "${ROUTERPORT}")}{of("dirImportWait", "30")}{of("fileBatch", "20")}
    <target name="debug">{of("dirImportWait", "2")}</target>
  </properties>
  <server-template id="DropBoxTemplate"><server id="DropBox"><properties>
    <properties refid="DropBox"/><properties refid="Profile"/>
    {of("clientIdString", "DropBox")}
  </properties></server></server-template>
</icegrid>"""

DEFAULT = f"""<icegrid><application name="OMERO">
  <properties id="Profile"><properties refid="__ACTIVE__"/>{of("fileBatch", "5")}</properties>
  <include file="config.xml"/>
  <node name="master"><server-instance template="DropBoxTemplate"/></node>
</application></icegrid>"""


def config(*properties: str, profile: str = "default", active: str = "default") -> str:
    """As `omero config` writes it."""
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<icegrid><properties id="__ACTIVE__"><property name="omero.config.profile" value="{active}"/>
<property name="omero.config.version" value="5.1.0"/></properties>
<properties id="{profile}"><property name="omero.config.version" value="5.1.0"/>
{"".join(properties)}</properties>
<properties id="other">{of("dirImportWait", "99")}</properties>
<include file="templates.xml"/></icegrid>"""


def fs(properties: object) -> dict[str, str]:
    """The properties of OMERO.fs alone, without their prefix."""
    assert hasattr(properties, "items")
    return {k[9:]: v for k, v in properties.items() if k.startswith("omero.fs.")}


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Where descriptors are put beside each other."""
    return tmp_path


def put(grid: Path, name: str, text: str | bytes) -> Path:
    path = grid / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_4_2_has_them_in_the_server(grid: Path) -> None:
    former = read(put(grid, "templates.xml", IN_THE_SERVER))
    assert fs(former.properties) == {
        "importUsers": "amy;zak",
        "watchDir": "/home/amy;/home/zak",
        "dirImportWait": "30",
        "fileServerIdString": "Files",
    }
    assert former.where == '<server id="DropBox">'


def test_later_releases_have_them_in_a_set(grid: Path) -> None:
    former = read(put(grid, "templates.xml", IN_A_SET))
    assert fs(former.properties) == {
        "port": "${ROUTERPORT}",
        "dirImportWait": "30",
        "fileBatch": "20",
        "clientIdString": "DropBox",
    }
    assert former.read == ("templates.xml",)


def test_config_xml_has_those_of_the_active_profile(grid: Path) -> None:
    lab = config(of("dirImportWait", "7"), profile="lab", active="lab")
    former = read(put(grid, "config.xml", lab))
    assert fs(former.properties) == {"dirImportWait": "7"}
    assert (former.where, former.unread) == ("the profile lab", "")


def test_config_xml_cut_down_to_its_active_copy(grid: Path) -> None:
    text = config(profile="x", active="gone").replace(
        "</properties>", of("dirImportWait", "8") + "</properties>", 1
    )
    assert fs(read(put(grid, "config.xml", text)).properties) == {"dirImportWait": "8"}


def test_a_config_that_says_nothing_of_it_is_all_defaults(grid: Path) -> None:
    put(grid, "templates.xml", IN_A_SET)
    former = read(put(grid, "config.xml", config()))
    assert (fs(former.properties), former.unread) == ({}, "templates.xml")


def test_descriptors_beside_each_other_count_in_the_order_of_the_grid(grid: Path) -> None:
    file = put(grid, "templates.xml", IN_A_SET)
    put(grid, "default.xml", DEFAULT)
    put(grid, "config.xml", config(of("dirImportWait", "7"), of("clientIdString", "Other")))
    former = read(file)
    assert former.read == ("templates.xml", "default.xml", "config.xml")
    found = fs(former.properties)
    assert found["dirImportWait"] == "7", "`omero config` wins over the set"
    assert found["fileBatch"] == "5", "and so does the profile of default.xml"
    assert found["clientIdString"] == "DropBox", "what stands behind the profile wins over it"


def test_what_omero_fs_install_has_set_aside_is_the_sites_own(grid: Path) -> None:
    templates, default = (
        (SAMPLES / name).read_bytes() for name in ("templates.xml", "default.xml")
    )
    server = b'<server id="DropBox" exe="${PYTHON}"'
    refers = server + b'><properties><properties refid="DropBox"/></properties></server>'
    assert server + b"/>" in templates
    templates = templates.replace(server + b"/>", refers).replace(b'"60"', b'"45"')
    before = read(put(grid, "templates.xml", templates)).properties
    assert fs(before)["dirImportWait"] == "45"
    merged, _ = merge(templates, default, fragment_path().read_bytes())
    after = read(put(grid, "templates.xml", merged))
    assert fs(after.properties) == fs(before)
    assert "set aside" in after.where


def test_sets_that_refer_to_each_other_end(grid: Path) -> None:
    text = f"""<icegrid><properties id="DropBox"><properties refid="A"/></properties>
    <properties id="A"><properties refid="DropBox"/>{of("fileBatch", "3")}</properties></icegrid>"""
    assert fs(read(put(grid, "templates.xml", text)).properties) == {"fileBatch": "3"}


BOMB = """<?xml version="1.0"?><!DOCTYPE icegrid [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<icegrid><properties id="DropBox"><property name="omero.fs.watchDir" value="&c;"/></properties>
</icegrid>"""


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param("", "not well-formed", id="empty"),
        pytest.param("<icegrid><properties", "not well-formed", id="cut short"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "not well-formed", id="an image"),
        pytest.param("<icegrid>&nobody;</icegrid>", "not well-formed", id="unknown entity"),
        pytest.param("<icegrid>\ufffe</icegrid>", "not well-formed", id="no character of XML"),
        pytest.param(b'<?xml version="1.0" encoding="x"?><icegrid/>', "XML", id="encoding"),
        pytest.param("<html/>", "not a descriptor", id="another root"),
        pytest.param("<icegrid/>", "nothing in it is called DropBox", id="nothing in it"),
        pytest.param(BOMB, "DOCTYPE", id="entities that grow"),
        pytest.param(
            '<!DOCTYPE icegrid SYSTEM "file:///etc/passwd"><icegrid/>', "DOCTYPE", id="external"
        ),
        pytest.param("<icegrid>" + "<a>" * 5000 + "</a>" * 5000 + "</icegrid>", "XML", id="deep"),
        pytest.param(b"<icegrid>" + b" " * MOST_BYTES, "more than 4 MiB", id="huge"),
    ],
)
def test_what_is_refused(grid: Path, content: str | bytes, what: str) -> None:
    file = put(grid, "templates.xml", content)
    with pytest.raises(ConfigurationError, match=what) as told:
        read(file)
    assert str(file) in str(told.value)
    assert told.value.exit_code == 2


def test_a_descriptor_beside_it_that_is_refused_is_named(grid: Path) -> None:
    put(grid, "config.xml", "<icegrid")
    with pytest.raises(ConfigurationError, match=r"config\.xml is not well-formed"):
        read(put(grid, "templates.xml", IN_A_SET))


def test_what_is_no_file(grid: Path) -> None:
    os.mkfifo(grid / "pipe.xml")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path, what in (
        (grid, "not a file|directory"),
        (grid / "pipe.xml", "not a file"),
        (grid / "gone.xml", "No such file"),
        (Path("/dev/zero"), "not a file"),
    ):
        with pytest.raises(ConfigurationError, match=what):
            read(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before, "each is closed again"
