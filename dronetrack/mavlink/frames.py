"""Which frames does a log hold? Bytes become a verified index, and an index becomes columns by message."""

import pathlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError
from dronetrack.kernels import mavlink as kernels
from dronetrack.mavlink import layouts
from dronetrack.mavlink.content import Content, read_content

_CRC = kernels.crc_table()
_SMALLEST_FRAME = 8  # MAVLink 1 with no payload


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Every verified frame of a log, n rows in the order of the file.

    Parameters
    ----------
    data : (size,) uint8
        The bytes.
    payload : (n,) int64
        Offset of each payload.
    size : (n,) int32
        Its length as sent.
    message : (n,) int32
        Message id.
    source : (n,) int32
        ``system_id << 8 | component_id``.
    sequence : (n,) uint8
        Sequence number.
    place : (n,) int64
        Number of the frame in its sender's own count: the sequence number without its wrap at 256. Frames that came
        late have smaller ones than those before them.
    receive_us : (n,) int64
        The receiver's stamp. [us, its clock]
    stats : dict
        ``frames``, ``bad_frames`` (stretches of bytes that are no frame), ``lost_frames`` (by sequence numbers),
        ``skipped_bytes``, ``unknown_id_frames``, ``cut_bytes`` (an unfinished frame at the end).
    """

    data: NDArray[np.uint8]
    payload: NDArray[np.int64]
    size: NDArray[np.int32]
    message: NDArray[np.int32]
    source: NDArray[np.int32]
    sequence: NDArray[np.uint8]
    place: NDArray[np.int64]
    receive_us: NDArray[np.int64]
    stats: dict[str, int]

    def __len__(self) -> int:
        return len(self.payload)

    @property
    def system_id(self) -> NDArray[np.int32]:
        """(n,) int32: the sending system."""
        return self.source >> 8

    def columns(self, message_id: int, system_id: int | None = None) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Gather the payloads of one message.

        Parameters
        ----------
        message_id : int
            Which message.
        system_id : int, optional
            Of one system only.

        Returns
        -------
        values : (k,) structured
            Wire fields by name, raw units.
        rows : (k,) int64
            Their rows in this index.
        """
        mine = self.message == message_id
        if system_id is not None:
            mine &= self.system_id == system_id
        rows = np.flatnonzero(mine)
        kind = layouts.layout(message_id)
        out = np.zeros((len(rows), kind.itemsize), dtype=np.uint8)
        kernels.gather(self.data, self.payload, self.size, rows, out)
        return out.view(kind).reshape(len(rows)), rows


def read_frames(source: str | pathlib.Path | bytes | Content) -> Frames:
    """Index every verified frame of a stamped log (`.tlog`).

    Parameters
    ----------
    source : str, Path, bytes or Content
        The log, packed or not.

    Returns
    -------
    Frames
        In the order of the file; what is not a frame is counted.

    Raises
    ------
    FormatError
        If there is no such file, or not one verified frame in it.
    """
    content = source if isinstance(source, Content) else read_content(source)
    if content.kind != "mavlink":
        raise FormatError(
            f"{content.label}: a log of kind {content.kind}, which has no frames; read_telemetry reads it."
        )
    frames = index_frames(content.data)
    if not len(frames):
        raise FormatError(
            f"{content.label}: no MAVLink frame with a right checksum in {len(content.data)} bytes; needed a .tlog "
            "(8-byte time stamp before each frame)."
        )
    if content.cut:
        frames.stats["packed_cut"] = 1
    return frames


def index_frames(data: NDArray[np.uint8], *, stamped: bool = True) -> Frames:
    """Index the frames of bytes in memory.

    Parameters
    ----------
    data : (size,) uint8
        The bytes.
    stamped : bool, optional
        Whether an 8-byte big-endian time stamp stands before each frame.

    Returns
    -------
    Frames
        Possibly none.
    """
    room = len(data) // (_SMALLEST_FRAME + (kernels.STAMP if stamped else 0)) + 1
    payload, receive = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    size, message, source = (np.empty(room, dtype=np.int32) for _ in range(3))
    sequence = np.empty(room, dtype=np.uint8)
    counts = np.zeros(4, dtype=np.int64)
    n = kernels.scan(
        data, stamped, layouts.crc_extras(), _CRC, payload, size, message, source, sequence, receive, counts
    )
    place = np.empty(n, dtype=np.int64)
    lost = kernels.unwrap(source[:n], sequence[:n], place)
    stats = {
        "frames": int(n),
        "bad_frames": int(counts[1]),
        "lost_frames": int(lost),
        "skipped_bytes": int(counts[0]),
        "unknown_id_frames": int(counts[2]),
        "cut_bytes": int(counts[3]),
    }
    return Frames(data, payload[:n], size[:n], message[:n], source[:n], sequence[:n], place, receive[:n], stats)
