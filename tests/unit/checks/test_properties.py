"""`omero fs check` over properties: wrong values, and where they stand."""

from __future__ import annotations

from pathlib import Path

from omero_fs_plugin.checks import Line, Subject, configuration
from omero_fs_plugin.deployment.sources import Origin, Sources

from .sites import ERROR, OK, WARNING, levels, only, rule, subject


def test_right_values(site: Path) -> None:
    line = only(configuration.values(subject(site, importers="3")))
    assert line.level is OK
    assert line.what.startswith("1 of ")


def test_wrong_values_of_both_servers_are_told_once(site: Path) -> None:
    lines = list(
        configuration.values(
            subject(site, importers="x", serverIdString="A;B", observer="fam", importer5="1")
        )
    )
    assert levels(lines) == [ERROR, ERROR, WARNING]
    assert len({line.what for line in lines}) == len(lines)
    assert "omero config set -- omero.fs.importers VALUE" in lines[0].remedy
    assert lines[-1].remedy == "remove it: `omero config set omero.fs.importer5`"


def test_a_wrong_value_in_templates_xml_says_where_it_is(site: Path) -> None:
    key = "omero.fs.importers"
    of = Subject(site, Sources({key: "x"}, {key: Origin.TEMPLATES}))
    assert "templates.xml" in only(configuration.values(of)).remedy


def test_an_edit_that_the_next_start_undoes(site: Path) -> None:
    written = (site / "etc/templates/grid/templates.xml").read_text()
    generated = site / "etc/grid/templates.xml"
    generated.write_text(written)
    assert list(configuration.edited(subject(site))) == []
    generated.write_text(written.replace('importers" value="2"', 'importers" value="4"'))
    line = only(configuration.edited(subject(site)))
    assert line.level is WARNING
    assert line.remedy == "`omero config set -- omero.fs.importers 4`"


def methods(site: Path, **named: str) -> list[Line]:
    of = subject(site, **named)
    return list(configuration.method(of, rule(of)))


def test_readers(site: Path) -> None:
    file = site / "readers.txt"
    (missing,) = methods(site, readers=str(file))
    assert missing.level is ERROR
    file.write_text("TiffReader\nZeissCZIReader\n")
    assert f", 2 readers of {file};" in methods(site, readers=str(file))[0].what
    file.write_text("TifReader\n")
    (wrong,) = methods(site, readers=str(file))
    assert (wrong.level, wrong.what.endswith("did you mean TiffReader?")) == (ERROR, True)
    assert wrong.remedy.startswith("`omero config set -- omero.fs.readers VALUE`")


def test_import_args(site: Path) -> None:
    assert levels(methods(site)) == [OK]
    assert levels(methods(site, importArgs="--name 'a b'")) == [OK]
    # OMERO's documentation has it as an example.
    assert levels(methods(site, importArgs="-report -send")) == [OK]
    assert levels(methods(site, importArgs="-s other")) == [WARNING, OK]
    assert levels(methods(site, importArgs="--name", target="Nothing:x")) == [ERROR, ERROR]
    assert levels(methods(site, importArgs="--annotation-ns x")) == [ERROR]
    assert levels(methods(site, importer="java")) == [ERROR]
