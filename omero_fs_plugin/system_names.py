"""Pure: names of files and directories that hold no data, and who makes them.

One table.  ``filters.py`` uses it where ignoreSysFiles is set, and
``tools/reference.py`` writes docs/system-names.rst from it.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from .stores import HIDDEN


class SystemName(NamedTuple):
    """One kind of name."""

    pattern: str  # a regular expression of the whole name, case-folded
    examples: tuple[str, ...]
    maker: str  # who makes it, and what it is


# The end of the name of a note that DropBox writes beside what failed (omero.fs.notes).  It is
# never data, whatever ignoreSysFiles says.
NOTE = ".not-imported.txt"
# The name of the file beside data that says where its images go (docs/targets.rst).
SIDECAR = "omero-fs.toml"
# The ends of the hidden names of a store that DropBox moves to another disk: the copy until it is
# whole, and the original while it is removed.  They are never data either.
COMING, LEAVING = ".omero-fs-coming", ".omero-fs-leaving"
_LONGEST = 255  # bytes of a name, on nearly every file system

FILES = (
    SystemName(
        rf".*{re.escape(NOTE)}",
        (f"a.tif{NOTE}",),
        "notes that DropBox writes beside what failed (``omero.fs.notes``); they are passed over "
        "also without ``omero.fs.ignoreSysFiles``",
    ),
    SystemName(
        rf"\.(?!(?:{'|'.join(name[1:] for name in HIDDEN)})\Z).*",
        (".DS_Store", "._a.tif", ".a.tif.x7Y2k1", ".nfs0000000001", ".fuse_hidden01", ".in.a.tif"),
        "hidden files, but not those of Zarr (``.zgroup``, ``.zattrs``, ``.zarray``, "
        "``.zmetadata``): macOS's ``._`` files, the temporary files of rsync, lftp and Syncthing "
        "on Unix, files that NFS and FUSE keep for a program that has them open",
    ),
    SystemName(r".*~", ("a.tif~", "a.tif.~1~"), "backups that editors, cp and lftp leave"),
    SystemName(r"~\$.*", ("~$report.docx",), "lock files of Microsoft Office"),
    SystemName(
        r"~syncthing~.*", ("~syncthing~a.tif.tmp",), "temporary files of Syncthing on Windows"
    ),
    SystemName(r"#.*#", ("#a.tif#",), "autosave files of Emacs"),
    SystemName(
        r".*\.(?:tmp|temp)",
        ("a.tif.tmp", "A.TMP"),
        "temporary files of many programs, among them Windows, Office and SMB clients",
    ),
    SystemName(r".*\.sw[pox]", ("a.txt.swp",), "swap files of Vim"),
    SystemName(
        r".*\.(?:part|partial)",
        ("a.tif.part", "a.tif.6ece1dba.partial", "a.tif.ocTransferId123.part"),
        "files of a copy under way: ``.part`` of Firefox, KDE and Nextcloud; "
        "``.partial`` of rclone, Edge and Aspera",
    ),
    SystemName(r".*\.filepart", ("a.tif.filepart",), "files of a copy under way: WinSCP"),
    SystemName(r".*\.crdownload", ("a.tif.crdownload",), "downloads under way: Chrome, Edge"),
    SystemName(r".*\.download", ("a.tif.download",), "downloads under way: Safari"),
    SystemName(r".*\.opdownload", ("a.tif.opdownload",), "downloads under way: Opera"),
    SystemName(r".*\.dtapart", ("a.tif.dtapart",), "downloads under way: DownThemAll"),
    SystemName(r".*\.aria2", ("a.tif.aria2",), "aria2's notes on a download under way"),
    SystemName(
        r".*\.(?:!(?:qb|ut|bt|sync)|bc!)",
        ("a.tif.!qB", "a.tif.!ut", "a.tif.!sync", "a.tif.bc!"),
        "files of a copy under way: qBittorrent, uTorrent, Resilio Sync, BitComet",
    ),
    SystemName(
        r".*\.fdmdownload", ("a.tif.fdmdownload",), "downloads under way: Free Download Manager"
    ),
    SystemName(
        r".*\.part\.minio",
        ("a.tif.part.minio", "a.tif.9bb58f26192e4ba00f01e2e7b136bbd8.part.minio"),
        "files of a copy under way: MinIO's ``mc`` and its libraries",
    ),
    SystemName(
        r".*\.(?:aspx|aspera-ckpt)",
        ("a.tif.aspx", "a.tif.aspera-ckpt"),
        "Aspera's notes on a copy under way",
    ),
    SystemName(
        r".*\.(?:upload|uploading|downloading|inprogress|incomplete|copying)",
        ("a.tif.upload", "a.tif.downloading", "a.tif.inprogress", "a.tif.incomplete"),
        "files of a copy under way: web uploads, download managers and scripts of many sites",
    ),
    SystemName(
        r".*\.sb-[0-9a-f]+-[0-9a-z]+",
        ("a.tif.sb-1f2e3d4c-aB12cD",),
        "files that a program of macOS saves at the moment",
    ),
    SystemName(r".*_\.gstmp", ("a.tif_.gstmp",), "files of a copy under way: gsutil"),
    SystemName(r".*\.ffs_tmp", ("a.tif.1a2b.ffs_tmp",), "files of a copy under way: FreeFileSync"),
    SystemName(
        r".+\.[a-z][a-z0-9]{1,7}\.(?=[0-9]*[a-f])[0-9a-f]{8}",
        ("a.tif.6EcE1dBa", "a.ome.tiff.00c4F1b2"),
        "files of a copy under way: the AWS command line and boto3 append eight hexadecimal "
        "digits (a name that ends in eight decimal digits, such as a date, is taken for data)",
    ),
    SystemName(
        r"(?:ehthumbs|ehthumbs_vista|thumbs)\.db|desktop\.ini",
        ("Thumbs.db", "ehthumbs.db", "desktop.ini"),
        "what Windows Explorer keeps of a directory",
    ),
)

DIRECTORIES = (
    SystemName(
        rf"\..*(?:{re.escape(COMING)}|{re.escape(LEAVING)})",
        (f".a.zarr{COMING}", f".a.zarr{LEAVING}"),
        "stores that DropBox moves to another disk or back (``omero.fs.quarantine``); they are "
        "passed over also without ``omero.fs.ignoreSysFiles``",
    ),
    SystemName(
        r"\..*",
        (".snapshot", ".Trash-1000", ".recycle", ".zfs", ".git", ".stversions"),
        "hidden directories: snapshots (NetApp, ZFS), recycle bins (desktops of Linux, Samba), "
        "old versions of Syncthing",
    ),
    SystemName(
        r"\$recycle\.bin|recycler|recycled|system volume information",
        ("$RECYCLE.BIN", "RECYCLER", "Recycled", "System Volume Information"),
        "Windows: recycle bins of each release, and restore points",
    ),
    SystemName(
        r"#recycle|#snapshot|@eadir|@tmp",
        ("#recycle", "#snapshot", "@eaDir", "@tmp"),
        "Synology: recycle bin, snapshots, indexes, temporary files",
    ),
    SystemName(
        r"@recycle|@recently-snapshot",
        ("@Recycle", "@Recently-Snapshot"),
        "QNAP: recycle bin, snapshots",
    ),
    SystemName(r"~snapshot", ("~snapshot",), "NetApp: snapshots, as Windows sees them"),
    SystemName(
        r"@gmt-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d",
        ("@GMT-2026.11.30-06.00.00",),
        "snapshots that Samba offers as previous versions (vfs_shadow_copy2)",
    ),
    SystemName(
        r"trash|files_trashbin|files_versions",
        ("Trash", "files_trashbin", "files_versions"),
        "recycle bins and old versions: desktops of Linux, Nextcloud and ownCloud",
    ),
    SystemName(
        r"_gsdata_", ("_gsdata_",), "GoodSync: deleted files, old versions and its own state"
    ),
    SystemName(
        r"network trash folder|temporary items",
        ("Network Trash Folder", "Temporary Items"),
        "what Macs keep on shares over AFP",
    ),
    SystemName(
        r"lost\+found|found\.\d{3}",
        ("lost+found", "FOUND.000"),
        "what a repair of the file system found, on Unix and on Windows",
    ),
    SystemName(r"__macosx", ("__MACOSX",), "what macOS adds to a ZIP archive"),
    SystemName(
        r".*\.(?:crdownload|download|opdownload|part|partial|cyberducksegment)",
        ("a.tif.download", "a.tif.cyberducksegment"),
        "downloads under way that are directories: Safari, Cyberduck",
    ),
)


def kind_of(name: SystemName) -> str:
    """What such a name is, in plain text."""
    return name.maker.replace("``", "")


# What file managers and servers put beside files, also into a store: it is no part of that.  All
# other names are: a label image may be called "trash".
BESIDE = (
    SystemName(
        r"\.ds_store|\._.*|\.directory",
        (".DS_Store", "._0.0", ".directory"),
        "what macOS and KDE keep of a directory and of each file",
    ),
    SystemName(
        r"(?:ehthumbs|ehthumbs_vista|thumbs)\.db|desktop\.ini",
        ("Thumbs.db", "desktop.ini"),
        "what Windows Explorer keeps of a directory",
    ),
    SystemName(
        r"\.nfs[0-9a-f]{8,}|\.fuse_hidden[0-9a-f]{8,}",
        (".nfs000000000123abcd00000001", ".fuse_hidden0000000100000002"),
        "files that NFS and FUSE keep for a program that has them open",
    ),
)
BESIDE_DIRECTORIES = (
    SystemName(
        r"@eadir|\.@__thumb|\.appledouble",
        ("@eaDir", ".@__thumb", ".AppleDouble"),
        "what Synology, QNAP and servers of AFP keep of each directory",
    ),
)


def any_of(names: tuple[SystemName, ...]) -> re.Pattern[str]:
    """Matches a whole name, case-folded, that is one of `names`."""
    return re.compile(_either([one.pattern for one in names]) + r"\Z", re.DOTALL)


def _either(patterns: list[str]) -> str:
    """One pattern for all.  Those that begin alike do so once, which takes half of the time."""
    for start in (r".*\.", ".*"):
        alike = [pattern for pattern in patterns if pattern.startswith(start)]
        if len(alike) > 1:
            rests = "|".join(pattern[len(start) :] for pattern in alike)
            others = [pattern for pattern in patterns if pattern not in alike]
            patterns = [*others, f"{start}(?:{rests})"]
    return f"(?:{'|'.join(patterns)})"


_BESIDE, _BESIDE_DIRECTORY = any_of(BESIDE), any_of(BESIDE_DIRECTORIES)
_FIRST = frozenset(".@dDeEtT")  # letters of these names: a chunk begins with another


def is_beside(name: str, *, directory: bool = False) -> bool:
    """Whether a file or directory of a store, called so, is no part of it: see `BESIDE`."""
    if name[0] not in _FIRST:
        return False
    known = _BESIDE_DIRECTORY if directory else _BESIDE
    return known.match(name.casefold()) is not None


def is_no_member(name: str) -> bool:
    """Whether a file called so is no part of a set, though a reader takes all of a directory."""
    return name == SIDECAR or name.endswith(NOTE) or is_beside(name)


def coming_of(name: str) -> str:
    """The name that the copy of a store `name` has until it is whole."""
    return _hidden(name, COMING)


def leaving_of(name: str) -> str:
    """The name that a store `name` has while it is removed, because it lies elsewhere."""
    return _hidden(name, LEAVING)


def is_on_its_way(name: str) -> bool:
    """Whether a directory has such a name."""
    return name.startswith(".") and name.endswith((COMING, LEAVING))


def _hidden(name: str, end: str) -> str:
    short = os.fsencode(name)[: _LONGEST - len(end) - 1]
    # A name that is cut within a character would be no text for SMB and APFS.
    kept = short.decode("utf-8", "ignore") if len(short) < len(os.fsencode(name)) else name
    return f".{kept}{end}"
