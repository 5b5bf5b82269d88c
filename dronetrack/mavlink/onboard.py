"""Which reader does an on-board log need? ArduPilot's, PX4's or DJI's; all give the same `Telemetry`."""

from collections.abc import Collection

from numpy.typing import NDArray

from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink.content import Content
from dronetrack.telemetry import Telemetry


def onboard_telemetry(
    content: Content, system_id: int | None = None, *, name: str = "", clock: str = "auto"
) -> Telemetry:
    """Read the telemetry of a log that the drone itself wrote.

    Parameters
    ----------
    content : Content
        Of any kind but ``mavlink``.
    system_id : int, optional
        Which drone it has to be.
    name : str, optional
        What to call it.
    clock : str, optional
        ``auto`` or ``system_time``: there is no receiver whose stamps could be followed.

    Returns
    -------
    Telemetry
        See the reader of the kind.

    Raises
    ------
    FormatError
        If the log holds no position, or no time.
    InputError
        If it is another system's, or the clock of a receiver is asked for.
    """
    if clock == "receive":
        raise InputError(f"{content.label}: an on-board log has no receive stamps; leave clock='receive' away.")
    if content.kind == "srt":
        raise InputError(
            f"{content.label}: DJI subtitles give local time without its zone, and heights above the take-off place; "
            "read them with read_srt(), which asks for both."
        )
    if content.kind == "ulog":
        from dronetrack.mavlink.px4 import ulog_telemetry

        return ulog_telemetry(content, system_id, name=name)
    from dronetrack.mavlink.ardupilot import dataflash_telemetry

    return dataflash_telemetry(content, system_id, name=name)


def onboard_info(content: Content) -> dict:
    """List what an on-board log holds, in the shape of `read_log_info`.

    Parameters
    ----------
    content : Content
        Of any kind but ``mavlink``.

    Returns
    -------
    dict
        ``lost_frames`` is what the logger itself says that it dropped; ``start`` and ``end`` are None where the log has
        no UTC.

    Raises
    ------
    FormatError
        If it holds no record.
    """
    if content.kind == "srt":
        raise FormatError(f"{content.label}: DJI subtitles hold no frames; read them with read_srt().")
    if content.kind == "ulog":
        from dronetrack.mavlink.px4 import ulog_info

        return ulog_info(content)
    from dronetrack.mavlink.ardupilot import dataflash_info

    return dataflash_info(content)


def onboard_messages(content: Content, names: Collection[str] | None = None) -> dict[str, dict[str, NDArray]]:
    """Return the columns of an on-board log's messages, in the units that the log gives.

    Parameters
    ----------
    content : Content
        Of kind ``dataflash``, ``dataflash_text`` or ``ulog``.
    names : collection of str, optional
        Which messages or topics; all by default.

    Returns
    -------
    dict of str to dict of str to ndarray
        By message and column. Instances of a topic after its first are called ``topic[1]``, ...

    Raises
    ------
    FormatError
        If it holds no record.
    """
    if content.kind == "ulog":
        from dronetrack.mavlink.ulog import read_ulog

        topics = read_ulog(content, names)
        keys = [(f"{name}[{instance}]" if instance else name, name, instance) for name, instance in topics.topics]
        return {key: topics.columns(name, instance) for key, name, instance in keys}
    from dronetrack.mavlink.dataflash import read_dataflash

    log = read_dataflash(content, names)
    return {name: log.columns(name) for name in log.records if names is None or name.partition("#")[0] in names}
