"""How does a tracker survive a restart? What it remembers as the bytes of an ``.npz`` with a JSON header."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError, InputError
from dronetrack.motion import Mixture, Motion

FORMAT, VERSION = "dronetrack tracker", 1

_MODELS = {one.__name__: one for one in (*get_args(Motion), Mixture)}


def packed(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> bytes:
    """Write header and arrays; unlike `numpy.savez` without the time of day, so that equal states are equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        about = json.dumps({"format": FORMAT, "version": VERSION, **header})
        archive.writestr(zipfile.ZipInfo("header.json"), about, zipfile.ZIP_DEFLATED)
        for name, values in arrays.items():
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Read what `packed` wrote.

    Raises
    ------
    FormatError
        If it is not that, or of another version, or damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read("header.json"))
            members = {name: archive.read(name) for name in archive.namelist() if name.endswith(".npy")}
        came = header["format"], header["version"]
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(part), allow_pickle=False)
            for name, part in members.items()
        }
    except Exception as error:  # whatever zip, JSON and numpy make of bytes that are something else
        raise FormatError(
            f"these {len(data)} bytes are no snapshot of a tracker, or a damaged one ({error})."
        ) from error
    if came != (FORMAT, VERSION):
        raise FormatError(
            f"a snapshot of {FORMAT!r}, version {VERSION}, is needed; got {came[0]!r}, version {came[1]}."
        )
    return header, arrays


def like(values: NDArray, wanted: NDArray) -> NDArray:
    """Return an array if it has the type and shape of another."""
    if values.dtype != wanted.dtype or values.shape != wanted.shape:
        raise InputError(f"an array is {values.dtype} {values.shape} and should be {wanted.dtype} {wanted.shape}.")
    return values


def as_plain(motion: Motion | Mixture) -> dict[str, Any]:
    """Write a motion model as JSON can."""
    plain = {one.name: getattr(motion, one.name) for one in fields(motion)}
    if isinstance(motion, Mixture):
        plain["models"] = [as_plain(model) for model in motion.models]
    return {"model": type(motion).__name__, **plain}


def from_plain(plain: Mapping[str, Any]) -> Motion | Mixture:
    """Make the motion model that `as_plain` wrote."""
    rest = {name: value for name, value in plain.items() if name != "model"}
    if "models" in rest:
        rest["models"] = [from_plain(one) for one in rest["models"]]
    return _MODELS[plain["model"]](**rest)
