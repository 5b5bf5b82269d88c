"""What stays of a run? The document, whole at every moment, the pages made from it, and how a killed run goes on."""

import json
import os
import pathlib
import tempfile
from collections.abc import Collection
from typing import Any

from dronetrack.bench.judging import ratios
from dronetrack.errors import FormatError, InputError

Document = dict[str, Any]

NAME = "run.json"
SAME = ("seed", "quick", "peers", "data")


def read_run(folder: pathlib.Path) -> Document | None:
    """Read the document of a folder.

    Parameters
    ----------
    folder : Path
        Where `write` put it.

    Returns
    -------
    dict or None
        None where there is none.

    Raises
    ------
    FormatError
        If the file is not one.
    """
    path = folder / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise FormatError(f"{path}: cannot be read ({fault}); remove it to begin anew.") from None
    if not isinstance(document, dict) or "workloads" not in document:
        raise FormatError(f"{path}: not a run of the benchmarks; remove it to begin anew.")
    return document


def kept_of(before: Document, now: Document, wanted: Collection[str]) -> list[Document]:
    """Say which workloads of an earlier run stand: those that nobody asks for, and those of this very commit.

    Parameters
    ----------
    before, now : dict
        The earlier document; and the head of this one.
    wanted : collection of str
        Workloads that are asked for.

    Returns
    -------
    list of dict
        Entries of the earlier document.

    Raises
    ------
    InputError
        If the two may not stand on one page: another machine, seed, size, other peers or data.
    """
    differs = [key for key in SAME if before.get(key) != now[key]]
    differs += [key for key in ("processor", "cores") if before["machine"].get(key) != now["machine"][key]]
    if differs:
        raise InputError(
            f"the run that is there has another {', '.join(differs)}; choose another folder, or begin anew."
        )
    stands = now["commit"], now["versions"]["dronetrack"]
    same = before["versions"]["dronetrack"] == stands[1]
    return [
        entry for entry in before["workloads"]
        if entry["name"] not in wanted or (same and entry["commit"] == stands[0] and not entry["failed"])
    ]  # fmt: skip


def write(document: Document, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write the document and the pages made from it.

    Parameters
    ----------
    document : dict
        Of `dronetrack.bench.run`.
    folder : Path
        Where to; it is made.

    Returns
    -------
    list of Path
        ``run.json``, which is replaced whole, ``report.html`` and ``RESULTS.md``, whose plots lie beside it.
    """
    from dronetrack.bench.page import write_pages

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    _replace(path, json.dumps(document, indent=1) + "\n")
    return [path, *write_pages(document, folder)]


def remember(document: Document, folder: pathlib.Path) -> pathlib.Path:
    """Add a line to the history of a folder, ``history.jsonl``: the ratios of this run, under its commit."""
    path = folder / "history.jsonl"
    line = {key: document[key] for key in ("started", "commit", "quick")} | {"ratios": ratios(document["workloads"])}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return path


def _replace(path: pathlib.Path, text: str) -> None:
    """Write a file so that a reader finds the old one or the new one, whenever this process is killed."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        pathlib.Path(name).chmod(0o644)
        pathlib.Path(name).replace(path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise
