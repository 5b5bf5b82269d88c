"""What does the mission file say? Its tables, checked, with the line of every fault."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dronetrack.border import Border
from dronetrack.errors import InputError
from dronetrack.handover.mandate import KEYS, SINGLE, Decision, Mandate, read_mandate
from dronetrack.sensing import FRAME_CODES, GimbalFrame
from dronetrack.terrain import Terrain, as_terrain
from dronetrack.tomlfile import TomlFile, is_number

_KEYS = {
    "mission": ("name", "border", "terrain_msl_m", "terrain"),
    "drone": ("id", "authority", "log", "system_id", "gimbal_frame", "latency_s"),
    "unit": ("id", "authority", "log", "standoff_m", "unit", "system_id"),
}
_FRAMES = tuple(FRAME_CODES)
_REQUIRED = {"mission": ("name",), "drone": ("id", "authority", "log"), "unit": ("id", "authority", "log")}


@dataclass(frozen=True, slots=True)
class DroneEntry:
    """A drone of the mission file; see the table in `dronetrack.mission`."""

    id: str
    authority: str
    log: pathlib.Path
    system_id: int | None = None
    gimbal_frame: GimbalFrame = "auto"
    latency_s: float | Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True)
class UnitEntry:
    """A ground unit of the mission file; see the table in `dronetrack.mission`."""

    id: str
    authority: str
    log: pathlib.Path
    standoff_m: tuple[float, float] | None = None
    unit: str | None = None
    system_id: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Mission:
    """A mission file, checked.

    Parameters
    ----------
    name : str
        What to call it.
    border : (str, str) or None
        Country codes, home first.
    terrain : Terrain or None
        The ground.
    drones : tuple of DroneEntry
        At least one.
    units : tuple of UnitEntry
        Possibly none.
    mandate : Mandate or None
        What the operation rests on, where the mission is one.
    decisions : tuple of Decision
        What people decided in it.
    """

    name: str
    border: tuple[str, str] | None
    terrain: Terrain | None
    drones: tuple[DroneEntry, ...]
    units: tuple[UnitEntry, ...]
    mandate: Mandate | None = None
    decisions: tuple[Decision, ...] = ()


def read_mission(path: str | pathlib.Path) -> Mission:
    """Read and check a mission file.

    Parameters
    ----------
    path : str or Path
        The TOML file.

    Returns
    -------
    Mission
        With paths made absolute.

    Raises
    ------
    FormatError
        If the file is missing, is not TOML, has a key that nobody knows (named with its line), lacks one, has a
        wrong value, or names a file that is not there.
    NotAuthorisedError
        If it is an operation that its rules do not permit.
    """
    return _Reader(TomlFile.read(path, "a mission file")).mission()


class _Reader:
    """Reads the tables of a mission; what concerns the operation, `dronetrack.handover.mandate` reads."""

    def __init__(self, file: TomlFile) -> None:
        self.file = file

    def mission(self) -> Mission:
        file = self.file
        file.check_shape({**_KEYS, **KEYS}, ("mission", *SINGLE))
        if "mission" not in file.tables:
            raise file.fault("no [mission] table.", 0)
        whole = self._checked("mission", file.tables["mission"], 0)
        drones = tuple(self._drone(row, number) for number, row in enumerate(file.rows("drone")))
        units = tuple(self._unit(row, number) for number, row in enumerate(file.rows("unit")))
        if not drones:
            raise file.fault("no [[drone]]; a mission needs at least one.", 0)
        self._unique(drones, units)
        border = self._border(whole)
        mandate, decisions = self._operation(border, (*drones, *units))
        return Mission(
            file.text(whole, "mission", "name", 0), border, self._terrain(whole), drones, units, mandate, decisions
        )

    def _operation(
        self, border: tuple[str, str] | None, entries: Sequence[DroneEntry | UnitEntry]
    ) -> tuple[Mandate | None, tuple[Decision, ...]]:
        """Read what makes the mission an operation, if it is one; then everybody takes part in it."""
        file = self.file
        if "operation" not in file.tables:
            for table in KEYS:
                if table in file.tables:
                    raise file.fault(
                        f"{file.say(table)} belongs to an operation: add [operation].", file.line(table, None, 0)
                    )
            return None, ()
        if border is None:
            line = file.line("operation", None, 0)
            raise file.fault("an operation needs a border: border = [home, host] in [mission].", line)
        mandate, decisions = read_mandate(file, border)
        ids = [one.id for one in mandate.authorities]
        for entry in entries:
            if entry.authority not in ids:
                table = "drone" if isinstance(entry, DroneEntry) else "unit"
                number = [row["id"] for row in file.rows(table)].index(entry.id)
                raise file.wrong(table, "authority", number, f"one of {', '.join(ids)}", entry.authority)
        return mandate, decisions

    def _checked(self, table: str, row: dict, number: int) -> dict:
        return self.file.check_keys(table, row, number, _KEYS[table], _REQUIRED[table])

    def _drone(self, row: dict, number: int) -> DroneEntry:
        self._checked("drone", row, number)
        frame = row.get("gimbal_frame", "auto")
        if frame not in _FRAMES:
            raise self.file.wrong("drone", "gimbal_frame", number, f"one of {', '.join(_FRAMES)}", frame)
        latency = row.get("latency_s", "auto")
        if latency != "auto" and not (is_number(latency) and 0.0 <= latency <= 10.0):
            raise self.file.wrong("drone", "latency_s", number, "'auto' or 0 to 10 seconds", latency)
        return DroneEntry(
            *self._common("drone", row, number),
            gimbal_frame=frame,
            latency_s=latency,
            system_id=self._system(row, "drone", number),
        )

    def _unit(self, row: dict, number: int) -> UnitEntry:
        self._checked("unit", row, number)
        standoff = row.get("standoff_m")
        if standoff is not None:
            pair = isinstance(standoff, list) and len(standoff) == 2 and all(is_number(value) for value in standoff)
            if not (pair and 0.0 <= standoff[0] < standoff[1]):
                raise self.file.wrong(
                    "unit", "standoff_m", number, "two distances [near, far], 0 <= near < far", standoff
                )
            standoff = (float(standoff[0]), float(standoff[1]))
        inner = self.file.text(row, "unit", "unit", number) if "unit" in row else None
        return UnitEntry(
            *self._common("unit", row, number),
            standoff_m=standoff,
            unit=inner,
            system_id=self._system(row, "unit", number),
        )

    def _common(self, table: str, row: dict, number: int) -> tuple[str, str, pathlib.Path]:
        log = self.file.path.parent / self.file.text(row, table, "log", number)
        if not log.is_file():
            raise self.file.fault(
                f"{self.file.say(table)} log: there is no file {log}.", self.file.line(table, "log", number)
            )
        return self.file.text(row, table, "id", number), self.file.text(row, table, "authority", number), log.resolve()

    def _system(self, row: dict, table: str, number: int) -> int | None:
        value = row.get("system_id")
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 255):
            raise self.file.wrong(table, "system_id", number, "a whole number, 1 to 255", value)
        return value

    def _border(self, whole: dict) -> tuple[str, str] | None:
        value = whole.get("border")
        if value is None:
            return None
        if not (
            isinstance(value, list)
            and len(value) == 2
            and all(isinstance(v, str) for v in value)
            and value[0] != value[1]
        ):
            raise self.file.wrong("mission", "border", 0, "two different country codes, home first", value)
        try:
            Border.between(*value)
        except InputError as fault:
            raise self.file.fault(f"[mission] border: {fault}", self.file.line("mission", "border", 0)) from None
        return value[0], value[1]

    def _terrain(self, whole: dict) -> Terrain | None:
        if "terrain" in whole and "terrain_msl_m" in whole:
            raise self.file.fault("give terrain_msl_m or terrain, not both.", self.file.line("mission", "terrain", 0))
        height = whole.get("terrain_msl_m")
        if height is not None:
            if not (is_number(height) and -1000.0 <= height <= 9000.0):
                raise self.file.wrong("mission", "terrain_msl_m", 0, "a height in metres", height)
            return Terrain.constant(float(height))
        if "terrain" in whole:
            return as_terrain(self.file.path.parent / self.file.text(whole, "mission", "terrain", 0))
        return None

    def _unique(self, drones: tuple[DroneEntry, ...], units: tuple[UnitEntry, ...]) -> None:
        seen: set[str] = set()
        entries = [("drone", number, entry.id) for number, entry in enumerate(drones)]
        entries += [("unit", number, entry.id) for number, entry in enumerate(units)]
        for table, number, identity in entries:
            if identity in seen:
                raise self.file.fault(
                    f"the id {identity!r} stands twice; ids are unique.", self.file.line(table, "id", number)
                )
            seen.add(identity)
