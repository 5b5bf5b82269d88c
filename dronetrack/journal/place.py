"""Where does a journal live? Its file, opened, locked and whole, or a clear error."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from dronetrack.errors import FormatError

BLOCK = 1 << 20
MOST_PIECES = 1024  # that one call may write: Linux's IOV_MAX


def open_for_reading(path: pathlib.Path) -> BinaryIO:
    """Open a journal for reading.

    Raises
    ------
    FormatError
        If it cannot be.
    """
    with said(path, "read"):
        if path.is_dir():
            raise FormatError(f"{path}: a folder, needed a journal.")
        return path.open("rb", buffering=BLOCK)


def open_for_writing(path: pathlib.Path, *, create: bool = False, anew: bool = False, wait: bool = False) -> int:
    """Open the file of a journal for its only writer and lock it; the descriptor is the lock.

    Parameters
    ----------
    path : Path
        Where.
    create : bool, optional
        Whether it may come to be now.
    anew : bool, optional
        Whether it must.
    wait : bool, optional
        Wait for another writer to leave, rather than raise.

    Raises
    ------
    FormatError
        If that cannot be, or another writer is at work.
    """
    import fcntl

    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create or anew else 0) | (os.O_EXCL if anew else 0)
    while True:
        with said(path, "written"):
            handle = os.open(path, flags, 0o640)
        try:
            with said(path, "written"):
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            os.close(handle)
            raise
        if is_at(handle, path):  # a purge may have put another file there between opening and locking
            return handle
        os.close(handle)


def is_at(handle: int, path: pathlib.Path) -> bool:
    """Whether a path still leads to an open file."""
    try:
        there, ours = os.stat(path), os.fstat(handle)  # noqa: PTH116 - half the time of Path.stat, on every commit
    except OSError:
        return False
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)


def is_being_written(path: pathlib.Path) -> bool:
    """Whether a writer holds the journal now."""
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def write_at(handle: int, pieces: list, offset: int) -> int:
    """Write pieces end to end from an offset on, all of them, in few calls, and return where they end."""
    for start in range(0, len(pieces), MOST_PIECES):
        some = pieces[start : start + MOST_PIECES]
        done, size = os.pwritev(handle, some, offset), sum(map(len, some))
        if done < size:  # a disk that fills up, as a rule: the next call says so
            _write_rest(handle, memoryview(b"".join(some))[done:], offset + done)
        offset += size
    return offset


def _write_rest(handle: int, rest: memoryview, offset: int) -> None:
    while rest:
        done = os.pwrite(handle, rest, offset)
        offset += done
        rest = rest[done:]


def copy_aside(handle: int, size: int, path: pathlib.Path) -> pathlib.Path:
    """Copy the first bytes of an open file to a new file beside a path, onto the disk, and return its name."""
    number = 1
    while (copy := path.with_name(f"{path.name}.rescued-{number}")).exists():
        number += 1
    with said(copy, "written"), copy.open("xb") as file:
        for start in range(0, size, BLOCK):
            file.write(os.pread(handle, min(BLOCK, size - start), start))
        file.flush()
        os.fsync(file.fileno())
        keep_folder(copy)
    return copy


def keep_folder(path: pathlib.Path) -> None:
    """Put a new name in a folder on the disk, as fsync of the file alone does not."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def said(path: pathlib.Path, deed: str) -> Iterator[None]:
    """Turn what the system refuses into a sentence that says what to do."""
    try:
        yield
    except BlockingIOError:
        raise FormatError(f"{path}: another process writes this journal; a journal has one writer.") from None
    except FileExistsError:
        raise FormatError(f"{path}: exists already; Journal.open continues it.") from None
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file or folder.") from None
    except OSError as fault:
        raise FormatError(f"{path}: cannot be {deed} ({fault.strerror}).") from fault
