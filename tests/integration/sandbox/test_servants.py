"""Every operation of everything the sandbox serves answers; none leaves its client waiting."""

from __future__ import annotations

import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import Ice
import pytest

import omero
from omero_fs_plugin.sandbox import factory, handles, imports, rawfiles, repository, thumbnails
from omero_fs_plugin.sandbox.servants import Servant, operations

SERVANTS = sorted(
    {
        found
        for module in (factory, handles, imports, rawfiles, repository, thumbnails)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Servant) and found is not Servant
    },
    key=lambda c: c.__name__,
)
OPERATIONS = [(servant, name) for servant in SERVANTS for name in operations(servant)]
SLICES = Path(omero.__file__).parent.parent.glob("omero*_ice.py")


def _is_void() -> dict[str, bool]:
    """Operation -> has no result, from the generated code; `Interface.name`."""
    found = {}
    # Operation(name, mode, mode, amd, format, attributes, in, out, result, exceptions)
    pattern = re.compile(r"^\s+(\w+)\._op_(\w+) = IcePy\.Operation\((.*)\)$", re.MULTILINE)
    for module in SLICES:
        for interface, name, rest in pattern.findall(module.read_text()):
            head = rest.rpartition(", (")[0] if rest.endswith(")") else rest
            found[f"{interface}.{name}"] = head.endswith("None")
    return found


VOID = _is_void()


def _interface(servant: type, name: str) -> str:
    return next(c.__name__ for c in servant.__mro__ if f"_op_{name}" in vars(c))


def test_there_are_servants() -> None:
    assert len(SERVANTS) >= 10
    assert len(VOID) > 500


@pytest.mark.parametrize(
    ("servant", "name"), OPERATIONS, ids=[f"{s.__name__}.{n}" for s, n in OPERATIONS]
)
def test_every_operation_is_dispatched_with_the_right_number_of_results(
    servant: Any, name: str
) -> None:
    """IcePy crashes on the wrong number; it is told by the annotation `-> None`."""
    amd = operations(servant)[name]
    method = getattr(servant, name + "_async" if amd else name, None) or getattr(
        servant, "_" + name
    )
    assert method.__module__ != servant.__mro__[-2].__module__
    implemented = getattr(servant, "do_" + name, None)
    if implemented is not None:
        void = VOID[f"{_interface(servant, name)}.{name}"]
        assert (implemented.__annotations__["return"] == "None") == void


@pytest.mark.parametrize("service", sorted(factory.SERVICES), ids=str)
def test_what_a_service_does_not_have_is_refused_at_once(blitz: Any, service: str) -> None:
    """Called over Ice, with zero values for arguments, as far as Slice lets them be zero."""
    factory_proxy = blitz.login("root")
    proxy = getattr(factory_proxy, f"get{service}Service")()
    servant, _ = factory.SERVICES[service]
    for name in operations(servant):
        assert _call_with_zeros(proxy, name) != "no answer", name


def _call_with_zeros(proxy: Any, name: str) -> str:
    """Tries values until IcePy marshals them; whatever comes back is an answer."""
    function = getattr(proxy, name)
    count = len(inspect.signature(function).parameters) - 1
    for values in itertools.product((None, 0, "", [], {}, False), repeat=count):
        try:
            function(*values)
        except Ice.TimeoutException:
            return "no answer"
        except (ValueError, TypeError, AttributeError):
            continue  # not marshalled: another kind of value
        except Ice.Exception as error:
            return type(error).__name__
        return "result"
    return "never marshalled"


def test_the_refusal_names_the_operation(blitz: Any) -> None:
    with pytest.raises(omero.ApiUsageException) as refused:
        blitz.login("root").getRoiService()
    assert "ServiceFactory.getRoiService" in refused.value.message
    assert "sandbox" in refused.value.message


def test_an_unexpected_exception_becomes_an_internal_one(
    blitz: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = blitz.login("root")
    config = session.getConfigService()
    monkeypatch.setattr(blitz.sandbox, "properties", None)
    with pytest.raises(omero.InternalException) as failed:
        config.getConfigValues(".*")
    assert "Config.getConfigValues" in failed.value.message
    assert "failed" in caplog.text
