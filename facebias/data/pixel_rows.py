"""Faces whose pixels stand in a CSV file, one face a line: FER-2013's way to publish faces.

    emotion,pixels,Usage
    0,70 80 82 72 58 ...,Training

The source of such a face is `fer2013.csv#pixels=48x48@0`: the file, the column of the pixels, width
and height, and the row from 0 below the header. A file may have a column for each pixel instead,
`emotion,pixel0,pixel1,...`; then the source names the first and the last of them,
`faces.csv#pixel0..pixel2303=48x48@0`.

A face is read from its own line: of a file of 300 MB only the places of the lines are held.
"""

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError

_SOURCE = re.compile(r"(.+\.csv)#(.+)=(\d+)x(\d+)@(\d+)", re.IGNORECASE | re.DOTALL)
_TO = ".."  # between the first and the last of many columns
_BLOCK = 1 << 24  # bytes that are searched for line ends at once
_DIGITS = 3  # of a number up to 255
_LISTED = 10  # columns that a message names


@dataclass(frozen=True)
class PixelRow:
    """A face in a CSV file.

    Args:
        file: the CSV file.
        column: holds gray values 0..255, row by row, with spaces between; or `FIRST..LAST`, columns
            that hold one each.
        width: of the face, pixels.
        height: of the face, pixels.
        row: 0 is the first line below the header.
    """

    file: str
    column: str
    width: int
    height: int
    row: int

    @property
    def source(self) -> str:
        """The face as the `source` of a FaceTable."""
        return f"{self.file}#{self.column}={self.width}x{self.height}@{self.row}"


def find_pixel_row(source: str | Path) -> PixelRow | None:
    """Return the face that a source names, None where the source is a file.

    >>> find_pixel_row("fer2013.csv#pixels=48x48@7").row
    7
    """
    found = _SOURCE.fullmatch(str(source))
    if found is None:
        return None
    file, column, width, height, row = found.groups()
    return PixelRow(file, column, int(width), int(height), int(row))


@dataclass(frozen=True, eq=False)
class PixelFile:
    """A CSV file with a face a line; `open_pixel_file` finds where its lines begin.

    Args:
        path: a file in UTF-8, without line breaks inside of quotes.
        columns: the names in its header, without spaces around them.
        delimiter: what parts the columns: a comma, a semicolon or a tab.
        starts: (rows + 1,) where each row begins, and where the last one ends, in bytes.
    """

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of lines below the header."""
        return len(self.starts) - 1

    def fields(self, row: int) -> list[str]:
        """Return the fields of a row, without spaces around them."""
        with self.path.open("rb") as file:
            file.seek(int(self.starts[row]))
            line = file.read(int(self.starts[row + 1] - self.starts[row]))
        return _fields(line.decode(errors="replace"), self.delimiter, len(self.columns))

    def place(self, column: str) -> slice:
        """Return where a column lies, or the columns `FIRST..LAST`.

        Raises:
            DataError: if the file lacks it.
        """
        first, _, last = (column, "", column) if column in self.columns else column.partition(_TO)
        if not {first, last} <= set(self.columns):
            there = ", ".join(self.columns[:_LISTED])
            more = len(self.columns) - _LISTED
            raise DataError(
                f"{self.path} has the columns {there}{f' and {more} more' if more > 0 else ''}",
                f"the column {column}",
                "name yours with data.reader.columns: {pixels: COLUMN}",
            )
        return slice(self.columns.index(first), self.columns.index(last) + 1)


def open_pixel_file(path: Path) -> PixelFile:
    """Find the lines of a CSV file; of a file that has not changed since, they are known.

    Raises:
        OSError: if the file cannot be read.
        DataError: if it is empty or not in UTF-8.
    """
    status = path.stat()
    return _scanned(path, status.st_mtime_ns, status.st_size)


def read_gray_map(face: PixelRow) -> bytes:
    """Return a face as the content of a PGM file.

    Raises:
        OSError: if the CSV file cannot be read.
        DataError: if it lacks the column or the row, or the row has other than width x height
            numbers 0..255.
    """
    file = open_pixel_file(Path(face.file))
    place = file.place(face.column)
    if face.row >= len(file):
        raise DataError(f"{file.path} has {len(file)} rows", f"row {face.row} (from 0)")
    fields = file.fields(face.row)
    if len(fields) != len(file.columns):
        raise DataError(
            f"row {face.row} of {file.path} has {len(fields)} columns",
            f"{len(file.columns)}, as its header has",
        )
    values = parse_pixels(" ".join(fields[place]))
    wanted = face.width * face.height
    if values is None or len(values) != wanted:
        found = "something else than numbers 0 to 255" if values is None else len(values)
        raise DataError(
            f"row {face.row} of {file.path} has {found}",
            f"{wanted} numbers 0 to 255 for {face.width} x {face.height} pixels",
        )
    return b"P5 %d %d 255 " % (face.width, face.height) + values.tobytes()


def parse_pixels(text: str) -> npt.NDArray[np.uint8] | None:
    """Return the numbers 0..255 of a text, or None if there is anything else in it.

    All numbers are read at once, by the places of their digits, and not one by one.

    >>> parse_pixels("7 070  255").tolist()
    [7, 70, 255]
    """
    padded = f"{' ' * _DIGITS}{text} ".encode()
    values = np.frombuffer(padded, np.uint8).astype(np.int16) - ord("0")
    inside = values >= 0
    if np.any(values > 9) or np.any(~inside & (values > ord(" ") - ord("0"))):
        return None
    ends = np.flatnonzero(inside[:-1] & ~inside[1:])
    numbers, going_on = np.zeros(len(ends), np.int16), np.ones(len(ends), bool)
    for digit in range(_DIGITS):
        going_on &= inside[ends - digit]
        numbers += np.where(going_on, values[ends - digit], 0) * np.int16(10**digit)
    too_long = going_on & inside[ends - _DIGITS]
    return None if np.any(too_long | (numbers > 255)) else numbers.astype(np.uint8)


@lru_cache(maxsize=4)  # the faces of one data set lie in one file, or two
def _scanned(path: Path, _time: int, _size: int) -> PixelFile:
    """Read the header of a file, and find where its lines begin."""
    with path.open("rb") as file:
        first = file.readline()
    try:
        header = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not utf-8 text (at {error.start})",
            "a CSV file in UTF-8",
            "save it as UTF-8",
        ) from error
    if not header:
        raise DataError(f"{path} is empty", "a header line with the names of the columns")
    delimiter = max(",;\t", key=header.count)
    columns = tuple(_fields(header, delimiter, header.count(delimiter) + 1))
    return PixelFile(path, columns, delimiter, _line_starts(path)[1:])


def _line_starts(path: Path) -> npt.NDArray[np.int64]:
    """Return where each line begins, and where the last one ends."""
    ends, place = [np.zeros(1, np.int64)], 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + place + 1)
            place += len(block)
    starts = np.concatenate(ends)
    return starts if starts[-1] == place else np.append(starts, place)


def _fields(line: str, delimiter: str, expected: int) -> list[str]:
    """Part a line. Numbers and names hold no delimiters, so that quotes seldom matter."""
    fields = line.strip("\r\n").split(delimiter)
    if len(fields) != expected:
        fields = next(csv.reader([line], delimiter=delimiter), [])
    return [field.strip().strip('"').strip() for field in fields]
