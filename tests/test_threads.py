import os
import signal
import threading
import time

import numpy as np
import pytest

from dronetrack.bank import TargetBank
from dronetrack.border import Border
from dronetrack.threads import on_all_cores

N = 70_000  # more than are done by one thread


def test_results_come_in_the_order_of_the_parts():
    assert on_all_cores(lambda part: (time.sleep(0.01 * (5 - part)), part)[1], range(5)) == list(range(5))


def test_parts_run_at_once_and_one_pool_serves_all():
    both = threading.Barrier(2)
    if (os.cpu_count() or 1) > 1:
        on_all_cores(lambda _: both.wait(timeout=10.0), range(2))
    on_all_cores(abs, range(100))
    ours = [one for one in threading.enumerate() if one.name.startswith("dronetrack")]
    assert 1 <= len(ours) <= (os.cpu_count() or 1)


def test_a_fault_in_a_part_is_raised():
    with pytest.raises(ZeroDivisionError):
        on_all_cores(lambda part: 1 // part, [1, 0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    border = Border.between("HU", "RO")
    bank = TargetBank(np.tile([4.0e6, 1.5e6, 4.7e6, 0.0, 0.0, 0.0], (N, 1)), np.tile(np.eye(6), (N, 1, 1)), 0)
    bank.n_threads = 2

    def work() -> None:
        bank.update(bank.time_us + 1, position=bank.mean[:, :3].copy(), cov=np.eye(3))
        border.side(np.full(N, 46.2), np.full(N, 20.7))
        assert on_all_cores(abs, range(-3, 0)) == [3, 2, 1]

    work()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert ended(child, within_s=30.0) == 0
    work()


def ended(child, within_s):
    """Exit code of a child, which is killed if it takes too long."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it never ended"
