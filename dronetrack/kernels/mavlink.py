"""Find every verified MAVLink frame in a byte string, and gather payloads by message.

Legend
------
data    bytes of a log or stream
extra   CRC_EXTRA by message id, -1 = unknown id, 256 more where the message is verified but not wanted
CRC     tables of CRC-16/MCRF4XX (X.25 polynomial, initial value 0xFFFF, no final xor), eight bytes at a time
lead    bytes of time stamp before each frame: 8 in a stamped log, 0 in a stream
index   one block of memory that holds the columns of the frames that were found, one after the other, see `column_one`
memory  what a decoder knows of all before: the rows of `senders`, and in a last one its counts
"""

import numpy as np

from dronetrack.kernels import kernel

V1, V2 = 0xFE, 0xFD
SIGNED = 0x01
SIGNATURE = 13
SMALLEST_FRAME = 8  # MAVLink 1 with no payload
STAMP = 8
VERIFIED, NO_FRAME, UNKNOWN, CUT = 1, 0, -1, -2
UNWANTED = 256

# Places in `counts`, which lives as long as its decoder.
FRAMES, RUNS, LOST, SKIPPED, UNKNOWN_IDS, LEFT, SKIPPING, HEARD = range(8)
N_COUNTS = 8

# Where in each row's share of an index its columns lie, and how long a share is: payload and stamp (int64), message
# (int32), source (uint16), then size, sequence, head and tail (uint8). Wide ones first, so that none is misaligned.
PAYLOAD, RECEIVED, MESSAGE, SOURCE, SIZE, SEQUENCE, HEAD, TAIL, INDEX_BYTES = 0, 8, 16, 20, 22, 23, 24, 25, 26

# Columns of `senders`, a row of as many for each sender: frames so far; newest number, unwrapped; lost; how many in a
# row now stand behind the newest; how many of these were taken off the loss. The last lists the senders as heard.
N_SENDERS = 65536
BEHIND_FOR_A_LONG_LOSS = 5


def _crc_tables():
    """Return (8, 256) uint16: row k takes a byte that k more bytes follow (Kounavis & Berry 2005, "slicing-by-8")."""
    tables = np.zeros((8, 256), dtype=np.uint16)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
        tables[0, byte] = value
    for row in range(1, 8):
        before = tables[row - 1]
        tables[row] = (before >> 8) ^ tables[0, before & 0xFF]
    return tables


CRC = _crc_tables()


@kernel
def columns_one(index):
    """Cut the columns of an index, with all its room: payload, stamp, message, source, size, sequence, head, tail."""
    n = index.shape[0] // INDEX_BYTES
    wide = index[: MESSAGE * n].view(np.int64)
    message = index[MESSAGE * n : SOURCE * n].view(np.int32)
    source = index[SOURCE * n : SIZE * n].view(np.uint16)
    size, sequence = index[SIZE * n : SEQUENCE * n], index[SEQUENCE * n : HEAD * n]
    return wide[:n], wide[n:], message, source, size, sequence, index[HEAD * n : TAIL * n], index[TAIL * n :]


@kernel
def checksum_one(data, start, stop, extra):
    """CRC of data[start:stop] followed by the byte `extra`."""
    value = np.uint64(0xFFFF)
    low = np.uint64(0xFF)
    i = np.uint64(start)
    last = np.uint64(stop)
    while i + np.uint64(8) <= last:
        value = np.uint64(
            CRC[7, (value ^ data[i]) & low]
            ^ CRC[6, (value >> np.uint64(8)) ^ data[i + np.uint64(1)]]
            ^ CRC[5, data[i + np.uint64(2)]]
            ^ CRC[4, data[i + np.uint64(3)]]
            ^ CRC[3, data[i + np.uint64(4)]]
            ^ CRC[2, data[i + np.uint64(5)]]
            ^ CRC[1, data[i + np.uint64(6)]]
            ^ CRC[0, data[i + np.uint64(7)]]
        )
        i += np.uint64(8)
    while i < last:
        value = (value >> np.uint64(8)) ^ np.uint64(CRC[0, (value ^ data[i]) & low])
        i += np.uint64(1)
    return (value >> np.uint64(8)) ^ np.uint64(CRC[0, (value ^ np.uint64(extra)) & low])


