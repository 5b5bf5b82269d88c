r"""What was measured, decided and read, and can that be proved? The append-only, tamper-evident record.

One file, one writer, any number of readers. The layout, format version 1, all numbers little-endian::

    file    = preamble record record ...
    preamble  16 bytes: 93 "DTJOURNAL" 0d 0a 1a 0a, u16 version
    record  = header kept personal

    header, 160 bytes
      0   4  mark: 93 "DT+" with its personal part, 93 "DT-" after a purge has removed it
      4   4  u32 flags: bit 0 = the clock stepped back, time_us is below an earlier record's
      8   8  u64 sequence: 0, 1, 2, ...
     16   8  i64 time_us: from the data, UTC
     24   8  u64 acknowledged: how many records were safe on the disk when this one was made
     32   4  u32 size of the kept part
     36   4  u32 size of the personal part, as it was appended
     40  20  kind: lower-case ASCII, padded with zeros
     60  32  SHA-256 of the kept part
     92  32  SHA-256 of the personal part, as it was appended
    124  32  SHA-256 of (digest of the record before; header bytes 4 to 124); before the first: SHA-256 of the preamble
    156   4  CRC-32 of header bytes 0 to 156

    kept      facts that stay: JSON (with NaN and Infinity), padded with spaces to a multiple of 8
    personal  empty, or: payload, JSON of the personal facts, u32 size of that JSON

The chain runs through digests of the parts, not the parts, so a purge can remove personal parts and the chain still
proves itself. The CRC lets a reader trust a size before it hashes what the size spans, and find records behind damage.

The journal's own kinds, and their facts; `append` takes any other:

============  ========================================================================================================
opened        first and once: `version`, `purpose`, `authority`, `operation`
sensors       `sensors`: the fields of each sensor, by `sensor_id`
measurements  `sensors`: number of the record of their sensors; `rows`: how many of each; `start_us`; `time_us` is the
              last row's. Payload: the columns `tables.MEASUREMENTS` one after another, C order. May have `stats`
track         `track_id`, `n`, `start_us`, what the writer added. Payload: the columns `tables.TRACK`. May have `stats`
repair        `offset`, `cut_bytes`, `reason`. Payload: the bytes that were cut off, in pieces
released      `n_records`: all records before it are on the disk; the writer left, and another may come
purge         `before_us`, `who`, `authority`, `reason`, `records`, `bytes`; `gone`: ranges of sequence numbers (first,
              last) in which no record has its personal part any more
closed        last but for purges: `n_records`, `sealed` (digest of the record before), `accesses` (how many entries the
              log of accesses had, and its digest), `signature` of all these, where the journal is sealed
============  ========================================================================================================

In the log of accesses stand ``access`` (who reads, why, what, for whom), ``refused`` (the same, and the `reason`), and
``disclosed`` (how many records one access was given, up to which number, and that record's digest).

What a record's loss means follows from `acknowledged`. Damage that a later record knows to have been on the disk is
damage: it is named, and never repaired. Damage behind the last acknowledged record is a torn tail: opening for writing
cuts it off, keeps what was cut in a ``repair`` record, and says so. A writer that leaves in peace leaves a record
``released``, or ``closed``, so after it nothing is a torn tail.

Reads are logged in a sidecar of the same format, ``NAME.access``, so that they are recorded while a writer is at work.
"""

from dronetrack.journal.reader import Record, read_accesses, read_journal
from dronetrack.journal.retention import purge
from dronetrack.journal.verification import Verification, verify_journal
from dronetrack.journal.writer import Journal

__all__ = ["Journal", "Record", "Verification", "purge", "read_accesses", "read_journal", "verify_journal"]
