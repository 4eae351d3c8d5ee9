"""Compares two configurations: whether they differ, and which changes need a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields

from .mail import MAIL_PREFIX
from .properties import BY_NAME, PREFIX
from .settings import DATA_DIR, FIELDS, MANAGED_DIR, MONITORING_FIELDS, Monitoring, Settings

_OF_SETTINGS = {of: name for name, of in FIELDS.items()}


def digest(properties: Mapping[str, str]) -> str:
    """A text that is different for different values of our properties."""
    ours = sorted(
        (key, value.strip())
        for key, value in properties.items()
        if value.strip()
        and (key.startswith((PREFIX, MAIL_PREFIX)) or key in (DATA_DIR, MANAGED_DIR))
    )
    return hashlib.sha256(repr(ours).encode()).hexdigest()[:16]


def needs_restart(before: Settings, after: Settings) -> list[str]:
    """The changed properties that a server reads only when it starts."""
    changed = [
        _OF_SETTINGS[one.name]
        for one in fields(Settings)
        if one.name in _OF_SETTINGS and getattr(before, one.name) != getattr(after, one.name)
    ]
    found = [PREFIX + name for name in changed if BY_NAME[name].restart]
    return [*found, DATA_DIR] if before.data_dir != after.data_dir else found


def changed_monitoring(before: Monitoring, after: Monitoring) -> list[str]:
    """The changed properties of FSServer, which reads all of them when it starts."""
    names = {
        "record": "monitors",
        "metrics": "metrics",
        **{of: name for name, of in MONITORING_FIELDS.items()},
    }
    return [
        PREFIX + name for of, name in names.items() if getattr(before, of) != getattr(after, of)
    ]
