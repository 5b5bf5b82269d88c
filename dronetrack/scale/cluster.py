"""Who does the work? The caller's own Dask client, or processes on this machine for as long as the work lasts."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dronetrack.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[str, float], None]


@contextlib.contextmanager
def client_of(client: "Client | None", workers: int | None) -> "Iterator[Client]":
    """Yield the caller's client, or one of processes that end with the block.

    Parameters
    ----------
    client : distributed.Client or None
        The caller's, which is left as it is.
    workers : int or None
        How many processes otherwise; by default one for each core.

    Yields
    ------
    distributed.Client
        To submit to.

    Raises
    ------
    InputError
        If Dask is not installed, both are given, or there would be no worker.
    """
    if client is not None:
        if workers is not None:
            raise InputError("give client or workers, not both: the client has workers of its own.")
        yield client
        return
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}.")
    with _own(workers or os.cpu_count() or 1) as mine:
        yield mine


@contextlib.contextmanager
def _own(workers: int) -> "Iterator[Client]":
    """Start worker processes with one thread each, and end them; a worker that dies is started anew."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("scale runs on Dask, which is not installed: pip install 'dronetrack[scale]'.") from None
    settings: dict[str, Any] = {"threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
    cluster = LocalCluster(n_workers=workers, **settings)
    with cluster, Client(cluster) as mine:
        yield mine


def in_any_order(
    client: "Client", work: Callable[..., Any], pieces: Sequence[tuple]
) -> Iterator[tuple[int, Any, Exception | None]]:
    """Do all pieces, each in a task of its own, and yield what came of each as soon as it is there.

    A task whose worker dies is done again by another; a task that was there when four workers died is given up, though
    another may be to blame: try it again in `one_by_one`.

    Parameters
    ----------
    client : distributed.Client
        Whose workers do it.
    work : callable
        Does one piece; the same input must give the same result.
    pieces : sequence of tuple
        Arguments of each.

    Yields
    ------
    index : int
        Which piece.
    result : object
        What `work` returned; None where it failed.
    fault : Exception or None
        Why it failed.
    """
    from distributed import as_completed

    futures = [client.submit(work, *piece, pure=False) for piece in pieces]
    which = {future.key: index for index, future in enumerate(futures)}
    # Each result moves here when it is ready, and its future is let go: a worker that dies later takes nothing along.
    # The caller's client need not be the last one that was made, whose loop would be taken otherwise.
    done = as_completed(futures, loop=client.loop, with_results=True, raise_errors=False)
    del futures
    for future, result in done:
        if future.status == "finished":
            yield which[future.key], result, None
        else:
            yield which[future.key], None, result[1] if isinstance(result, tuple) else result


def one_by_one(
    client: "Client", work: Callable[..., Any], pieces: Sequence[tuple]
) -> Iterator[tuple[int, Any, Exception | None]]:
    """Do pieces one after another, so that none is blamed for what another does to its worker.

    Parameters
    ----------
    client, work, pieces
        As for `in_any_order`.

    Yields
    ------
    index, result, fault
        As `in_any_order` does.
    """
    for index, piece in enumerate(pieces):
        for _, result, fault in in_any_order(client, work, [piece]):
            yield index, result, fault
