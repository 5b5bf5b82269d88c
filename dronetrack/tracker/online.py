"""One target online: what is final, what is believed now? Late rows are put where they belong, and replayed exactly."""

from dataclasses import asdict
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import DronetrackError, FormatError, InputError, OrderError
from dronetrack.filtering import COUNTED, OutputRows, Robust, Settings, noise_factors, sensor_table
from dronetrack.kernels import filters
from dronetrack.measurements import Measurements, Sensor
from dronetrack.motion import Mixture, Motion, road_vehicle
from dronetrack.tracker.belief import Belief, put_in, take_out
from dronetrack.tracker.passes import BY_ROW, Pass, Passes
from dronetrack.tracker.snapshot import as_plain, from_plain, like, packed, unpacked
from dronetrack.tracker.window import LOT
from dronetrack.tracks import Track

LATE = len(COUNTED)  # column of the counts, behind the verdicts
COMPONENTS = np.array([0, 3, 2, 1])  # of a tick, a position, a line of sight, a height


class Tracker:
    """Follow one target through a stream in which rows come late: provisional now, final after the lag.

    However the rows come, and in whatever batches: as long as each comes within the lag, the final rows have the bits
    that `dronetrack.track` gives over ``merge`` of them all.

    Parameters
    ----------
    motion : ConstantVelocity, Mixture or another model of `dronetrack.motion`, optional
        How the target moves; by default `dronetrack.motion.road_vehicle()`.
    lag_s : float, optional
        How far behind the newest row a row may come and still be used. [s]
    strict : bool, optional
        Whether a row that comes later than that is an error. Otherwise it is counted, and never used.
    gate_probability, recover_s, coast_step_s, robust, clutter, degrees_of_freedom, learn_noise, track_id : optional
        As in `dronetrack.track`.

    Raises
    ------
    InputError
        If an option is out of range.

    Notes
    -----
    A row of the track is final when nothing can change it any more: when it is older than the lag, and farther back
    than the filter itself may still go to take back what a sensor said while it looked at something else. That is 14
    moments, half a second or more apart: 7 s in a dense stream. Both bound the memory, however long the stream.

    Examples
    --------
    Every fifth row comes half a second late:

    >>> import numpy as np
    >>> from dronetrack import Sensor, measurements_of, track
    >>> time_us = np.arange(200) * 100_000
    >>> place = np.array([4.1e6, 1.5e6, 4.6e6]) + np.outer(time_us * 1e-6, [10.0, 0.0, 0.0])
    >>> rows = measurements_of(time_us, 1, place, np.broadcast_to(9.0 * np.eye(3), (200, 3, 3)), Sensor("gnss"))
    >>> arrival_us = time_us + np.where(np.arange(200) % 5 == 0, 500_000, 0)
    >>> tracker = Tracker(lag_s=1.0)
    >>> parts = [tracker.update(rows.take([row])) for row in np.argsort(arrival_us, kind="stable")]
    >>> tracker.now().time_us.tolist(), len(tracker.provisional())
    ([19900000], 79)
    >>> parts.append(tracker.flush())
    >>> whole = track(rows)
    >>> bool((np.concatenate([part.cov for part in parts]) == whole.cov).all())
    True
    """

    def __init__(
        self,
        *,
        motion: Motion | Mixture | None = None,
        lag_s: float = 5.0,
        strict: bool = False,
        gate_probability: float = 0.997,
        recover_s: float = 8.0,
        coast_step_s: float = 0.5,
        robust: Robust = "gate",
        clutter: float = 0.05,
        degrees_of_freedom: float = 5.0,
        learn_noise: bool = True,
        track_id: int = 1,
    ) -> None:
        if not (np.isfinite(lag_s) and lag_s >= 0.0):
            raise InputError(f"lag_s must be finite and not negative; got {lag_s}.")
        options: dict[str, Any] = {
            "gate_probability": float(gate_probability),
            "recover_s": float(recover_s),
            "coast_step_s": float(coast_step_s),
            "robust": robust,
            "clutter": float(clutter),
            "degrees_of_freedom": float(degrees_of_freedom),
            "learn_noise": bool(learn_noise),
        }
        self._motion = motion or road_vehicle()
        self._passes = Passes(Settings.of(self._motion, **options))
        self._options = options | {"lag_s": float(lag_s), "strict": bool(strict), "track_id": int(track_id)}
        self._lag_us, self._strict, self._track_id = round(lag_s * 1e6), bool(strict), int(track_id)
        self._newest_us = filters.NEVER
        self._closed_us = filters.NEVER  # flushed up to here
        self._given = 0  # rows of the track that were given out
        self._sensors: tuple[Sensor, ...] = ()
        self._shares = np.zeros(0, dtype=np.bool_)
        self._rank = np.zeros(0, dtype=np.int64)
        self._batch_sensors: tuple[Sensor, ...] = ()
        self._batch_ids = np.zeros(0, dtype=np.int32)
        # Of rows that the window has dropped: verdicts, and the accepted rows' sum of NIS and of components.
        self._counts = np.zeros((0, LATE + 1), dtype=np.int64)
        self._nis = np.zeros((0, 2))
        self._nothing = _track(self._passes.final.out, slice(0, 0), self._track_id)

    def update(self, measurements: Measurements) -> Track:
        """Take a batch; return the rows of the track that have become final.

        Parameters
        ----------
        measurements : Measurements
            Any number of rows, of sensors known or new.

        Returns
        -------
        Track
            The next final rows, maybe none. `stats` tells in ``recovered_us`` when the track moved to its second
            hypothesis.

        Raises
        ------
        InputError
            If a sensor has the name of an earlier one, but is not the same.
        OrderError
            If a row comes too late and the tracker is strict. The whole batch is then not used.
        """
        ids = self._recognise(measurements)
        start = int(measurements.time_us.searchsorted(self._open_from_us))
        if start and self._strict:
            behind_s = (self._newest_us - int(measurements.time_us[0])) * 1e-6
            raise OrderError(
                f"{start} rows came too late: the first lies {behind_s:.3f} s behind the newest row, and the lag is "
                f"{self._lag_us * 1e-6:g} s. Give the tracker a longer lag, or let it count such rows (strict=False)."
            )
        ids = self._admit(measurements, ids)
        if start:
            np.add.at(self._counts[:, LATE], ids[measurements.sensor_id[:start]], 1)
        if start == len(measurements):
            return self._nothing
        passes = self._passes
        passes.go_back(passes.window.insert(measurements, start, ids[measurements.sensor_id[start:]], self._rank))
        self._newest_us = max(self._newest_us, int(measurements.time_us[-1]))
        stop = passes.window.first_at(self._open_from_us)
        if stop == passes.final.row:
            return self._nothing
        passes.settle(stop)
        return self._give_out()

    def now(self, time_us: int | None = None) -> Track:
        """Return what is believed now, from every row that has come so far. Asking changes nothing.

        Parameters
        ----------
        time_us : int, optional
            For which time; by default that of the newest measurement. For a later time the belief is predicted, for
            an earlier one it is looked up in the rows that are not final yet. [us, UTC]

        Returns
        -------
        Track
            One row, provisional; none before the track has started.

        Raises
        ------
        InputError
            If the time lies before the rows that are not final yet.
        """
        if time_us is not None and time_us < self._newest_us:
            return self.provisional().at([time_us])
        ahead = time_us is not None and time_us > self._newest_us and len(self._sensors) > 0
        tip = self._passes.look(time_us if ahead else None)
        return self._part(tip, max(tip.n_out - 1, 0), tip.n_out)

    def provisional(self) -> Track:
        """Return the rows that are not final yet, as they would be if nothing more came.

        Returns
        -------
        Track
            Rows up to the newest measurement.
        """
        tip = self._passes.look()
        return self._part(tip, self._given - int(self._passes.window.base[1]), tip.n_out)

    def flush(self) -> Track:
        """Call everything final and return the rest.

        The stream may go on afterwards, with rows newer than all that came before.

        Returns
        -------
        Track
            All rows that were not given out before.
        """
        self._passes.settle(len(self._passes.window))
        rest = self.provisional()
        self._given += len(rest)
        self._closed_us = self._newest_us
        return rest

    @property
    def stats(self) -> dict:
        """What became of the rows so far, in all and per sensor, counted as in `dronetrack.track`.

        ``late`` tells how many rows of each sensor came too late and were not used; they count nowhere else.
        """
        tip = self._passes.look()
        counts, nis = self._tally(tip, len(self._passes.window))
        belief = tip.memory.belief
        noise = noise_factors(self._passes.table, belief)
        late: dict[str, int] = {}
        sensors: dict[str, dict] = {}
        for row in np.argsort(self._rank):
            name = self._sensors[row].name
            late[name] = int(counts[row, LATE])
            sensors[name] = {what: int(counts[row, code]) for code, what in COUNTED.items()}
            sensors[name]["noise_factor"] = float(noise[row])
            if nis[row, 1] > 0.0:
                sensors[name]["mean_nis_per_component"] = float(nis[row, 0] / nis[row, 1])
        return {
            "log_likelihood": float(belief.sums[filters.LOG_LIKELIHOOD]),
            "recoveries": int(belief.head[filters.SWAPS]),
            "latches_taken_back": int(belief.head[filters.TAKEN_BACK]),
            "late": late,
            "sensors": sensors,
        }

    def belief(self) -> Belief:
        """Return what a tracker elsewhere needs to go on from the newest moment; it holds none of the rows.

        Returns
        -------
        Belief
            What `now` tells, by model and with its ties to what the sensors' rows share.

        Raises
        ------
        InputError
            If the track has not started.
        """
        tip = self._passes.look()
        if not tip.memory.belief.clock[0, filters.ALIVE]:
            raise InputError("there is no track yet to hand on; give the tracker a sighting first.")
        return take_out(tip.memory, self._track_id, self._motion, self._sensors, self._shares)

    @classmethod
    def continued(cls, belief: Belief, **options: Any) -> Self:  # noqa: ANN401 - as in the constructor
        """Make a tracker that goes on from what another one believed, under the same identity and without a jump.

        Its first row is the belief itself, bit for bit. Rows of that moment or before it come too late: whoever held
        the track has used them. It knows the ties to the sensors that were heard there, so a row of one of these, or
        of new ones, means to it what it would have meant to the other tracker. A second hypothesis begins anew, and
        what a sensor said before cannot be taken back any more.

        Parameters
        ----------
        belief : Belief
            From `belief` of the other tracker, or `Belief.of` a track.
        **options
            As in the constructor; `motion` and `track_id` are the belief's.

        Returns
        -------
        Tracker
            One whose `now` is the belief.

        Raises
        ------
        InputError
            If an option is out of range, or motion or track_id is given.

        Examples
        --------
        >>> import numpy as np
        >>> from dronetrack import Sensor, measurements_of
        >>> time_us = np.arange(100) * 100_000
        >>> place = np.array([4.1e6, 1.5e6, 4.6e6]) + np.outer(time_us * 1e-6, [10.0, 0.0, 0.0])
        >>> rows = measurements_of(time_us, 1, place, np.broadcast_to(9.0 * np.eye(3), (100, 3, 3)), Sensor("gnss"))
        >>> home = Tracker(track_id=7)
        >>> given = home.update(rows.take(slice(0, 60)))
        >>> host = Tracker.continued(home.belief())
        >>> given = [one.update(rows.take(slice(60, 100))) for one in (home, host)]
        >>> bool((host.now().cov == home.now().cov).all()), host.now().track_id
        (True, 7)
        """
        if options.keys() & {"motion", "track_id"}:
            raise InputError("a track that goes on keeps its motion model and its track_id; leave them out.")
        tracker = cls(motion=belief.motion, track_id=belief.track_id, **options)
        tracker._grow(belief.sensors, belief.shares)
        put_in(tracker._passes.final.memory, belief)
        tracker._newest_us = tracker._closed_us = belief.time_us
        return tracker

    def snapshot(self) -> bytes:
        """Return all that the tracker remembers.

        Returns
        -------
        bytes
            An ``.npz`` with a JSON header; equal states give equal bytes.
        """
        self._forget()
        final, window = self._passes.final, self._passes.window
        header = {
            "options": self._options,
            "motion": as_plain(self._motion),
            "sensors": [asdict(sensor) for sensor in self._sensors],
            "newest_us": self._newest_us,
            "closed_us": self._closed_us,
            "given": self._given,
            "position": [final.row, final.n_out],
        }
        arrays = {"shares": self._shares, "counts": self._counts, "nis": self._nis, "base": window.base}
        arrays |= {f"memory.{name}": part for name, part in final.memory.ring._asdict().items()}
        arrays |= {f"rows.{name}": part[: len(window)] for name, part in window.columns.items()}
        arrays |= {f"out.{name}": part for name, part in _written(final).items()}
        return packed(header, arrays)

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """Make the tracker that a snapshot is of; it goes on with the same bits.

        Parameters
        ----------
        data : bytes
            What `snapshot` returned.

        Returns
        -------
        Tracker
            One that remembers the same.

        Raises
        ------
        FormatError
            If these bytes are no snapshot, or one of another version, or damaged.
        """
        header, arrays = unpacked(data)
        try:
            tracker = cls(motion=from_plain(header["motion"]), **header["options"])
            tracker._fill(header, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, DronetrackError) as error:
            raise FormatError(f"the snapshot contradicts itself ({error}); it cannot be used.") from error
        return tracker

    def _fill(self, header: dict, arrays: dict[str, NDArray]) -> None:
        """Remember what a snapshot holds."""
        sensors = tuple(Sensor(**one) for one in header["sensors"])
        self._grow(sensors, like(arrays["shares"], np.zeros(len(sensors), dtype=np.bool_)))
        self._newest_us, self._closed_us, self._given = (
            int(header[name]) for name in ("newest_us", "closed_us", "given")
        )
        self._counts = like(arrays["counts"], self._counts)
        self._nis = like(arrays["nis"], self._nis)
        final, window = self._passes.final, self._passes.window
        window.fill({name: arrays[f"rows.{name}"] for name in window.columns}, sensors)
        window.base[:] = like(arrays["base"], window.base)
        for name, part in final.memory.ring._asdict().items():
            part[...] = like(arrays[f"memory.{name}"], part)
        row, n_out = map(int, header["position"])
        final.row, final.n_out = row, n_out
        final.check(window)
        final.make_room(len(arrays["out.time_us"]), window.capacity)
        for name, part in _written(final).items():
            part[...] = like(arrays[f"out.{name}"], part)

    @property
    def _open_from_us(self) -> int:
        """Rows before this time come too late."""
        return max(self._newest_us - self._lag_us, self._closed_us + 1)

    def _recognise(self, batch: Measurements) -> NDArray[np.int32]:
        """Return our number of each of the batch's sensors, -1 where it is new."""
        if batch.sensors == self._batch_sensors:
            return self._batch_ids
        ours = {sensor.name: number for number, sensor in enumerate(self._sensors)}
        ids = np.array([ours.get(sensor.name, -1) for sensor in batch.sensors], dtype=np.int32)
        for sensor, number in zip(batch.sensors, ids, strict=True):
            if number >= 0 and self._sensors[number] != sensor:
                raise InputError(
                    f"sensor {sensor.name!r} is not what it was: it came as {self._sensors[number]}, and now as "
                    f"{sensor}. Give the new one a name of its own."
                )
        return ids

    def _admit(self, batch: Measurements, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Make room for new sensors, and for errors that a known one now shares; return all numbers."""
        sensors, shares = self._sensors, self._shares
        if ids is not self._batch_ids and (ids < 0).any():
            new = ids < 0
            ids = np.where(new, len(sensors) + np.cumsum(new, dtype=np.int32) - 1, ids).astype(np.int32)
            sensors += tuple(sensor for sensor, is_new in zip(batch.sensors, new, strict=True) if is_new)
            shares = np.append(shares, np.zeros(int(new.sum()), dtype=np.bool_))
        if batch.site_cov.any():
            sharing = ids[batch.sensor_id[batch.site_cov.any(axis=(1, 2))]]
            if not shares[sharing].all():
                shares = shares.copy()
                shares[sharing] = True
        if shares is not self._shares:
            self._grow(sensors, shares)
        self._batch_sensors, self._batch_ids = batch.sensors, ids
        return ids

    def _grow(self, sensors: tuple[Sensor, ...], shares: NDArray[np.bool_]) -> None:
        more = len(sensors) - len(self._sensors)
        self._sensors, self._shares = sensors, shares
        self._passes.grow(sensor_table(sensors, shares))
        self._rank = np.argsort(np.argsort([sensor.name for sensor in sensors]))
        self._counts = np.pad(self._counts, ((0, more), (0, 0)))
        self._nis = np.pad(self._nis, ((0, more), (0, 0)))

    def _give_out(self) -> Track:
        """Return the rows of the track that can change no more."""
        final, window = self._passes.final, self._passes.window
        rows, done = final.needed(window.base)
        base = int(window.base[1])
        part = self._part(final, self._given - base, done)
        self._given = max(self._given, base + done)
        if rows >= max(LOT, len(window) - rows) or done >= max(LOT, final.n_out - done):
            self._forget()
        return part

    def _forget(self) -> None:
        """Drop the rows that are needed no more."""
        final = self._passes.final
        rows, n_out = final.needed(self._passes.window.base)
        self._counts, self._nis = self._tally(final, rows)
        self._passes.drop(rows, n_out)

    def _tally(self, one: Pass, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the counts and the sums of NIS with the first n rows of the window added."""
        counts, nis = self._counts.copy(), self._nis.copy()
        sensor, kind = (self._passes.window.columns[name][:n] for name in ("sensor", "kind"))
        verdict, nis_row = one.out.columns.verdict[:n], one.out.columns.nis_row[:n]
        real = kind != filters.TICK
        np.add.at(counts, (sensor[real], verdict[real]), 1)
        taken = real & (verdict == filters.ACCEPTED) & ~np.isnan(nis_row)
        np.add.at(nis, sensor[taken], np.column_stack([nis_row[taken], COMPONENTS[kind[taken]]]))
        return counts, nis

    def _part(self, one: Pass, start: int, stop: int) -> Track:
        """Return some rows of a pass."""
        return _track(one.out, slice(start, stop), self._track_id) if stop > start else self._nothing


def _track(out: OutputRows, rows: slice, track_id: int) -> Track:
    """Wrap rows that the kernel wrote. For one row the gate of `Track` would cost more than the filter."""
    columns = out.columns
    track = object.__new__(Track)
    put = object.__setattr__
    for name, values in (
        ("time_us", columns.time_us),
        ("status", columns.status),
        ("state", columns.state),
        ("cov", columns.cov),
        ("nis", columns.nis),
        ("n_sensors", columns.sensors),
    ):
        mine = values[rows].copy()
        mine.flags.writeable = False
        put(track, name, mine)
    put(track, "track_id", track_id)
    put(track, "stats", {"recovered_us": track.time_us[columns.moved[rows]].tolist()})
    put(track, "origin", None)
    return track


def _written(one: Pass) -> dict[str, NDArray]:
    """Return what a pass has written."""
    out = one.out.columns._asdict()
    return {name: part[: one.row if name in BY_ROW else one.n_out] for name, part in out.items()}
