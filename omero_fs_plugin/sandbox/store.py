"""What the sandbox server keeps, in SQLite: the part of OMERO's model that it has.

`MODEL` names entities and attributes as OMERO does, so that HQL and the
classes of omero.model map onto the tables plainly: a table for each entity, a
column for each attribute.  The file is <omero.data.dir>/sandbox.sqlite.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

FILE = "sandbox.sqlite"

# One entity a line: Name, then its attributes.  `a` is text, `a:int` typed (also bool, float, time
# in ms, length, map of names and values), `a>Entity.many` a reference whose other side is the
# collection `many` (`-`: none), and `_a` a column that omero.model does not have.  An
# `_externalInfo` is that of the details.
MODEL_TEXT = """
ChecksumAlgorithm       value
DimensionOrder          value
PixelsType              value bitSize:int
Format                  value
JobStatus               value
EventType               value
Family                  value
RenderingModel          value
Node                    uuid conn up:time down:time
Experimenter            omeName firstName middleName lastName email institution ldap:bool _password
ExperimenterGroup       name description ldap:bool _permissions
GroupExperimenterMap    parent>ExperimenterGroup.groupExperimenterMap child>Experimenter.groupExperimenterMap owner:bool _position:int
AdminPrivilege          value
Session                 uuid owner>Experimenter.- sudoer>Experimenter.- timeToIdle:int timeToLive:int started:time closed:time message defaultEventType userAgent userIP _group:int
OriginalFile            path name size:int atime:time mtime:time ctime:time hash hasher>ChecksumAlgorithm.- repo mimetype
Fileset                 templatePrefix
FilesetEntry            fileset>Fileset.usedFiles originalFile>OriginalFile.filesetEntries clientPath _position:int
Image                   name description series:int acquisitionDate:time archived:bool partial:bool format>Format.- fileset>Fileset.images _externalInfo>ExternalInfo.-
ExternalInfo            entityId:int entityType lsid uuid
Pixels                  image>Image.pixels sizeX:int sizeY:int sizeZ:int sizeC:int sizeT:int significantBits:int sha1 methodology physicalSizeX:length physicalSizeY:length physicalSizeZ:length dimensionOrder>DimensionOrder.- pixelsType>PixelsType.-
Channel                 pixels>Pixels.channels _position:int red:int green:int blue:int alpha:int logicalChannel>LogicalChannel.channels statsInfo>StatsInfo.-
LogicalChannel          name
StatsInfo               globalMin:float globalMax:float
RenderingDef            pixels>Pixels.settings name defaultZ:int defaultT:int model>RenderingModel.- quantization>QuantumDef.-
QuantumDef              cdStart:int cdEnd:int bitResolution:int
ChannelBinding          renderingDef>RenderingDef.waveRendering family>Family.- coefficient:float inputStart:float inputEnd:float active:bool noiseReduction:bool red:int green:int blue:int alpha:int
PixelsOriginalFileMap   parent>OriginalFile.pixelsFileMaps child>Pixels.pixelsFileMaps
Project                 name description
Dataset                 name description
ProjectDatasetLink      parent>Project.datasetLinks child>Dataset.projectLinks
DatasetImageLink        parent>Dataset.imageLinks child>Image.datasetLinks
Screen                  name description
Plate                   name description status rows:int columns:int rowNamingConvention columnNamingConvention
ScreenPlateLink         parent>Screen.plateLinks child>Plate.screenLinks
Well                    plate>Plate.wells row:int column:int
WellSample              well>Well.wellSamples image>Image.wellSamples
Annotation              ns name description textValue longValue:int boolValue:bool doubleValue:float timeValue:time mapValue:map file>OriginalFile.- _type
FilesetAnnotationLink   parent>Fileset.annotationLinks child>Annotation.-
ImageAnnotationLink     parent>Image.annotationLinks child>Annotation.-
DatasetAnnotationLink   parent>Dataset.annotationLinks child>Annotation.-
ProjectAnnotationLink   parent>Project.annotationLinks child>Annotation.-
ScreenAnnotationLink    parent>Screen.annotationLinks child>Annotation.-
PlateAnnotationLink     parent>Plate.annotationLinks child>Annotation.-
OriginalFileAnnotationLink parent>OriginalFile.annotationLinks child>Annotation.-
ExperimenterAnnotationLink parent>Experimenter.annotationLinks child>Annotation.-
ExperimenterGroupAnnotationLink parent>ExperimenterGroup.annotationLinks child>Annotation.-
Job                     username groupname type message submitted:time scheduledFor:time started:time finished:time status>JobStatus.- versionInfo:map _type
FilesetJobLink          parent>Fileset.jobLinks child>Job.- _position:int
JobOriginalFileLink     parent>Job.originalFileLinks child>OriginalFile.-
"""  # noqa: E501


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Entities that belong to nobody: everyone sees them.
UNOWNED = _words(
    "ChecksumAlgorithm DimensionOrder PixelsType Format JobStatus EventType Family RenderingModel "
    "Node AdminPrivilege Experimenter ExperimenterGroup GroupExperimenterMap Session"
)
# Subclasses share the table of their base, which tells them apart by its column `_type`.
_BASES = {
    "Annotation": _words("Comment Tag Map Xml Long Boolean Double Timestamp File"),
    "Job": _words("Upload MetadataImport PixelData Indexing ThumbnailGeneration"),
}
SUBTYPES: Mapping[str, str] = {kind + b: b for b, kinds in _BASES.items() for kind in kinds}

ENUMERATIONS: Mapping[str, tuple[str, ...]] = {
    "ChecksumAlgorithm": _words(
        "Adler-32 CRC-32 MD5-128 Murmur3-32 Murmur3-128 SHA1-160 File-Size-64"
    ),
    "DimensionOrder": _words("XYZCT XYZTC XYCTZ XYCZT XYTCZ XYTZC"),
    "JobStatus": _words("Submitted Queued Running Error Waiting Finished Cancelled"),
    "Family": _words("linear polynomial exponential logarithmic"),
    "RenderingModel": _words("rgb greyscale"),
    "EventType": _words("Bootstrap System Internal User Sessions Processing Import Test"),
    "AdminPrivilege": _words(
        "Chgrp Chown DeleteFile DeleteManagedRepo DeleteOwned DeleteScriptRepo ModifyGroup "
        "ModifyGroupMembership ModifyUser ReadSession Sudo WriteFile WriteManagedRepo WriteOwned "
        "WriteScriptRepo"
    ),
}
PIXEL_TYPES = {
    "bit": 1, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32,
    "float": 32, "double": 64, "complex": 64, "double-complex": 128,
}  # fmt: skip

_TYPES: Mapping[str, Any] = {
    "text": sa.Text,
    "int": sa.BigInteger,
    "time": sa.BigInteger,
    "bool": sa.Boolean,
    "float": sa.Float,
    "length": sa.JSON(none_as_null=True),
    "map": sa.JSON(none_as_null=True),
}


@dataclass(frozen=True)
class Entity:
    """One entity of the model and its table."""

    name: str
    columns: dict[str, str] = field(default_factory=dict)  # attribute -> kind; no references
    references: dict[str, str] = field(default_factory=dict)  # attribute -> entity
    collections: dict[str, tuple[str, str]] = field(default_factory=dict)  # -> (entity, its ref)

    @property
    def owned(self) -> bool:
        """Has an owner and a group: the columns owner_id and group_id.  Also `creation` (ms) and,
        once it was changed, `updated`."""
        return self.name not in UNOWNED


def _parse(text: str) -> dict[str, Entity]:
    lines = [line.split() for line in text.strip().splitlines()]
    model = {words[0]: Entity(words[0]) for words in lines}
    for name, *attributes in lines:
        for word in attributes:
            if ">" in word:
                attribute, _, target = word.partition(">")
                target, _, many = target.partition(".")
                model[name].references[attribute] = target
                if many != "-":
                    model[target].collections[many] = (name, attribute)
            else:
                attribute, _, kind = word.partition(":")
                model[name].columns[attribute] = kind or "text"
    return model


MODEL: Mapping[str, Entity] = _parse(MODEL_TEXT)

metadata = sa.MetaData()

_UNIQUE = {("Experimenter", "omeName"), ("ExperimenterGroup", "name"), ("Session", "uuid")}
_INDEXED = {("FilesetEntry", "clientPath"), ("OriginalFile", "path"), ("Annotation", "ns")}


def _table(entity: Entity) -> sa.Table:
    columns: list[sa.Column[Any]] = [sa.Column("id", sa.Integer, primary_key=True)]
    for name, kind in entity.columns.items():
        key = (entity.name, name)
        columns.append(sa.Column(name, _TYPES[kind], unique=key in _UNIQUE, index=key in _INDEXED))
    for name in entity.references:
        columns.append(sa.Column(name, sa.Integer, index=True))
    if entity.owned:
        columns += [sa.Column(c, sa.Integer, index=True) for c in ("owner_id", "group_id")]
        columns += [sa.Column(c, sa.BigInteger) for c in ("creation", "updated")]
    # An id is never given twice, even if the row with that id was deleted.
    return sa.Table(entity.name.lower(), metadata, *columns, sqlite_autoincrement=True)


TABLES: Mapping[str, sa.Table] = {name: _table(entity) for name, entity in MODEL.items()}

# The database's own identity, which clients ask for; one row.
SELF = sa.Table("sandbox", metadata, sa.Column("uuid", sa.Text, primary_key=True))

# Limited administrators: group `system`, and only these privileges.
PRIVILEGES = sa.Table(
    "experimenterprivilege",
    metadata,
    sa.Column("experimenter", sa.Integer, primary_key=True),
    sa.Column("privilege", sa.Text, primary_key=True),
)


_ID = "row_id"  # a parameter's name that no column has

# To make a statement costs more than to carry it out, so the usual ones are made once.


@cache
def _insert(table: sa.Table) -> sa.Insert:
    return table.insert()


@cache
def _update(table: sa.Table, columns: tuple[str, ...]) -> sa.Update:
    values: dict[str, Any] = {name: sa.bindparam(name) for name in columns}
    return table.update().where(table.c.id == sa.bindparam(_ID)).values(values)


@cache
def _select(table: sa.Table, given: tuple[tuple[str, bool], ...]) -> sa.Select[Any]:
    """`given`: the columns that are to equal something, and whether that is no value."""
    where = (
        table.c[name].is_(None) if nothing else table.c[name] == sa.bindparam(name)
        for name, nothing in given
    )
    return sa.select(table).where(*where).order_by(table.c.id)


def base(name: str) -> str:
    """The entity in whose table `name` lies: itself, or the base class of a subtype.

    Raises KeyError if the sandbox does not have it.
    """
    entity = SUBTYPES.get(name, name)
    MODEL[entity]
    return entity


class Store:
    """The database.  One transaction at a time writes, any number of them read.  Thread-safe."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.engine = sa.create_engine(
            f"sqlite:///{file}",
            pool_size=20,
            max_overflow=80,
            enable_from_linting=False,  # queries come from outside, as they are
        )
        sa.event.listen(self.engine, "connect", _on_connect)
        sa.event.listen(self.engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
        self._writing = threading.RLock()
        self._enums: dict[tuple[str, str], int] = {}
        with self.begin() as db:
            new = self._bring_up_to_date(db)
            known = db.execute(sa.select(SELF.c.uuid)).scalar()
            self.uuid = known or str(uuid.uuid4())
            if not known:
                db.execute(SELF.insert().values(uuid=self.uuid))
                for value, bits in PIXEL_TYPES.items():
                    self.insert(db, "PixelsType", value=value, bitSize=bits)
            for entity in new & ENUMERATIONS.keys():
                for value in ENUMERATIONS[entity]:
                    self.insert(db, entity, value=value)

    def _bring_up_to_date(self, db: sa.Connection) -> set[str]:
        """Makes the tables that are missing, and adds what those of an older release lack.

        Gives the entities whose tables are new.

        It looks once, at all tables together: each look at one costs as much as all of them.
        """
        there: dict[str, set[str]] = {}
        for table, column in db.exec_driver_sql(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table'"
        ):
            there.setdefault(table, set()).add(column)
        missing = [table for table in metadata.sorted_tables if table.name not in there]
        metadata.create_all(db, missing, checkfirst=False)
        for table in metadata.sorted_tables:
            known = there.get(table.name)
            for column in table.c:
                if known is not None and column.name not in known:
                    kind = column.type.compile(self.engine.dialect)
                    db.exec_driver_sql(
                        f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" {kind}'
                    )
        return {name for name, table in TABLES.items() if table in missing}

    def close(self) -> None:
        """Closes the file."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction that may write: committed at the end, rolled back by an exception."""
        with self._writing, self.engine.begin() as db:
            yield db

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent state of the database, without waiting for a writer."""
        with self.engine.connect() as db:
            yield db

    def insert(
        self,
        db: sa.Connection,
        entity: str,
        *,
        owner: int | None = None,
        group: int | None = None,
        **values: Any,
    ) -> int:
        """A new row, its id; `owner` and `group` for owned entities.

        A subtype's name, such as UploadJob, sets `_type`.
        """
        values.update(_implied(entity, owner, group))
        table = TABLES[base(entity)]
        return int(db.execute(_insert(table), values).inserted_primary_key[0])  # type: ignore[index]

    def insert_many(
        self,
        db: sa.Connection,
        entity: str,
        rows: Sequence[dict[str, Any]],
        *,
        owner: int | None = None,
        group: int | None = None,
    ) -> list[int]:
        """As `insert`, for many rows with the same columns.  Others cannot write meanwhile."""
        table = TABLES[base(entity)]
        # SQLite notes the highest id that it ever gave.
        given = db.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,))
        first = int(given.scalar() or 0) + 1
        ids = list(range(first, first + len(rows)))
        implied = _implied(entity, owner, group)
        if rows:
            some = zip(ids, rows, strict=True)
            db.execute(_insert(table), [{**row, **implied, "id": row_id} for row_id, row in some])
        return ids

    def update(self, db: sa.Connection, entity: str, *row_ids: int, **values: Any) -> None:
        """Changes rows."""
        table = TABLES[base(entity)]
        if MODEL[base(entity)].owned:
            values = {"updated": int(time.time() * 1000), **values}
        if values and row_ids:
            db.execute(_update(table, tuple(values)), [{_ID: one, **values} for one in row_ids])

    def delete(self, db: sa.Connection, entity: str, *row_ids: int) -> None:
        """Removes rows."""
        table = TABLES[base(entity)]
        db.execute(table.delete().where(table.c.id.in_(row_ids)))

    def row(self, db: sa.Connection, entity: str, row_id: int) -> Mapping[str, Any] | None:
        """One row as column -> value, or None."""
        return self.first(db, entity, id=row_id)

    def first(self, db: sa.Connection, entity: str, **equal: Any) -> Mapping[str, Any] | None:
        """The first row, by id, whose columns equal these values, or None."""
        found = self.rows(db, entity, **equal)
        return found[0] if found else None

    def rows(self, db: sa.Connection, entity: str, **equal: Any) -> list[Mapping[str, Any]]:
        """All rows, by id, whose columns equal these values."""
        given = tuple((name, value is None) for name, value in equal.items())
        found = db.execute(_select(TABLES[base(entity)], given), equal)
        return [dict(row) for row in found.mappings()]

    def enum(self, db: sa.Connection, entity: str, value: str) -> int:
        """The id of an enumeration's value.  A new value is added, as OMERO does with formats."""
        key = (entity, value)
        if key not in self._enums:
            found = self.first(db, entity, value=value)
            if found is None:
                return self.insert(db, entity, value=value)  # not cached: may be rolled back
            self._enums[key] = found["id"]
        return self._enums[key]


def _implied(entity: str, owner: int | None, group: int | None) -> dict[str, Any]:
    """The values of a new row that its entity implies."""
    values: dict[str, Any] = {}
    if MODEL[base(entity)].owned:
        if owner is None or group is None:
            raise ValueError(f"{entity} needs an owner and a group")
        values.update(owner_id=owner, group_id=group, creation=int(time.time() * 1000))
    elif owner is not None:  # there it is an attribute like others
        values["owner"] = owner
    if "_type" in TABLES[base(entity)].c:
        if entity not in SUBTYPES:
            raise ValueError(f"{entity}: one of its subtypes must be named")
        values["_type"] = entity
    return values


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin when we say so
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")
