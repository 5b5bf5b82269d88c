"""How is a report asked for on a command line? Who makes it, when, and in which language."""

import argparse
import datetime as dt
import getpass
import pathlib
import time

from dronetrack.errors import InputError
from dronetrack.report.page import write_report

PURPOSE = "report owed to the host"


def report(options: argparse.Namespace) -> list[pathlib.Path]:
    """Write the report that a command line asks for; the moment of reading is the machine's, for this is a command.

    Parameters
    ----------
    options : argparse.Namespace
        ``journal``, ``out``, ``language``, ``pdf``, ``who``, ``role``, ``purpose``, ``as_of``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If `as_of` is no time, or nobody is logged in and `who` is empty; else as `write_report`.
    """
    return write_report(
        options.journal,
        options.out,
        who=options.who or _login(),
        role=options.role,
        purpose=options.purpose or PURPOSE,
        time_us=time.time_ns() // 1000,
        told_us=_moment_us(options.as_of) if options.as_of else None,
        language=options.language,
        pdf=options.pdf,
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user on this machine
        raise InputError("every reading of a journal is logged with a name; give --who.") from None


def _moment_us(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--as-of needs a time as in 2026-11-24T12:00, UTC; got {text!r}.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
