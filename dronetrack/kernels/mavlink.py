"""Find every verified MAVLink frame in a byte string, and gather payloads by message.

Legend
------
data    bytes of a log or stream
extra   CRC_EXTRA by message id, -1 = unknown id
crc     table of CRC-16/MCRF4XX (X.25 polynomial, initial value 0xFFFF, no final xor)
"""

import numpy as np

from dronetrack.kernels import kernel

V1, V2 = 0xFE, 0xFD
SIGNED = 0x01
SIGNATURE = 13
STAMP = 8


def crc_table():
    """Return the 256-entry table of CRC-16/MCRF4XX."""
    table = np.zeros(256, dtype=np.uint16)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
        table[byte] = value
    return table


@kernel
def checksum_one(data, start, stop, extra, crc):
    """CRC of data[start:stop] followed by the byte `extra`."""
    value = np.uint32(0xFFFF)
    for i in range(start, stop):
        value = (value >> 8) ^ crc[(value ^ data[i]) & 0xFF]
    return (value >> 8) ^ crc[(value ^ np.uint32(extra)) & 0xFF]


@kernel
def frame_one(data, p, extra, crc):
    """Read the frame at `p`: (status, end, header length, payload length, message id).

    status 1 = verified, 0 = no frame, -1 = whole shape but unknown id, -2 = runs past the end, -3 = wrong checksum.
    """
    n = data.shape[0]
    if p + 2 > n:
        return -2, p, 0, 0, 0
    length = np.int64(data[p + 1])
    if data[p] == V1:
        header = 6
        end = p + 8 + length
        if end > n:
            return -2, p, 0, 0, 0
        message = np.int64(data[p + 5])
    elif data[p] == V2:
        header = 10
        if p + 3 > n:
            return -2, p, 0, 0, 0
        if data[p + 2] & 0xFE:
            return 0, p, 0, 0, 0
        end = p + 12 + length + (SIGNATURE if data[p + 2] & SIGNED else 0)
        if end > n:
            return -2, p, 0, 0, 0
        message = np.int64(data[p + 7]) | np.int64(data[p + 8]) << 8 | np.int64(data[p + 9]) << 16
    else:
        return 0, p, 0, 0, 0
    if message >= extra.shape[0] or extra[message] < 0:
        return -1, end, header, length, message
    tail = p + header + length
    wanted = np.uint32(data[tail]) | np.uint32(data[tail + 1]) << 8
    if checksum_one(data, p + 1, tail, extra[message], crc) != wanted:
        return -3, p, 0, 0, 0
    return 1, end, header, length, message


@kernel
def scan(data, stamped, extra, crc, payload, size, message, source, sequence, stamp, counts):
    """Index every verified frame; return how many there are.

    The scanner moves on by a frame's length only after its checksum held, else by one byte: a length that is not
    verified is never trusted. Two exceptions cannot lose a frame: an unknown id whose end is followed by another
    start is stepped over whole, and so it is at the very end. `counts` receives (bytes skipped, runs of skipped bytes,
    frames of unknown id, bytes of a cut frame at the end).
    """
    n = data.shape[0]
    lead = STAMP if stamped else 0
    found = 0
    p = 0
    skipping = False
    while p + lead < n:
        q = p + lead
        status = 0
        if data[q] == V1 or data[q] == V2:
            status, end, header, length, identity = frame_one(data, q, extra, crc)
            if status == 1:
                payload[found] = q + header
                size[found] = length
                message[found] = identity
                at = q + (3 if header == 6 else 5)
                source[found] = np.int32(data[at]) << 8 | np.int32(data[at + 1])
                sequence[found] = data[at - 1]
                when = np.uint64(0)
                for k in range(lead):
                    when = when << np.uint64(8) | np.uint64(data[p + k])
                stamp[found] = np.int64(when)
                found += 1
                p = end
                skipping = False
                continue
            if status == -1:
                follows = end + lead
                if end == n or (follows < n and (data[follows] == V1 or data[follows] == V2)):
                    counts[2] += 1
                    p = end
                    skipping = False
                    continue
        if not skipping:
            counts[1] += 1
            skipping = True
        counts[0] += 1
        p += 1
    if p < n:
        counts[3] = n - p
    return found


@kernel
def gather(data, payload, size, rows, out):
    """Copy the payloads of `rows` into `out` (k, itemsize), zeroed: short ones stay padded, long ones are cut."""
    width = out.shape[1]
    for i in range(rows.shape[0]):
        start = payload[rows[i]]
        for k in range(min(np.int64(size[rows[i]]), width)):
            out[i, k] = data[start + k]


@kernel
def unwrap(source, sequence, place):
    """Fill `place` (n,) with each frame's number in its sender's own count, without the wrap at 256; return the loss.

    A step of 128 or more is a frame that came late unless most of the sender's next nine frames do not go on from where
    it stood before: then it is a long loss. A late frame was not lost; a sender that repeats its number loses nothing.
    """
    n = source.shape[0]
    follow = np.empty(n, dtype=np.int64)
    last = np.full(65536, -1, dtype=np.int64)
    for i in range(n - 1, -1, -1):
        follow[i] = last[source[i]]
        last[source[i]] = i
    last[:] = -1
    newest = np.zeros(65536, dtype=np.int64)
    lost = 0
    for i in range(n):
        s = source[i]
        if last[s] < 0:
            newest[s] = sequence[i]
            place[i] = newest[s]
            last[s] = i
            continue
        step = (np.int64(sequence[i]) - newest[s]) & 0xFF
        if step >= 128:
            votes = 0
            j = follow[i]
            for _ in range(9):
                if j < 0:
                    break
                goes_on = ((np.int64(sequence[j]) - newest[s]) & 0xFF) < 128
                votes += 1 if goes_on else -1
                j = follow[j]
            if votes > -5:
                place[i] = newest[s] + step - 256
                lost = max(lost - 1, 0)
                continue
        newest[s] += step
        place[i] = newest[s]
        lost += max(step - 1, 0)
    return lost
