"""Whose tracker is better? Data sets with truth and seeds, one way to score them, one small file for each entry.

`Benchmark` loads a data set, runs a tracker over it or scores what one said; `Entry` is what goes on the board. A
tracker need not be written in Python: `Benchmark.write` puts the data set into Parquet files, `read_results` takes
answers back from them. A tracker is scored on what it says about moments that the data set asks for; where it is
silent, the last thing that it said counts. What cannot be seen is a tracker that looks at the truth, or one that was
tuned on these very seeds: an entry is worth the trust in who made it, so ask for the code, and run it on other seeds.
"""

from dronetrack.leaderboard.benchmark import Benchmark
from dronetrack.leaderboard.case import Case, Tracker, default_tracker
from dronetrack.leaderboard.entry import Entry, read_entries, to_dataframe, to_markdown
from dronetrack.leaderboard.files import read_results, write_results
from dronetrack.leaderboard.verdict import Verdict, result_of

__all__ = [
    "Benchmark",
    "Case",
    "Entry",
    "Tracker",
    "Verdict",
    "default_tracker",
    "read_entries",
    "read_results",
    "result_of",
    "to_dataframe",
    "to_markdown",
    "write_results",
]
