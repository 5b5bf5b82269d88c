"""Which borders ship with the package, and which country is a place in?"""

import importlib.resources
from typing import Any

import numpy as np

from dronetrack.errors import InputError


def between(home: str, host: str) -> dict[str, Any]:
    """Return the columns of a `Border` between two countries."""
    folder = importlib.resources.files("dronetrack") / "data" / "borders"
    shipped = sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".npz"))
    forward = f"{home}-{host}" in shipped
    name = f"{home}-{host}" if forward else f"{host}-{home}"
    if name not in shipped:
        raise InputError(
            f"no border {home}-{host} ships with the package (there is {', '.join(shipped)}); "
            "read your own with Border.read(file) or Border.from_line(...)."
        )
    with importlib.resources.as_file(folder / f"{name}.npz") as path, np.load(path) as data:
        line = data["line"] if forward else data["line"][::-1]
        rings = ("polygon_a", "polygon_b") if forward else ("polygon_b", "polygon_a")
        return {
            "line_lon_deg": line[:, 0],
            "line_lat_deg": line[:, 1],
            "home_rings_deg": data[rings[0]],
            "host_rings_deg": data[rings[1]],
            "line_std_m": float(data["line_std_m"]),
            "attribution": str(data["attribution"]),
            "licence": str(data["licence"]),
        }