@kernel
def frame_one(data, p, n, extra):
    """Read the frame at `p` of data[:n]: (status, end, header length, payload length, message id)."""
    if p + 2 > n:
        return CUT, p, 0, 0, 0
    length = np.int64(data[p + 1])
    if data[p] == V1:
        header = 6
        end = p + 8 + length
        if end > n:
            return CUT, p, 0, 0, 0
        message = np.int64(data[p + 5])
    elif data[p] == V2:
        header = 10
        if p + 3 > n:
            return CUT, p, 0, 0, 0
        if data[p + 2] & 0xFE:
            return NO_FRAME, p, 0, 0, 0
        end = p + 12 + length + (SIGNATURE if data[p + 2] & SIGNED else 0)
        if end > n:
            return CUT, p, 0, 0, 0
        message = np.int64(data[p + 7]) | np.int64(data[p + 8]) << 8 | np.int64(data[p + 9]) << 16
    else:
        return NO_FRAME, p, 0, 0, 0
    if message >= extra.shape[0] or extra[message] < 0:
        return UNKNOWN, end, header, length, message
    tail = p + header + length
    wanted = np.uint64(data[tail]) | np.uint64(data[tail + 1]) << np.uint64(8)
    if checksum_one(data, p + 1, tail, extra[message]) != wanted:
        return NO_FRAME, p, 0, 0, 0
    return VERIFIED, end, header, length, message


@kernel
def unknown_one(data, p, end, n, lead, final, extra):
    """Where to go on from a frame of unknown id at `p`: `end` if it may be one, a verified frame inside it, or `p`.

    It may be a frame if another starts right after it, or the data ends there, and no verified frame starts inside:
    a checksum that holds weighs more than a length that nobody checked. -1: more bytes are needed to tell.
    """
    follows = end + lead
    if follows >= n:
        if not final:
            return -1
        if end != n:
            return p
    elif data[follows] != V1 and data[follows] != V2:
        return p
    for inner in range(p + 1, end):
        q = inner + lead
        if q >= n or (data[q] != V1 and data[q] != V2):
            continue
        status = frame_one(data, q, n, extra)[0]
        if status == VERIFIED:
            return inner
        if status == CUT and not final:
            return -1
    return end


@kernel
def count_one(senders, counts, source, sequence):
    """Count a frame of one sender, and how many more of its frames are now known to be lost.

    A step of 128 or more is a frame that came late and so was not lost, unless several in a row stand behind: then it
    is a long loss. A sender that repeats its number loses nothing.
    """
    first = senders[source, 0] == 0
    senders[source, 0] += 1
    if first:
        senders[source, 1] = sequence
        senders[counts[HEARD], 5] = source
        counts[HEARD] += 1
        return
    step = (sequence - senders[source, 1]) & 0xFF
    if step < 128:
        lost = max(step - 1, 0)
        senders[source, 1] += step
        senders[source, 3] = senders[source, 4] = 0
    elif senders[source, 3] + 1 < BEHIND_FOR_A_LONG_LOSS:
        lost = -1 if senders[source, 2] > 0 else 0
        senders[source, 3] += 1
        senders[source, 4] -= lost
    else:
        lost = step - 1 - senders[source, 3] + senders[source, 4]
        senders[source, 1] += step
        senders[source, 3] = senders[source, 4] = 0
    senders[source, 2] += lost
    counts[LOST] += lost


@kernel
def scan(data, stops, stamped, final, extra, time, memory):
    """Index every verified frame of wanted messages; return the index, and how many frames are in it.

    `data` holds one part of a stream, or several, which end at `stops`: no frame reaches from one into the next. In
    their place is left how many bytes at the end of each part were not decided on; of the last, counts[LEFT] says it.

    The scanner moves on by a frame's length only after its checksum held, else by one byte: a length that is not
    verified is never trusted. The only frames stepped over whole without a checksum are those of unknown id, see
    `unknown_one`. Unless `final`, it stops where more bytes are needed to decide, so that the frames of a stream do not
    depend on how it was split.

    Few arrays go in and one comes out: a live link calls for a few frames at a time, after a sleep in which the caches
    have forgotten it, and then each array that crosses costs as much as the frames.
    """
    lead = STAMP if stamped else 0
    counts, senders = memory[N_SENDERS], memory
    room = data.shape[0] // (SMALLEST_FRAME + lead) + 1
    index = np.empty(room * INDEX_BYTES, dtype=np.uint8)
    payload, stamp, message, source, size, sequence, head, tail = columns_one(index)
    n_parts = max(stops.shape[0], 1)
    found = 0
    p = 0
    for part in range(n_parts):
        n = stops[part] if stops.shape[0] else data.shape[0]
        while p + lead < n:
            q = p + lead
            step = 1
            if data[q] == V1 or data[q] == V2:
                status, end, header, length, identity = frame_one(data, q, n, extra)
                if status == CUT and not final:
                    break
                if status == UNKNOWN:
                    go_on = unknown_one(data, p, end, n, lead, final, extra)
                    if go_on < 0:
                        break
                    step = max(go_on - p, 1)
                at = q + (3 if header == 6 else 5)
                if status == VERIFIED:
                    sender = np.int64(data[at]) << 8 | np.int64(data[at + 1])
                    counts[FRAMES] += 1
                    count_one(senders, counts, sender, np.int64(data[at - 1]))
                    if extra[identity] < UNWANTED:
                        payload[found] = q + header
                        size[found] = length
                        message[found] = identity
                        source[found] = sender
                        sequence[found] = data[at - 1]
                        head[found] = header
                        tail[found] = end - q - header - length
                        when = np.uint64(0)
                        for k in range(lead):
                            when = when << np.uint64(8) | np.uint64(data[p + k])
                        stamp[found] = np.int64(when) if stamped else time
                        found += 1
                    p = end
                    counts[SKIPPING] = 0
                    continue
                if status == UNKNOWN and p + step == end:
                    sender = np.int64(data[at]) << 8 | np.int64(data[at + 1])
                    # It cannot be verified, so it is heard only where it says what its sender would have said next.
                    if senders[sender, 0] > 0 and ((np.int64(data[at - 1]) - senders[sender, 1]) & 0xFF) == 1:
                        senders[sender, 1] += 1
                    counts[UNKNOWN_IDS] += 1
                    p = end
                    counts[SKIPPING] = 0
                    continue
            if counts[SKIPPING] == 0:
                counts[RUNS] += 1
                counts[SKIPPING] = 1
            counts[SKIPPED] += step
            p += step
        counts[LEFT] = n - p
        if stops.shape[0]:
            stops[part] = n - p
        p = n
    return index, found


