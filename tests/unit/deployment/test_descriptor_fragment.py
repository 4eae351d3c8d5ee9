"""The fragment says what the settings, the servers and omero-py expect of it."""

from __future__ import annotations

import importlib.util

import pytest
from lxml import etree

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import PROPERTIES
from omero_fs_plugin.deployment.installation import fragment_path
from omero_fs_plugin.dropbox.service.elsewhere import ADAPTER
from omero_fs_plugin.icegrid import SERVERS, fsserver_on
from omero_fs_plugin.monitor.server import ADAPTER as FSSERVERS

ROOT = etree.parse(fragment_path()).getroot()

# The router's port is known only when the grid is written.
FROM_THE_GRID = {"omero.fs.port": "${ROUTERPORT}"}


def written_properties() -> dict[str, str]:
    return {
        p.get("name"): p.get("value") for p in ROOT.iterfind("properties[@id='DropBox']/property")
    }


def test_it_has_every_property_with_its_default() -> None:
    assert written_properties() == {p.key: p.default for p in PROPERTIES} | FROM_THE_GRID


def test_what_it_says_can_be_read_back() -> None:
    settings = read(written_properties() | {"omero.fs.port": "4064"})
    assert settings == read({})
    assert not settings.problems


@pytest.mark.parametrize("server", SERVERS)
def test_a_template_as_nodedescriptors_builds_its_name(server: str) -> None:
    """omero.server.nodedescriptors can name a server, and give no parameters."""
    template = ROOT.find(f"server-template[@id='{server}Template']")

    assert template.find("server").get("id") == server
    assert all(p.get("default") for p in template.iterfind("parameter"))


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_started_from_a_module_of_ours(server: str) -> None:
    running = ROOT.find(f"server-template/server[@id='{server}']")
    dash_m, module = (option.text for option in running.iterfind("option"))

    assert dash_m == "-m"
    assert importlib.util.find_spec(module)
    assert running.get("exe") == "${exe}"
    assert running.get("activation") == "always"


@pytest.mark.parametrize("server", SERVERS)
def test_omero_config_has_the_last_word(server: str) -> None:
    running = ROOT.find(f"server-template/server[@id='{server}']")

    assert running.findall("properties/properties")[-1].get("refid") == "Profile"


@pytest.mark.parametrize("server", SERVERS)
def test_adapters_listen_on_this_machine_only(server: str) -> None:
    template = ROOT.find(f"server-template[@id='{server}Template']")
    (adapter,) = template.iterfind("server/adapter")

    assert adapter.get("name") == f"omerofs.{server}"
    assert adapter.get("endpoints") == "${endpoints}"
    assert template.find("parameter[@name='endpoints']").get("default") == "tcp -h 127.0.0.1"


@pytest.mark.parametrize(
    ("server", "named", "adapter"),
    [
        ("DropBoxImporter", "DropBoxImporter-${node}", ADAPTER),
        ("FSServerNode", fsserver_on("${node}"), FSSERVERS),
    ],
)
def test_servers_for_any_node(server: str, named: str, adapter: str) -> None:
    """Each node has one server of that name, and IceGrid puts the node's name into it."""
    template = ROOT.find(f"server-template[@id='{server}Template']")
    running = template.find("server")

    assert running.get("id") == named
    assert all(p.get("default") for p in template.iterfind("parameter"))
    dash_m, module = (option.text for option in running.iterfind("option"))
    assert dash_m == "-m" and importlib.util.find_spec(module)
    assert running.findall("properties/properties")[-1].get("refid") == "Profile"
    assert running.find("adapter").get("name") == adapter
    instances = {one.get("template") for one in ROOT.iter("server-instance")}
    assert f"{server}Template" not in instances


def test_existing_clients_find_the_well_known_objects() -> None:
    objects = {o.get("identity"): o.get("type") for o in ROOT.iter("object")}

    assert objects == {
        "MonitorServer": "::omero::grid::monitors::MonitorServer",
        "FileServer": "::omero::grid::monitors::FileServer",
        "MonitorServer-${node}": "::omero::grid::monitors::MonitorServer",
        "FileServer-${node}": "::omero::grid::monitors::FileServer",
    }


def test_it_is_ascii_so_that_it_fits_into_every_descriptor() -> None:
    assert fragment_path().read_bytes().isascii()
