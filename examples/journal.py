"""Keep a record that holds up: journal what was measured and concluded, have it read, purge it, and prove it.

python examples/journal.py [folder]

The packaged recording is fused as it comes. Then the process "dies": the file ends within a record. The next process
repairs the tail and says so. An operator, an auditor and a supervisor of another state ask to read; each read, and the
refusal, is in the log of accesses. At the end the first half is purged, and the chain still proves itself.
"""

import importlib.resources
import os
import pathlib
import sys
import tempfile

import dronetrack as dt

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
path = folder / "run.journal"
demo = importlib.resources.files("dronetrack") / "data" / "demo" / "mission.toml"
rows = dt.fuse(str(demo)).measurements

tracker = dt.Tracker()
journal = dt.Journal.create(path, purpose="surveillance, file 12/2026", authority="HU", operation="exercise")
for start in range(0, len(rows), 50):
    batch = rows.take(slice(start, start + 50))
    journal.append_measurements(batch)
    journal.append_track(tracker.update(batch), {"final": True})
    journal.commit()
journal.append("event", int(rows.time_us[-1]), {"kind": "track_ended", "cause": "end of the recording"})
journal.release()
noted = journal.digest
print(f"{len(journal)} records, {path.stat().st_size / 1e6:.1f} MB; digest to note elsewhere: {noted[:16]}...")

with path.open("ab") as file:
    file.write(os.urandom(100))
with dt.Journal.open(path) as journal:
    print(f"repaired: {journal.repaired}")

now_us = int(rows.time_us[-1]) + 3_600_000_000
operator = dt.read_journal(path, role="operator", who="Kiss", purpose="handing over the shift", time_us=now_us)
print(f"an operator of HU sees {len(list(operator))} records")
auditor = dt.read_journal(path, role="auditor", who="Nagy", purpose="", time_us=now_us)
print(f"an auditor without a purpose sees {sum(record.withheld for record in auditor)} records without their rows")
try:
    dt.read_journal(path, role="supervisor", who="Popescu", authority="RO", purpose="interest", time_us=now_us)
except dt.NotAuthorisedError as refusal:
    print(refusal)
for record in dt.read_accesses(path, role="auditor", who="Nagy", purpose="yearly audit", time_us=now_us):
    print(f"  {record.kind:10s} {record.facts}")

before_us = int(rows.time_us[len(rows) // 2])
purged = dt.purge(path, before_us=before_us, who="Nagy", authority="HU", time_us=now_us, reason="retention")
proof = dt.verify_journal(path, digest=noted)
print(f"purged {purged['records']} of {proof.n_records} records; the journal is {'whole' if proof.ok else 'NOT whole'}")
