"""How is a link listened to on a command line? One status line a second, and a summary at the end."""

import argparse
import contextlib
import json
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from dronetrack.errors import FormatError, InputError
from dronetrack.live.hearing import Hearing, hear, status, status_line, summary
from dronetrack.live.link import Link, open_telemetry, wall_clock_us
from dronetrack.mavlink import Frames, join_frames

EVERY_S = 1.0
KEY_BYTES = 32


def live(options: argparse.Namespace) -> int:
    """Listen to a link until the time is over, or somebody says stop (Ctrl-C, SIGTERM).

    Parameters
    ----------
    options : argparse.Namespace
        ``link``, ``record``, ``seconds``, ``dialect``, ``key_file``, ``signatures``, ``out``, ``json``.

    Returns
    -------
    int
        0.

    Raises
    ------
    InputError, FormatError
        As `open_telemetry`; also if the time is not positive, or a file cannot be read or written.
    """
    if options.seconds is not None and not options.seconds > 0.0:
        raise InputError(f"--seconds must be positive; got {options.seconds}.")
    say = _json_line if options.json else lambda told: _line(status_line(told))
    with _ended_by_signals() as ended, _opened(options) as link:
        found = listen(link, options.seconds, say, ended)
    if options.out is not None:
        _write(options.out, found)
    if options.json:
        _json_line(found)
    else:
        _line(f"heard {found['frames']} frames of {len(found['vehicles'])} senders, lost {found['lost_frames']}")
    return 0


def listen(link: Link, seconds: float | None, say: Callable[[dict], object], ended: threading.Event) -> dict:
    """Listen, say once a second how it goes, and close the link.

    Parameters
    ----------
    link : Link
        Open.
    seconds : float or None
        For how long; None for ever. [s]
    say : callable
        Takes what `status` gives.
    ended : threading.Event
        Set where it shall end before.

    Returns
    -------
    dict
        What `summary` gives.
    """
    hearing: Hearing = {}
    before, start = link.stats, time.monotonic()
    told, over = start, start + seconds if seconds is not None else float("inf")
    while told < over and not ended.is_set():
        batches = list(_batches(link, min(told + EVERY_S, over), ended))
        hearing = hear(hearing, join_frames(batches)) if batches else hearing
        stats, now = link.stats, time.monotonic()
        say(status(hearing, stats, before, now - told, wall_clock_us()))
        before, told = stats, now
    link.close()
    rest = list(link)
    hearing = hear(hearing, join_frames(rest)) if rest else hearing
    return summary(hearing, link.stats, link=link.address, seconds=round(time.monotonic() - start, 3))


def _batches(link: Link, until: float, ended: threading.Event) -> Iterator[Frames]:
    """Yield what comes until then; asked in short turns, a link lets a signal through on every system."""
    while (rest := until - time.monotonic()) > 0.0 and not ended.is_set():
        batch = link.read(min(rest, 0.2))
        if batch is not None:
            yield batch


def _opened(options: argparse.Namespace) -> Link:
    key = _key(options.key_file) if options.key_file else None
    return open_telemetry(
        options.link, record=options.record, dialect=options.dialect, key=key, signatures=options.signatures
    )


def _key(path: pathlib.Path) -> bytes | str:
    """Read a signing key: 32 bytes, or a passphrase as text. It is no argument, since every user sees those."""
    try:
        content = path.read_bytes()
        return content if len(content) == KEY_BYTES else content.decode().strip()
    except OSError as fault:
        raise FormatError(f"{path}: the key cannot be read ({fault.strerror}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: a signing key is {KEY_BYTES} bytes, or a passphrase as text.") from None


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set, so that the recording and the summary are finished."""
    ended = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    before = {one: signal.signal(one, lambda *_: ended.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _write(path: pathlib.Path, found: dict) -> None:
    try:
        path.write_text(json.dumps(found, indent=2) + "\n")
    except OSError as fault:
        raise FormatError(f"{path}: the summary cannot be written ({fault.strerror}).") from None


def _json_line(told: dict) -> None:
    _line(json.dumps(told))


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