@kernel
def same_one(senders, a, b):
    """Whether two datagrams have the same sender."""
    k = 0
    while k < senders.shape[1] and senders[a, k] == senders[b, k]:
        k += 1
    return k == senders.shape[1]


@kernel
def scan_datagrams(room, senders, sizes, n, extra, time, memory):
    """Put n datagrams together by sender, and index their frames as `scan` does; one crossing for a live link.

    Datagram i is room[i, :sizes[i]], and senders[i] says who sent it. Returns the bytes, sender after sender; the
    index, and how many frames are in it; and a row for each sender at whose end bytes were not decided on: one of its
    datagrams, where the bytes end, how many they are.
    """
    size = 0
    for i in range(n):
        size += sizes[i]
    data = np.empty(size, dtype=np.uint8)
    rests = np.empty((n, 3), dtype=np.int64)
    left = np.zeros(n, dtype=np.int64)  # first: which datagrams are put together already
    n_parts = 0
    p = 0
    for i in range(n):
        if left[i]:
            continue
        for j in range(i, n):
            if not left[j] and same_one(senders, i, j):
                for k in range(sizes[j]):
                    data[p + k] = room[j, k]
                p += sizes[j]
                left[j] = 1
        rests[n_parts, 0] = i
        rests[n_parts, 1] = p
        n_parts += 1
    for part in range(n_parts):
        left[part] = rests[part, 1]
    index, found = scan(data, left[:n_parts], False, False, extra, time, memory)
    n_rests = 0
    for part in range(n_parts):
        if left[part] > 0:
            rests[n_rests] = rests[part]
            rests[n_rests, 2] = left[part]
            n_rests += 1
    return data, index, found, rests[:n_rests]


@kernel
def payload_one(data, start, sent, full, out, at):
    """Copy a payload to `at` of `out`; a short one is padded with zeros, a long one cut."""
    sent = min(sent, full)
    for k in range(sent):
        out[at + k] = data[start + k]
    for k in range(sent, full):
        out[at + k] = 0


@kernel
def gather_message(data, index, found, identity, system, width):
    """Copy the payloads of one message, of one system or (-1) of all, side by side; return them and their rows."""
    payload, _, message, source, size, _, _, _ = columns_one(index)
    n = 0
    for i in range(found):
        n += message[i] == identity and (system < 0 or source[i] >> 8 == system)
    rows = np.empty(n, dtype=np.int64)
    out = np.empty(n * width, dtype=np.uint8)
    n = 0
    for i in range(found):
        if message[i] == identity and (system < 0 or source[i] >> 8 == system):
            payload_one(data, payload[i], np.int64(size[i]), width, out, n * width)
            rows[n] = i
            n += 1
    return out, rows


@kernel
def gather(data, index, found, width, cursor, out):
    """Copy each payload to `cursor` of its message in `out`, and move that on by the message's width.

    One pass in the order of the bytes: going through them once per message takes three times as long.
    """
    payload, _, message, _, size, _, _, _ = columns_one(index)
    for i in range(found):
        full = np.int64(width[message[i]])
        payload_one(data, payload[i], np.int64(size[i]), full, out, cursor[message[i]])
        cursor[message[i]] += full


@kernel
def unwrap(source, sequence, place):
    """Fill `place` (n,) with each frame's number in its sender's own count, without the wrap at 256.

    A step of 128 or more is a frame that came late unless most of the sender's next nine frames do not go on from where
    it stood before: then it is a long loss.
    """
    n = source.shape[0]
    follow = np.empty(n, dtype=np.int64)
    last = np.full(65536, -1, dtype=np.int64)
    for i in range(n - 1, -1, -1):
        follow[i] = last[source[i]]
        last[source[i]] = i
    last[:] = -1
    newest = np.zeros(65536, dtype=np.int64)
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
                continue
        newest[s] += step
        place[i] = newest[s]
