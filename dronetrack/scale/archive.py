"""What do the logs of an archive say, all of them? One track for each mission, in one partitioned GeoParquet."""

import glob
import hashlib
import importlib.metadata
import json
import pathlib
import shutil
import urllib.parse
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dronetrack.errors import InputError
from dronetrack.mission import Mission, fuse, read_mission
from dronetrack.scale.cluster import Progress, client_of, in_any_order, one_by_one
from dronetrack.warm import warm_up

if TYPE_CHECKING:
    import geopandas
    import pandas as pd
    from distributed import Client

MANIFEST = "_manifest"
LONGEST_NAME = 200  # of the 255 bytes that file systems allow
Template = Mission | Callable[[pathlib.Path], Mission] | None


@dataclass(frozen=True, slots=True)
class Archive:
    """What came of an archive of logs.

    Parameters
    ----------
    folder : Path
        Holds ``log=<name>/track.parquet`` for each log that could be fused, and ``_manifest/<name>.json`` for each.
    records : tuple of dict
        The manifest, in the order of the names: `log`, `state` (``"done"`` or ``"failed"``), `rows`, `events` (the
        timeline with its crossings), or `error` and `reason`; `input`, the fingerprint of what was read.
    n_new : int
        How many logs were worked on this time; the others were done before.
    """

    folder: pathlib.Path
    records: tuple[dict[str, Any], ...]
    n_new: int

    @property
    def failed(self) -> tuple[dict[str, Any], ...]:
        """Records of the logs that could not be fused."""
        return tuple(one for one in self.records if one["state"] == "failed")

    def manifest(self) -> "pd.DataFrame":
        """Return the manifest as a table.

        Returns
        -------
        pandas.DataFrame
            One row for each log; the events are left out.
        """
        import pandas as pd

        names = ("log", "state", "rows", "seconds_of_track", "crossings", "error", "reason", "file", "input")
        return pd.DataFrame([{name: one.get(name) for name in names} for one in self.records], columns=list(names))

    def tracks(self) -> "geopandas.GeoDataFrame":
        """Read all tracks into one table, with a column `log`.

        Returns
        -------
        geopandas.GeoDataFrame
            The columns of `Track.to_geodataframe`, and `log`.

        Raises
        ------
        InputError
            If no log could be fused.
        """
        import geopandas
        import pandas as pd

        done = [one for one in self.records if one["state"] == "done"]
        if not done:
            raise InputError(f"{self.folder}: no log could be fused; the manifest says why.")
        parts = [geopandas.read_parquet(self.folder / one["file"]).assign(log=one["log"]) for one in done]
        return geopandas.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=parts[0].crs)


