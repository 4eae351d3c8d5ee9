from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.config.readers import KNOWN, read_readers, takes
from omero_fs_plugin.errors import ConfigurationError

TIFF = "loci.formats.in.TiffDelegateReader"
ZIP = "loci.formats.in.ZipReader"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "readers.txt"


@pytest.mark.parametrize(
    ("text", "readers"),
    [
        (f"{TIFF}\n{ZIP}\n", (TIFF, ZIP)),
        ("ZipReader\r\nTiffDelegateReader", (ZIP, TIFF)),
        (f"# all\n\n  {ZIP}   # zip\n#{TIFF}\n", (ZIP,)),
        (f"{ZIP}[type=external]   # a\nTiffDelegateReader [a=b,c=d]\n", (ZIP, TIFF)),
        (f"{TIFF}\nTiffDelegateReader\n{ZIP}", (TIFF, ZIP)),
        ("\ufeffZipReader\n", (ZIP,)),
    ],
    ids=["order", "simple names", "comments", "options", "twice", "byte order mark"],
)
def test_a_list(file: Path, text: str, readers: tuple[str, ...]) -> None:
    file.write_text(text, encoding="utf-8", newline="")
    assert read_readers(file) == readers


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "names no reader"),
        (b"# TiffReader\n\n", "names no reader"),
        (b"# x\nTifReader\n", r"line 2: Bio-Formats has no reader TifReader: did you mean T"),
        (b"tiffdelegatereader", "did you mean TiffDelegateReader"),
        (b"loci.formats.in.OMETifReader", r"did you mean loci\.formats\.in\.OMETiffReader\?"),
        (b"Nonsense", "remove the line, or correct it"),
        (b"TiffReader, JPEGReader", "is not a reader class: write one"),
        (b"TiffReader[a", "is not a reader class"),
        (b"II*\0" * 9, "not a list of reader classes"),
        (b"TiffReader\n" * 100_000, "not a list of reader classes"),
        (b"\xff\xfe\n", "is not a reader class"),
    ],
    ids=[
        "empty",
        "comments",
        "near",
        "case",
        "canonical",
        "far",
        "comma",
        "bracket",
        "binary",
        "long",
        "encoding",
    ],
)
def test_what_is_wrong_is_told_in_one_line(file: Path, data: bytes, said: str) -> None:
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_readers(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_readers(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="directory"):
        read_readers(tmp_path)


def test_the_classes_of_another_jar(file: Path) -> None:
    file.write_text("MyReader\nZipReader\n")
    assert read_readers(file, {"org.example.MyReader", ZIP}) == ("org.example.MyReader", ZIP)
    with pytest.raises(ConfigurationError, match="line 2"):
        read_readers(file, ["org.example.MyReader"])


def test_the_jars_are_looked_into_only_for_a_class_that_nobody_knows(file: Path) -> None:
    looks = []

    def more() -> set[str]:
        looks.append(1)
        return {"org.example.in.MyReader", "org.example.in.ZipReader"}

    file.write_text("ZipReader\n")
    assert read_readers(file, more=more) == (ZIP,) and not looks
    file.write_text("MyReader\nZipReader\norg.example.in.ZipReader\n")
    found = read_readers(file, more=more)
    assert found == ("org.example.in.MyReader", ZIP, "org.example.in.ZipReader")
    assert len(looks) == 1
    file.write_text("MyRaeder\n")
    with pytest.raises(ConfigurationError, match="did you mean MyReader"):
        read_readers(file, more=more)


def test_known_classes() -> None:
    assert len(KNOWN) == len(set(KNOWN)) > 170
    assert {TIFF, ZIP, "loci.formats.in.OMETiffReader", "loci.formats.in.TiffReader"} <= {*KNOWN}


def test_what_a_list_takes() -> None:
    assert takes(None, TIFF)
    assert takes(["TiffDelegateReader"], TIFF) and takes(["TiffReader"], TIFF)
    assert not takes([ZIP], TIFF)
