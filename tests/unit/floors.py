"""The floors of the package, from the top down: what each room may use.

One table.  ``test_who_imports_whom.py`` holds the code against it, and
``tools/pictures.py`` draws docs/rooms.svg from it.  A room is a package or, where a package has
modules beside its rooms, one of those modules.  Whatever a room uses stands
below it.
"""

from __future__ import annotations

# What any room may use: the words both servers share.
GROUND = (
    "accounts",
    "attendant",
    "errors",
    "events",
    "filters",
    "filesystems",
    "grid",
    "icegrid",
    "links",
    "names",
    "niceness",
    "packed",
    "private",
    "room",
    "scratch",
    "starts",
    "stores",
    "system_names",
    "unanswered",
)

FLOORS: dict[str, str] = {
    # who looks from far away: the app for OMERO.web, a package of its own
    "omero_fs_web": "dropbox.publishing blitz",
    # who asks: the command line
    "cli": (
        "sandbox checks migration site blitz deployment config dropbox.places "
        "dropbox.userdirs dropbox.situation dropbox.receipts dropbox.publishing dropbox.importing "
        "dropbox.journal dropbox.settling dropbox.targets dropbox.watching dropbox.audit "
        "dropbox.confine dropbox.disks"
    ),
    "checks": (
        "site blitz deployment config dropbox.places dropbox.confine dropbox.grouping "
        "dropbox.importing dropbox.journal monitor.kernel"
    ),
    "site": "deployment config dropbox.journal",
    "migration": "deployment config dropbox.importing",
    "sandbox": "deployment config",
    "dropbox.audit": (
        "dropbox.watching dropbox.receipts dropbox.journal dropbox.disks blitz config"
    ),
    # DropBox, in the order of a file's way
    "dropbox.server": "dropbox.service dropbox.processes config",
    "dropbox.importer": "dropbox.service dropbox.processes config",
    "dropbox.service": (
        "dropbox.watching dropbox.settling dropbox.importing dropbox.journal dropbox.targets "
        "dropbox.letters dropbox.afterwards dropbox.publishing dropbox.metrics "
        "dropbox.processes metrics "
        "dropbox.places dropbox.users dropbox.userdirs dropbox.confine "
        "dropbox.disks blitz config"
    ),
    "dropbox.afterwards": (
        "dropbox.receipts dropbox.importing dropbox.journal dropbox.places dropbox.confine "
        "dropbox.disks blitz config"
    ),
    "dropbox.letters": (
        "dropbox.situation dropbox.journal dropbox.confine dropbox.disks dropbox.processes "
        "blitz config"
    ),
    "dropbox.watching": (
        "dropbox.settling dropbox.journal dropbox.places dropbox.users dropbox.confine "
        "dropbox.disks config"
    ),
    "dropbox.settling": (
        "dropbox.grouping dropbox.journal dropbox.places dropbox.confine dropbox.disks config"
    ),
    "dropbox.grouping": "dropbox.confine dropbox.disks dropbox.processes config",
    "dropbox.importing": (
        "dropbox.targets dropbox.journal dropbox.places dropbox.confine dropbox.disks "
        "dropbox.processes blitz config"
    ),
    "dropbox.metrics": "dropbox.journal",
    "dropbox.publishing": "dropbox.situation dropbox.journal blitz config",
    "dropbox.receipts": "dropbox.journal blitz",
    "dropbox.situation": "dropbox.journal config",
    "dropbox.targets": "dropbox.confine dropbox.disks blitz",
    "dropbox.journal": "blitz",
    "dropbox.userdirs": "dropbox.places dropbox.disks config",
    "dropbox.places": "dropbox.confine dropbox.disks config",
    "dropbox.users": "blitz config",
    "dropbox.confine": "dropbox.disks config",
    "dropbox.disks": "",
    "dropbox.processes": "",
    # FSServer, from the client down to the kernel
    "monitor.server": "monitor.families metrics monitor.servants monitor.monitors "
    "monitor.record monitor.tracking "
    "monitor.access monitor.guests monitor.files monitor.kernel config",
    "monitor.servants": (
        "monitor.monitors monitor.access monitor.guests monitor.files monitor.notices "
        "monitor.requests"
    ),
    "monitor.monitors": (
        "monitor.watcher monitor.guests monitor.telling monitor.record monitor.tracking "
        "monitor.files monitor.notices monitor.requests monitor.kernel"
    ),
    "monitor.watcher": (
        "monitor.waits monitor.guests monitor.telling monitor.record monitor.tracking "
        "monitor.notices monitor.requests monitor.kernel"
    ),
    "monitor.waits": "monitor.telling monitor.tracking monitor.kernel",
    "monitor.telling": "monitor.record monitor.tracking monitor.notices monitor.requests",
    "monitor.record": "monitor.tracking monitor.notices monitor.requests monitor.kernel",
    "monitor.tracking": "monitor.notices monitor.requests monitor.kernel",
    "monitor.access": "monitor.requests monitor.kernel",
    "monitor.guests": "monitor.requests monitor.kernel",
    "monitor.files": "",
    "monitor.families": "monitor.kernel",
    "monitor.notices": "monitor.kernel",
    "monitor.requests": "monitor.kernel",
    "monitor.kernel": "",
    # what all of them stand on
    "blitz": "config",
    "deployment": "config",
    "metrics": "config",
    "config": "",
}

