"""Does any input make the decoder differ from its slow twin, or from pymavlink? Damaged logs by the million.

python tools/fuzz_mavlink.py [--inputs 1000000] [--seed 1]

Each input is a few frames (both wire versions, signed, of unknown id, of every message in turn) as a stamped log or a
stream, with magic bytes where they hurt, then flipped, cut, spliced, doubled. Three things must hold for each: the
frames and counts are those of `reference.find_frames`; a random split gives the same; and whatever pymavlink's own
parser accepts in a stream is among them, or overlaps one that is (pymavlink jumps by lengths that nobody verified, so
it may land inside a frame).
"""

import argparse
import time

import numpy as np
from pymavlink.dialects.v20 import all as mavlink

from dronetrack.mavlink.frames import Decoder, index_frames
from dronetrack.reference import find_frames

MAGIC = (0xFD, 0xFE)
KINDS = list(mavlink.mavlink_map.values())


class Maker:
    """Random inputs."""

    def __init__(self, rng):
        self.rng = rng
        self.links = [mavlink.MAVLink(None, srcSystem=system, srcComponent=1) for system in (1, 2, 253)]
        signed = self.links[2].signing
        signed.secret_key, signed.sign_outgoing, signed.link_id, signed.timestamp = bytes(32), True, 1, 1

    def payload(self, size):
        content = self.rng.integers(0, 256, size, dtype=np.uint8)
        content[self.rng.random(size) < 0.15] = self.rng.choice(MAGIC)
        content[self.rng.random(size) < 0.2] = 0
        return content.tobytes()

    def frame(self):
        rng = self.rng
        if rng.random() < 0.1:
            return self.unknown()
        # Small messages more often: more of them fit in an input.
        kind = KINDS[int(rng.integers(len(KINDS)))]
        if kind.unpacker.size > 60 and rng.random() < 0.8:
            kind = mavlink.MAVLink_attitude_message
        wire = self.payload(kind.unpacker.size)
        link = self.links[int(rng.integers(3))]
        version = 1 if kind.id < 256 and rng.random() < 0.3 else 2
        return self.packed(link, kind, wire, version)

    @staticmethod
    def packed(link, kind, wire, version):
        """A frame around any payload: what pymavlink's packer does, without its fields."""
        message = kind.__new__(kind)
        mavlink.MAVLink_message.__init__(message, kind.id, kind.msgname)
        frame = message._pack(link, kind.crc_extra, wire, force_mavlink1=version == 1)  # noqa: SLF001
        link.seq = (link.seq + 1) % 256
        return bytes(frame)

    def unknown(self):
        size = int(self.rng.integers(0, 40))
        identity = int(self.rng.choice([64_999, 70_000, 2**24 - 1]))
        head = bytes([0xFD, size, 0, 0, int(self.rng.integers(256)), 1, 1]) + identity.to_bytes(3, "little")
        return head + self.payload(size) + bytes(2)

    def stamp(self):
        usual = 1_795_470_000_000_000 + int(self.rng.integers(2**40))
        return int(self.rng.choice([usual, 0xFDFDFDFDFDFDFDFD, 0xFEFEFEFEFEFEFEFE, 0xFD, 0xFE, 0]).astype(np.uint64))

    def input(self):
        rng = self.rng
        stamped = bool(rng.integers(2))
        content = bytearray()
        for _ in range(int(rng.integers(1, 5))):
            if stamped:
                content += self.stamp().to_bytes(8, "big")
            content += self.frame()
        for _ in range(int(rng.integers(0, 4))):
            self.damage(content)
        return stamped, bytes(content)

    def damage(self, content):
        rng = self.rng
        at = int(rng.integers(len(content) + 1))
        size = int(rng.integers(1, 12))
        what = rng.integers(6)
        if what == 0 and at < len(content):
            content[at] ^= 1 << int(rng.integers(8))
        elif what == 1:
            del content[at : at + size]
        elif what == 2:
            content[at:at] = self.payload(size)
        elif what == 3:
            content[at:at] = content[-5 * size :]
        elif what == 4 and at < len(content):
            content[at] = int(rng.choice(MAGIC))
        else:
            content[at:at] = bytes([int(rng.choice(MAGIC)), int(rng.integers(256)), 0])


def seen(batches):
    """The frames as bytes with their stamps, in order."""
    return [
        (bytes(one.data[start:stop]), stamp % 2**64)
        for one in batches
        for start, stop, stamp in zip(one.start.tolist(), one.stop.tolist(), one.receive_us.tolist(), strict=True)
    ]


def check(stamped, content, rng):
    """Raise if the decoder is wrong about one input; return how many frames it held."""
    whole = index_frames(content, stamped=stamped)
    frames, unknown, skipped = find_frames(content, stamped=stamped)
    wanted = [(content[start:stop], stamp) for start, stop, stamp in frames]
    assert seen([whole]) == wanted, "the slow twin finds other frames"
    counts = whole.stats["unknown_id_frames"], whole.stats["skipped_bytes"]
    assert counts == (unknown, skipped), f"the slow twin counts {unknown}, {skipped}; got {counts}"
    decoder = Decoder(stamped=stamped)
    cuts = np.sort(rng.integers(0, len(content) + 1, 4)).tolist()
    parts = [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert seen([*(decoder.update(part) for part in parts), decoder.flush()]) == wanted, f"cut at {cuts} it differs"
    assert decoder.stats == whole.stats, f"cut at {cuts} the counts differ"
    return len(frames)


def check_pymavlink(content):
    """Raise if pymavlink accepts a frame of a stream that the decoder has not, nor a verified one that overlaps it."""
    parser = mavlink.MAVLink(None)
    parser.robust_parsing = True
    theirs = [bytes(one.get_msgbuf()) for one in parser.parse_buffer(content) or [] if one.get_msgId() >= 0]
    ours = index_frames(content, stamped=False)
    at = 0
    for frame in theirs:
        if is_unknown(frame):
            continue
        at = content.find(frame, at)
        assert ((ours.start < at + len(frame)) & (ours.stop > at)).any(), f"pymavlink accepts {frame.hex()}"


def is_unknown(frame):
    return frame[0] == 0xFD and int.from_bytes(frame[7:10], "little") not in mavlink.mavlink_map


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=20_000, help="how many")
    options.add_argument("--seed", type=int, default=1, help="of the random numbers")
    chosen = options.parse_args()
    rng = np.random.default_rng(chosen.seed)
    maker = Maker(rng)
    start, frames, streams = time.perf_counter(), 0, 0
    for number in range(chosen.inputs):
        stamped, content = maker.input()
        try:
            frames += check(stamped, content, rng)
            if not stamped and number % 5 == 0:
                check_pymavlink(content)
                streams += 1
        except Exception as fault:  # noqa: BLE001 - whatever it is, the input belongs to it
            raise SystemExit(
                f"input {number} of seed {chosen.seed}, stamped {stamped}: {fault}\n{content.hex()}"
            ) from None
        if number % 100_000 == 99_999:
            print(f"{number + 1:,} inputs, {frames:,} frames", flush=True)
    spent = f"{time.perf_counter() - start:.0f} s"
    print(f"{chosen.inputs:,} inputs, {frames:,} frames, {streams:,} also by pymavlink: no difference, {spent}")


if __name__ == "__main__":
    main()
