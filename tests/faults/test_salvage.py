"""kill -9 while a damaged file is salvaged: the next start goes on, nothing is missing or there twice."""

import random
from pathlib import Path

import pytest

from tests.faults.disk import run
from tests.faults.rows import Tally, size

CALLS = 270  # about, of a salvage
STEP = size(10, 1)


@pytest.mark.faults("kill -9 while a damaged file is salvaged, before any call of the disk", CALLS // STEP)
def test_a_salvage_may_be_killed_at_any_moment(home: Path, tally: Tally) -> None:
    """In CI before one in ten of its disk calls, others each time; in FULL before each."""
    done = 0
    for told in run("tests.faults.salvaging", home, random.randint(1, STEP), STEP):
        tally(times=1, records=told["records"])
        done += 1
    assert done >= 200 // STEP