# Inside a room that has rooms, and modules, of its own: the same again.
INSIDE: dict[str, dict[str, str]] = {
    "dropbox.grouping": {
        "bioformats": "confined halving child keeping completeness filesets",
        "confined": "served wire halving child completeness filesets",  # `served` in a process
        "served": "wire native child completeness zarr filesets opening",
        "wire": "child completeness filesets",
        "native": "keeping completeness userfiles opening filesets formats",
        "keeping": "completeness filesets",
        "folders": "filesets",
        "zarr": "zarr_files zarr_chunks filesets opening",
        "zarr_files": "zarr_chunks userfiles opening formats",
        "zarr_chunks": "",
        "completeness": "promises filesets userfiles opening formats",
        "userfiles": "opening",
        "halving": "filesets",
        "promises": "formats",
        "opening": "",
        "child": "",
        "filesets": "",
        "formats": "",
    },
    "blitz": {
        "inventory": "users",
        "sessions": "connection user_session copies filesets publications users verdicts",
        "connection": "users verdicts",
        "user_session": "copies users verdicts",
        "publications": "users",
        "copies": "users verdicts",
        "filesets": "users",
        "users": "",
        "verdicts": "",
    },
    "dropbox.service": {
        "awaiting": "service parts",
        "service": "hearing dispatch figures showing standby hearsay parts configuration",
        "hearing": "dispatch",
        "elsewhere": "dispatch parts configuration",
        "hearsay": "",
        "showing": "parts configuration",
        "standby": "",
        "dispatch": "",
        "figures": "parts configuration",
        "parts": "configuration new_users",
        "new_users": "",
        "configuration": "",
    },
    "dropbox.settling": {
        "handover": "groupers assembly",
        "groupers": "looks rights pipeline lots warmth",
        "rights": "unread pipeline lots",
        "looks": "pipeline",
        "pipeline": (
            "meeting resting large assembly forming overdue stores around underway lots "
            "neighbourhood settle outside"
        ),
        "meeting": "stores underway neighbourhood",
        "resting": "stores underway settle",
        "stores": "underway",
        "large": "forming around lots",
        "assembly": "forming overdue around lots",
        "overdue": "forming lots",
        "forming": "around lots uncovered often",
        "around": "lots outside",
        "underway": "fair left_alone lots settle outside",
        "lots": "neighbourhood",
        "settle": "neighbourhood",
        "neighbourhood": "",
        "often": "",
        "fair": "",
        "left_alone": "",
        "uncovered": "",
        "unread": "",
        "warmth": "",
        "outside": "",
        "writers": "",
    },
    "dropbox.letters": {
        "postman": "notes ways addresses digest faults spells wording outgoing",
        "notes": "",
        "ways": "smtp outgoing",
        "smtp": "outgoing",
        "outgoing": "",
        "addresses": "",
        "digest": "",
        "faults": "",
        "spells": "",
        "wording": "",
    },
    "dropbox.importing": {
        "workers": (
            "tidying runs finishing taking in_hand importing blame load lookout crew turns methods "
            "outage recovery slots beginning"
        ),
        "tidying": "leftovers pool beginning",
        "runs": "taking in_hand importing blame refusals recovery importers",
        "finishing": "in_hand importing blame importers",
        "taking": "blame crew in_hand line load methods turns importers",
        "load": "pace",
        "blame": "refusals outage",
        "in_hand": "leftovers",
        "importing": (
            "together methods attempts leftovers activity pool slots store_importer importers"
        ),
        "methods": "importers",
        "together": "attempts leftovers slots importers",
        "attempts": (
            "duplicates refusals leftovers earlier activity slots store_importer stores importers"
        ),
        "leftovers": "earlier activity pool importers",
        "duplicates": "stores importers",
        "earlier": "activity stores importers",
        "store_importer": "apart stores importers",
        "apart": "stores importers",
        "stores": "unfolding importers",
        "unfolding": "",
        "activity": "",
        "recovery": "importers",
        "quarantine": "undoing staying forsaken lying vault moving copying alone",
        "staying": "",
        "undoing": "returning lying vault moving crossing",
        "returning": "forsaken lying vault moving crossing alone",
        "forsaken": "",
        "lying": "crossing comparing copying importers",
        "vault": "crossing copying alone",
        "moving": "crossing comparing copying",
        "crossing": "carrying removing comparing copying",
        "carrying": "comparing copying",
        "removing": "comparing copying",
        "comparing": "copying",
        "alone": "copying",
        "copying": "",
        "refusals": "",
        "pool": "",
        "pace": "",
        "crew": "",
        "visible": "",
        "line": "",
        "lookout": "",
        "slots": "importers",
        "outage": "",
        "turns": "",
        "beginning": "",
        "importers": "",
    },
}

# The way of one file, from the disk to OMERO: each step, and the rooms that take it.
WAY: dict[str, tuple[str, ...]] = {
    "watch": ("monitor.kernel", "monitor.tracking", "monitor.telling", "dropbox.watching"),
    "settle": ("dropbox.settling",),
    "group": ("dropbox.grouping",),
    "journal": ("dropbox.journal",),
    "import": ("dropbox.importing",),
    "target": ("dropbox.targets",),
    "report": ("cli",),
}