def map_logs(
    pattern: str | pathlib.Path | Iterable[str | pathlib.Path],
    mission: Template | str | pathlib.Path = None,
    *,
    out: str | pathlib.Path,
    client: "Client | None" = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Fuse every log of an archive, each into a partition of one GeoParquet data set.

    A partition is written beside its place and moved in when it is whole, and then its record: what the manifest
    calls done is done. Called again, what is done is not done again, unless the log, the files that its mission
    names, the mission or the version of this library has changed; what failed is tried again. A log that cannot be
    fused is a record with its reason and no more. Partitions of logs that no longer match the pattern stay, but are
    not in the result.

    A script that calls this keeps the call under ``if __name__ == "__main__":``, as worker processes import it.

    Parameters
    ----------
    pattern : str, Path, or iterable of them
        Files: a glob, in which ``**`` goes down, or a list.
    mission : Mission, str, Path, callable, optional
        What to make of each file. None: each is a mission file. A mission with one drone, or its file: its log is
        replaced by each. A callable: from the path to its mission. Of these a mission file travels lightest: workers
        read it, and its terrain, themselves.
    out : str or Path
        Folder of the data set. It is partitioned as Hive does, so `geopandas.read_parquet` and pyarrow read it whole,
        with `log` as a column.
    client : distributed.Client, optional
        Your cluster, which must see the same files and folder. By default processes on this machine.
    workers : int, optional
        How many of them; by default one for each core.
    progress : callable, optional
        Called with what was done and the part done, 0 to 1.

    Returns
    -------
    Archive
        The manifest, and the tracks on demand.

    Raises
    ------
    InputError
        If no file matches, two have one name, `mission` has not one drone, Dask is not installed, or `out` cannot be
        written.
    FormatError
        If `mission` is a file and not a mission.
    """
    logs = _logs(pattern)
    source = pathlib.Path(mission).absolute() if isinstance(mission, str | pathlib.Path) else mission
    template = _checked(read_mission(source) if isinstance(source, pathlib.Path) else source)
    folder = pathlib.Path(out).absolute()
    kept = {name: _kept(folder, name, log, template) for name, log in logs.items()}
    records = {name: record for name, record in kept.items() if record is not None}
    todo = [(folder, name, log, source) for name, log in logs.items() if name not in records]
    if todo:
        _make(folder / MANIFEST)
        records |= _done(todo, client, workers, progress or _quiet)
    return Archive(folder, tuple(records[name] for name in logs), len(todo))


def _done(
    todo: list[tuple[pathlib.Path, str, pathlib.Path, Template | pathlib.Path]],
    client: "Client | None",
    workers: int | None,
    progress: Progress,
) -> dict[str, dict]:
    """Work on logs, and return their records by name."""
    records: dict[str, dict] = {}
    suspects = []
    with client_of(client, workers) as mine:
        if client is None:
            warm_up(["fusion"])  # once here, so that workers find the kernels compiled
        for index, record, fault in in_any_order(mine, _work, todo):
            if fault is None:
                records[todo[index][1]] = record
                progress(record["log"], len(records) / len(todo))
            else:
                suspects.append(todo[index])
        for index, record, fault in one_by_one(mine, _work, suspects):
            folder, name, log, _ = suspects[index]
            records[name] = record if fault is None else _failed(folder, name, log, fault)
            progress(records[name]["log"], len(records) / len(todo))
    return records


def _logs(pattern: str | pathlib.Path | Iterable[str | pathlib.Path]) -> dict[str, pathlib.Path]:
    """Files by name: the path below the folder where the pattern begins, fit for a file name.

    A name does not depend on what else is in the archive, so that one more log does not rename the others.
    """
    found: dict[str, pathlib.Path] = {}
    for one in [pattern] if isinstance(pattern, str | pathlib.Path) else pattern:
        root, files = _matches(pathlib.Path(one).absolute())
        for file in files:
            name = _name(file.relative_to(root).as_posix())
            if found.setdefault(name, file) != file:
                raise InputError(
                    f"two logs are both called {name!r}: {found[name]} and {file}. Use one pattern, with ** from a "
                    "folder above both."
                )
    if not found:
        raise InputError(f"no file matches {pattern}; check the pattern, and use ** to go down into folders.")
    return dict(sorted(found.items()))


def _matches(pattern: pathlib.Path) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """Return the folder where a pattern begins, and the files that match; a path without wildcards is one file."""
    if pattern.is_file() or not glob.has_magic(str(pattern)):
        return pattern.parent, [pattern] if pattern.is_file() else []
    depth = next(k for k, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = pathlib.Path(*pattern.parts[:depth])
    return root, [file for file in root.glob(str(pathlib.Path(*pattern.parts[depth:]))) if file.is_file()]


def _name(path: str) -> str:
    quoted = urllib.parse.quote(path, safe=" ()+,")
    if len(quoted) <= LONGEST_NAME:
        return quoted
    return f"{urllib.parse.quote(path[:15], safe=' ')}-{hashlib.sha256(path.encode()).hexdigest()[:16]}"


def _checked(template: Template) -> Template:
    """Refuse a template that fits no log before any work is done."""
    if isinstance(template, Mission) and len(template.drones) != 1:
        raise InputError(
            f"a mission for a whole archive has one drone, whose log is replaced; {template.name!r} has "
            f"{len(template.drones)}. Give a function from a log to its mission."
        )
    return template


def _mission(log: pathlib.Path, template: Template) -> Mission:
    """Return the mission of one log."""
    if template is None:
        return read_mission(log)
    if isinstance(template, Mission):
        return replace(template, drones=(replace(template.drones[0], log=log),))
    return template(log)


def _fingerprint(log: pathlib.Path, what: Mission) -> str:
    """SHA-256 of a mission, of the size and time of every file that it reads, and of what version would fuse it."""
    files = [log, *(entry.log for entry in (*what.drones, *what.units))]
    marks = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    version = importlib.metadata.version("dronetrack")
    return hashlib.sha256(repr((version, _told(what), marks)).encode()).hexdigest()


def _told(value: object) -> object:
    """Spell an object out, so that equal ones have one text in every process."""
    if is_dataclass(value):
        return type(value).__name__, [(one.name, _told(getattr(value, one.name))) for one in fields(value)]
    if isinstance(value, tuple | list):
        return [_told(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return repr(value)


def _kept(folder: pathlib.Path, name: str, log: pathlib.Path, template: Template) -> dict | None:
    """Return the record of a log that is done and has not changed since."""
    try:
        record = json.loads((folder / MANIFEST / f"{name}.json").read_text(encoding="utf-8"))
        same = record["state"] == "done" and record["input"] == _fingerprint(log, _mission(log, template))
        return record if same and (folder / record["file"]).stat().st_size == record["bytes"] else None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the worker will say
        return None


def _work(folder: pathlib.Path, name: str, log: pathlib.Path, source: Template | pathlib.Path) -> dict:
    """Fuse one log, put its partition in place and then its record; in a worker."""
    try:
        what = _mission(log, read_mission(source) if isinstance(source, pathlib.Path) else source)
        mark = _fingerprint(log, what)
        fusion = fuse(what)
        place = folder / f"log={name}" / "track.parquet"
        _put(place, fusion.track.to_file)
    except Exception as fault:  # noqa: BLE001 - one bad log must not end a night's work
        return _failed(folder, name, log, fault)
    track = fusion.track
    record = {
        "log": urllib.parse.unquote(name),
        "path": str(log),
        "state": "done",
        "input": mark,
        "file": place.relative_to(folder).as_posix(),
        "bytes": place.stat().st_size,
        "rows": len(track),
        "seconds_of_track": float((track.time_us[-1] - track.time_us[0]) * 1e-6),
        "crossings": len(fusion.crossings or ()),
        "events": fusion.events,
    }
    _put(folder / MANIFEST / f"{name}.json", lambda path: path.write_text(json.dumps(record), encoding="utf-8"))
    return record


def _failed(folder: pathlib.Path, name: str, log: pathlib.Path, fault: Exception) -> dict:
    """Record that a log could not be fused, and take away what an earlier one of that name left."""
    record = {
        "log": urllib.parse.unquote(name),
        "path": str(log),
        "state": "failed",
        "error": type(fault).__name__,
        "reason": str(fault),
    }
    shutil.rmtree(folder / f"log={name}", ignore_errors=True)
    _put(folder / MANIFEST / f"{name}.json", lambda path: path.write_text(json.dumps(record), encoding="utf-8"))
    return record


def _quiet(_what: str, _part: float) -> None:
    return None


def _put(place: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Write a file beside its place and move it in when it is whole; readers pass over names with a dot."""
    _make(place.parent)
    draft = place.with_name(f".{place.stem}-{uuid.uuid4().hex}{place.suffix}")
    try:
        write(draft)
        draft.replace(place)
    except OSError as fault:
        raise InputError(
            f"{place}: cannot be written ({fault.strerror}); make room, or choose another folder."
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _make(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(f"{folder}: cannot write there ({fault.strerror}); choose another folder.") from None
