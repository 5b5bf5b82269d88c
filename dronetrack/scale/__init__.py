"""How is much done at once? Archives of logs and sweeps of simulations, on the cores of this machine or a Dask cluster.

`map_logs` fuses every log of an archive into a partitioned GeoParquet; `monte_carlo` scores trackers over scenarios and
seeds. Both split the work into pieces that do not know of each other, so the result is the same bits whatever the
number of workers, the order, or the workers that were lost on the way. Install the extra: `pip install
'dronetrack[scale]'`.

Workers are processes, not threads: the compiled kernels let go of Python's global lock, but reading, checking and
wrapping around them is Python and does not, so threads wait for each other there; and a process that dies takes nobody
along. A client of your own may have threads; the results are the same.
"""

from dronetrack.scale.archive import Archive, map_logs
from dronetrack.scale.sweep import monte_carlo

__all__ = ["Archive", "map_logs", "monte_carlo"]
