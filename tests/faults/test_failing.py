"""Every write, sync and truncation of five hundred operations fails once: nothing is lost, all goes on."""

import random
from pathlib import Path

import pytest

from tests.faults.disk import run
from tests.faults.rows import Tally, size

PARTS = 4
RECORDS = 400  # of each run
CALLS = 2400  # about, of 500 operations
STEP = size(20, 1) * PARTS


@pytest.mark.faults("a write, sync or truncation of 500 operations fails: EIO, ENOSPC", CALLS // STEP)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_of_the_disk_may_fail_once(home: Path, error: str, part: int, tally: Tally) -> None:
    """In CI one in some twenty of them, others each time; in FULL each. It includes checkpoints and ballast.

    What fails has written half. What is refused is not there, also if the process is killed right then.
    """
    first = 1 + part + PARTS * random.randrange(STEP // PARTS)
    done = 0
    for _ in run("tests.faults.failing", home, error, first, STEP):
        tally(times=1, records=RECORDS)
        done += 1
    assert done > 1500 // STEP
