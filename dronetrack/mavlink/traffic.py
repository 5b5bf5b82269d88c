"""Where were the other aircraft? What a drone heard of them as measurements, each with an identity."""

from dataclasses import replace

import numpy as np

from dronetrack import geodesy
from dronetrack.measurements import POSITION, Measurements, Sensor, measurements_of, merge
from dronetrack.telemetry import Telemetry

UNSTATED_H_ACC_M, UNSTATED_V_ACC_M = 100.0, 150.0


def traffic(telemetry: Telemetry, *, authority: str = "") -> Measurements:
    """Turn what a drone heard of other aircraft into measurements.

    Parameters
    ----------
    telemetry : Telemetry
        One drone.
    authority : str, optional
        Who operates it.

    Returns
    -------
    Measurements
        Positions; the sensor of a row is the transmitter by its own name, and `target_id` is its number among these:
        each speaks only for itself. Rows without a height are no points and are counted.

    Examples
    --------
    >>> len(traffic(Telemetry(1)))
    0
    """
    rows = telemetry.traffic
    whole = np.isfinite(rows.alt_hae_m)
    h_acc = np.where(np.isfinite(rows.h_acc_m), rows.h_acc_m, UNSTATED_H_ACC_M)
    v_acc = np.where(np.isfinite(rows.v_acc_m), rows.v_acc_m, UNSTATED_V_ACC_M)
    local = np.zeros((len(rows), 3, 3))
    local[:, 0, 0] = local[:, 1, 1] = h_acc**2
    local[:, 2, 2] = v_acc**2
    batches = []
    for name in np.unique(rows.identity[whole]).tolist():
        mine = whole & (rows.identity == name)
        lat, lon = rows.lat_deg[mine], rows.lon_deg[mine]
        point = geodesy.geodetic_to_ecef(lat, lon, rows.alt_hae_m[mine])
        cov = geodesy.enu_covariance_to_ecef(local[mine], lat, lon)
        batches.append(measurements_of(rows.time_us[mine], POSITION, point, cov, Sensor(name, authority)))
    told = merge(*batches)
    stats = {"traffic": {"rows": int(whole.sum()), "rows_without_height": int(np.sum(~whole))}}
    return replace(told, target_id=told.sensor_id, stats=stats)
