"""Which line of this TOML file is wrong, and what should stand there? Checked tables for mission files and rules."""

import difflib
import pathlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from dronetrack.errors import FormatError


class TomlFile:
    """The tables of a TOML file, with enough of its text to say in which line something is wrong.

    Parameters
    ----------
    path : Path
        Where it came from, for messages and for paths relative to it.
    text : str
        The file.
    tables : dict
        What `tomllib` made of it.
    """

    def __init__(self, path: pathlib.Path, text: str, tables: dict) -> None:
        self.path, self.lines, self.tables = path, text.splitlines(), tables

    @classmethod
    def read(cls, path: str | pathlib.Path, what: str) -> Self:
        """Read a file.

        Parameters
        ----------
        path : str or Path
            The file.
        what : str
            What was expected, for the message.

        Returns
        -------
        TomlFile
            Its tables, not checked yet.

        Raises
        ------
        FormatError
            If it is missing or not TOML.
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise FormatError(f"{path}: no such file.")
        if not path.is_file():
            raise FormatError(f"{path}: a folder or device, needed {what} (TOML).")
        try:
            text = path.read_bytes().decode("utf-8")
            tables = tomllib.loads(text)
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as fault:
            raise FormatError(f"{path.name}: not a TOML file ({fault}).") from None
        return cls(path, text, tables)

    def rows(self, table: str) -> list[dict]:
        """Return the tables of ``[[table]]``, maybe none."""
        return self.tables.get(table, [])

    def check_shape(self, keys: Mapping[str, object], single: Sequence[str]) -> None:
        """Refuse tables that nobody knows, and a table where a list of tables belongs, or the other way round."""
        for name, value in self.tables.items():
            if name not in keys:
                raise self.unknown(name, list(keys), "", self.line(name, None, 0))
            if name in single and not isinstance(value, dict):
                raise self.fault(f"{name} must be a table: [{name}].", self.line(name, None, 0))
            if name not in single and not (isinstance(value, list) and all(isinstance(row, dict) for row in value)):
                raise self.fault(f"{name} must be a list of tables: [[{name}]].", self.line(name, None, 0))

    def check_keys(self, table: str, row: dict, number: int, known: Sequence[str], required: Sequence[str]) -> dict:
        """Return a table whose keys are known and that lacks none."""
        for key in row:
            if key not in known:
                raise self.unknown(key, known, table, self.line(table, key, number))
        for key in required:
            if key not in row:
                raise self.fault(f"{self.say(table)} has no {key!r}.", self.line(table, None, number))
        return row

    def text(self, row: dict, table: str, key: str, number: int) -> str:
        """Return a value that must be text."""
        value = row[key]
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(table, key, number, "text", value)
        return value

    def texts(self, row: dict, table: str, key: str, number: int) -> tuple[str, ...]:
        """Return a value that must be a list of texts; none where the key is missing."""
        value = row.get(key, [])
        if not (isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)):
            raise self.wrong(table, key, number, "a list of texts", value)
        return tuple(value)

    def number(self, row: dict, table: str, key: str, number: int, low: float, high: float, unit: str) -> float:
        """Return a value that must be a number in a range."""
        value = row[key]
        if not (is_number(value) and low <= value <= high):
            raise self.wrong(table, key, number, f"a number of {unit} in [{low:g}, {high:g}]", value)
        return float(value)

    def choice(self, row: dict, table: str, key: str, number: int, among: Sequence[str]) -> str:
        """Return a value that must be one of some words."""
        value = row[key]
        if value not in among:
            close = difflib.get_close_matches(str(value), among, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it is one of {', '.join(among)}."
            raise self.fault(f"{self.say(table)} {key}: {value!r} is not known{hint}", self.line(table, key, number))
        return value

    def wrong(self, table: str, key: str, number: int, needed: str, came: object) -> FormatError:
        """Make the error of a value that is not what it must be."""
        return self.fault(f"{self.say(table)} {key} must be {needed}; got {came!r}.", self.line(table, key, number))

    def unknown(self, key: str, known: Sequence[str], table: str, line: int) -> FormatError:
        """Make the error of a key that nobody knows."""
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}."
        where = f" in {self.say(table)}" if table else ""
        return self.fault(f"unknown key {key!r}{where}{hint}", line)

    def fault(self, message: str, line: int) -> FormatError:
        """Make the error that names the file and the line; line 0 is none."""
        place = f"{self.path.name} line {line}" if line else self.path.name
        return FormatError(f"{place}: {message}", offset=line or None)

    def say(self, table: str) -> str:
        """Write the header of a table as the file does."""
        if not table:
            return "the file:"
        return f"[[{table}]]" if isinstance(self.tables.get(table), list) else f"[{table}]"

    def line(self, table: str, key: str | None, number: int) -> int:
        """Line of a key in the `number`-th table of a name; of the table where the key cannot be found; 0 for none.

        The table without a name is what stands before the first header.
        """
        at, inside, seen, headers = 0, not table, -1, 0
        for line_number, line in enumerate(self.lines, start=1):
            header = re.match(r"\s*\[\[?\s*[\"']?([\w.-]+)[\"']?\s*\]\]?", line)
            headers += header is not None
            # Before the first header a table may stand as a key: mission = { ... }.
            as_key = table and not headers and re.match(rf"\s*[\"']?{re.escape(table)}[\"']?\s*=", line)
            if header or as_key:
                name = header[1] if header else table
                seen += name == table
                inside = name == table and seen == number
                at = line_number if inside else at
            if inside and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
                return line_number
        return at


def is_number(value: object) -> bool:
    """Tell whether a value of a file is a finite number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
