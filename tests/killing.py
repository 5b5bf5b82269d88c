"""Kill a writer at a random moment, and look at what it leaves: for journals, and whatever writes one."""

import multiprocessing
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np


class Work(Protocol):
    """What runs in the process that is killed: it calls `acknowledge` with whatever the world may rely on from then."""

    def __call__(self, path: pathlib.Path, seed: int, acknowledge: Callable[..., None]) -> None:
        """Work until killed."""


def kill_once(work: Work, path: pathlib.Path, seed: int, alive_s: float, *, preload: Sequence[str] = ()) -> list[tuple]:
    """Start `work` in a process of its own, kill it some time after its first word, and return all it acknowledged.

    Parameters
    ----------
    work : Work
        A function of a module that a new process can import.
    path : Path
        Handed to it.
    seed : int
        Handed to it.
    alive_s : float
        How long it lives after it first acknowledged something. [s]
    preload : sequence of str, optional
        Modules that are imported once for all processes.

    Returns
    -------
    list of tuple
        The arguments of each call of `acknowledge` that came through.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # or the server would not find what it shall load
    ear, mouth = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, path, seed, mouth), daemon=True)
    process.start()
    mouth.close()
    heard = [ear.recv()]
    time.sleep(alive_s)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    try:
        while True:
            heard.append(ear.recv())
    except EOFError:
        ear.close()
    assert process.exitcode == -signal.SIGKILL, f"it ended by itself: {process.exitcode}"
    return heard


def random_lives(rng: np.random.Generator, n: int, longest_s: float = 0.1) -> list[float]:
    """Return n lengths of life: many short ones, so that beginnings and repairs are hit as well. [s]"""
    return (longest_s * rng.random(n) ** 2).tolist()


def _run(work: Work, path: pathlib.Path, seed: int, mouth) -> None:
    work(path, seed, lambda *what: mouth.send(what))
