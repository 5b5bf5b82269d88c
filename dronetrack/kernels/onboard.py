"""Find the records of an autopilot's own log, and gather them by layout.

Legend
------
data     bytes of a log
least, most  bytes of a ULog data message by its message id; least > most = nobody subscribed to it
layout   number of a record's layout
length   bytes of a record of each layout, header included
current  layout by record id as of here, -1 = unknown id
"""

import numpy as np

from dronetrack.kernels import kernel

HEAD1, HEAD2 = 0xA3, 0x95  # DataFlash
HEADER = 3  # of both formats
SYNC = (0x2F, 0x73, 0x13, 0x20, 0x25, 0x0C, 0xBB, 0x12)  # body of ULog's sync message


@kernel
def dataflash_header_one(data, p, current):
    """Layout of the record whose header stands at `p`; -1 where none of a known id does."""
    if p + HEADER > data.shape[0] or data[p] != HEAD1 or data[p + 1] != HEAD2:
        return -1
    return current[data[p + 2]]


@kernel
def dataflash_verified_one(data, p, length, current):
    """Whether a record starts at `p` and another, or the end of the log, follows it."""
    k = dataflash_header_one(data, p, current)
    if k < 0:
        return False
    end = p + length[k]
    return end == data.shape[0] or dataflash_header_one(data, end, current) >= 0


@kernel
def scan_dataflash(data, length, defined_at, defined_id, defined_layout, start, layout, counts):
    """Index every record that there is room for; return how many there are.

    A record is believed if another header, or the end of the log, follows its end. One that damage follows is believed
    if the record before it ended where it starts, and no verified record starts inside it: then it was not cut. All
    else is passed over byte by byte. An id means its first definition until that comes, then the latest.
    `counts` receives (bytes skipped, runs of skipped bytes, bytes of a cut record at the end).
    """
    n = data.shape[0]
    current = np.full(256, -1, dtype=np.int64)
    for i in range(defined_at.shape[0] - 1, -1, -1):
        current[defined_id[i]] = defined_layout[i]
    found = 0
    p = 0
    reached = 0
    chained = True
    skipping = False
    cut = -1
    while p + HEADER <= n:
        while reached < defined_at.shape[0] and defined_at[reached] < p:
            current[defined_id[reached]] = defined_layout[reached]
            reached += 1
        k = dataflash_header_one(data, p, current)
        if k >= 0:
            end = p + length[k]
            believed = end == n or (end < n and dataflash_header_one(data, end, current) >= 0)
            if not believed and chained:
                if end > n:
                    cut = p
                else:
                    believed = True
                for q in range(p + HEADER, min(end, n)):
                    if dataflash_verified_one(data, q, length, current):
                        believed = False
                        break
            if believed:
                if found < start.shape[0]:
                    start[found] = p
                    layout[found] = k
                found += 1
                p = end
                chained = True
                skipping = False
                cut = -1
                continue
        chained = False
        counts[1] += not skipping
        skipping = True
        counts[0] += 1
        p += 1
    counts[1] += p < n and not skipping
    counts[0] += n - p
    if cut >= 0:
        counts[2] = n - cut
        counts[0] -= n - cut
        counts[1] -= 1
    return found


@kernel
def ulog_end_one(data, p):
    """Where the ULog message at `p` says that it ends."""
    return p + HEADER + (np.int64(data[p]) | np.int64(data[p + 1]) << 8)


