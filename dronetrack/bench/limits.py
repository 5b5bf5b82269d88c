"""What can the machine do at best? Triad, checksum and copies, to stand beside the work that needs them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dronetrack.bench.workload import Job
from dronetrack.kernels import kernel


@kernel
def _triad_rows(a, b, c, factor):  # noqa: ANN001, ANN202 - numba's
    for i in range(a.shape[0]):
        a[i] = b[i] + factor * c[i]


@kernel
def _checksum_rows(data, table):  # noqa: ANN001, ANN202 - numba's
    """CRC-16/MCRF4XX over all bytes, one by one."""
    value = np.uint16(0xFFFF)
    for i in range(data.shape[0]):
        value = (value >> np.uint16(8)) ^ table[(value ^ data[i]) & np.uint16(0xFF)]
    return value


def triad(threads: int, n: int = 24_000_000) -> Job:
    """STREAM's triad, the usual measure of what the memory can do (McCalpin 1995), in GB.

    Parameters
    ----------
    threads : int
        Among which the arrays are shared.
    n : int, optional
        Their length: far more than the caches hold.

    Returns
    -------
    Job
        Its amount is what it moves. [GB]
    """
    a, b, c = np.zeros(n), np.ones(n), np.ones(n)
    parts = [slice(k * n // threads, (k + 1) * n // threads) for k in range(threads)]
    pool = ThreadPoolExecutor(threads)
    return Job(
        lambda: list(pool.map(lambda part: _triad_rows(a[part], b[part], c[part], 2.0), parts)),
        24e-9 * n,
        "limit",
        clock="wall",
    )


def checksum(content: bytes, amount: float) -> Job:
    """Sum over every byte: what a decoder that checks its frames does at the least.

    Parameters
    ----------
    content : bytes
        To sum.
    amount : float
        How much that is in the unit of the workload.

    Returns
    -------
    Job
        The limit.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    byte = np.arange(256, dtype=np.uint16)
    for _ in range(8):
        byte = (byte >> np.uint16(1)) ^ np.where(byte & 1, np.uint16(0x8408), np.uint16(0))
    return Job(lambda: _checksum_rows(data, byte), amount, "limit")


def copy_of(arrays: list[np.ndarray], amount: float, times: int = 1) -> Job:
    """Copy arrays: the bytes that any method must move.

    Parameters
    ----------
    arrays : list of ndarray
        What goes in and comes out.
    amount : float
        How much work that stands for.
    times : int, optional
        How often they are copied.

    Returns
    -------
    Job
        The limit.
    """
    out = [np.empty_like(one) for one in arrays]

    def copy() -> None:
        for _ in range(times):
            for into, one in zip(out, arrays, strict=True):
                np.copyto(into, one)

    return Job(copy, amount, "limit")
