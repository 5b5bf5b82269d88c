"""How fast is a log decoded to columns of every message? Beside pymavlink, a bare checksum pass, and memcpy.

python benchmarks/decode.py [log.tlog ...]
"""

import importlib.resources
import pathlib
import sys

import numpy as np
from timing import in_turn, table, versions

from dronetrack import reference
from dronetrack.kernels import kernel
from dronetrack.kernels.mavlink import crc_tables
from dronetrack.mavlink.frames import read_frames

CRC = crc_tables()[0]


@kernel
def checksum_rows(data, crc):
    """CRC-16/MCRF4XX over all bytes: what any decoder that checks its frames has to do at the least."""
    value = np.uint16(0xFFFF)
    for i in range(data.shape[0]):
        value = (value >> np.uint16(8)) ^ crc[(value ^ data[i]) & np.uint16(0xFF)]
    return value


def ours(content):
    frames = read_frames(content)
    return len(frames), {name: values for name, (values, _) in frames.tables().items()}


def pymavlink(path):
    return sum(1 for _ in reference.read_messages(path))


def main(paths):
    for path in paths:
        content = path.read_bytes()
        data = np.frombuffer(content, dtype=np.uint8)
        frames, columns = ours(content)
        assert frames == pymavlink(path) == sum(map(len, columns.values())), "the two decoders disagree"
        print(f"\n{path.name}: {len(content) / 1e6:.2f} MB, {frames:,} frames, the same from both  ({versions()})")
        seconds = in_turn(
            {
                "dronetrack, all columns": lambda content=content: ours(content),
                "pymavlink, all messages": lambda path=path: pymavlink(path),
                "limit: checksum of every byte": lambda data=data: checksum_rows(data, CRC),
                "limit: memcpy": lambda data=data: data.copy(),
            },
            rounds=3,
        )
        table(seconds, dict.fromkeys(seconds, len(content) / 1e6), "MB/s", "dronetrack, all columns")


if __name__ == "__main__":
    given = [pathlib.Path(one) for one in sys.argv[1:]]
    main(given or [pathlib.Path(str(importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog"))])