@kernel
def ulog_sound_one(data, p, least, most):
    """Whether a whole ULog message starts at `p`: of a known kind, with what its kind must have."""
    n = data.shape[0]
    if p + HEADER >= n:
        return False
    end = ulog_end_one(data, p)
    if end > n:
        return False
    size = end - p - HEADER
    kind = data[p + 2]
    body = p + HEADER
    if kind == ord("D"):
        if size < 2:
            return False
        identity = np.int64(data[body]) | np.int64(data[body + 1]) << 8
        return least[identity] <= size <= most[identity]
    if kind == ord("L"):
        return size >= 9 and ord("0") <= data[body] <= ord("7")
    if kind == ord("C"):
        return size >= 11 and ord("0") <= data[body] <= ord("7")
    if kind == ord("O"):
        return size == 2
    if kind == ord("S"):
        sound = size == len(SYNC)
        for k in range(len(SYNC)):
            sound = sound and data[body + k] == SYNC[k]
        return sound
    if kind == ord("I") or kind == ord("P"):
        return size >= 2 and 0 < data[body] < size
    if kind == ord("M") or kind == ord("Q"):
        return size >= 3 and 0 < data[body + 1] < size - 1
    if kind == ord("A"):
        return size >= 4 and data[body + 3] > 32 and data[body + 3] < 127
    if kind == ord("F"):
        return size >= 3 and data[body] > 32 and data[body] < 127
    if kind == ord("B"):
        return size >= 40
    return kind == ord("R") and size >= 2


@kernel
def ulog_verified_one(data, p, least, most):
    """Whether a sound message starts at `p` and another, or the end of the log, follows it."""
    if not ulog_sound_one(data, p, least, most):
        return False
    end = ulog_end_one(data, p)
    return end == data.shape[0] or ulog_sound_one(data, end, least, most)


@kernel
def ulog_inside_one(data, p, end, least, most):
    """First place between `p` and `end` from which sound messages lead just to `end`; `end` if there is none."""
    for q in range(p + HEADER, end):
        r = q
        while r < end and ulog_sound_one(data, r, least, most):
            r = ulog_end_one(data, r)
        if r == end:
            return q
    return end


@kernel
def scan_ulog(data, p, least, most, start, counts):
    """Index every sound message from `p` on that there is room for; return how many there are.

    Messages are believed as records are in `scan_dataflash`. One that is not sound (of a kind that is not known yet, of
    data that nobody subscribed to) is stepped over whole if a sound one follows it; but if messages that lead to that
    one lie inside it, its length is what is wrong, and they count. `counts` receives (bytes skipped, runs of skipped
    bytes, bytes of a cut message at the end, messages stepped over).
    """
    n = data.shape[0]
    found = 0
    chained = True
    skipping = False
    cut = -1
    while p + HEADER <= n:
        end = ulog_end_one(data, p)
        if ulog_sound_one(data, p, least, most):
            believed = ulog_verified_one(data, p, least, most)
            if not believed and chained:
                believed = True
                for q in range(p + 1, end):
                    if ulog_verified_one(data, q, least, most):
                        believed = False
                        break
            if believed:
                if found < start.shape[0]:
                    start[found] = p
                found += 1
                p = end
                chained = True
                skipping = False
                cut = -1
                continue
        elif chained and end > p + HEADER and ulog_sound_one(data, end, least, most):
            inside = ulog_inside_one(data, p, end, least, most)
            if inside == end:
                counts[3] += 1
            else:
                counts[0] += inside - p
                counts[1] += 1
            p = inside
            continue
        elif chained and end > n:
            cut = p
        chained = False
        counts[1] += not skipping
        skipping = True
        counts[0] += 1
        p += 1
    counts[1] += p < n and not skipping
    counts[0] += n - p
    if cut >= 0:
        counts[2] = n - cut
        counts[0] -= n - cut
        counts[1] -= 1
    return found


@kernel
def gather_records(data, start, layout, lead, size, place, out):
    """Copy `size` bytes of each record, `lead` bytes behind its start, to the next place of its layout in `out`.

    `place` (k,) holds where the first record of each layout goes, and moves on; -1 leaves a layout away.
    """
    for i in range(start.shape[0]):
        k = layout[i]
        to = place[k]
        if to < 0:
            continue
        end = to + size[k]
        at = start[i] + lead
        # Slices of one length need no sign check per byte: 3x faster than indexing the wholes.
        body, copy = data[at : at + size[k]], out[to:end]
        for j in range(size[k]):
            copy[j] = body[j]
        place[k] = end
