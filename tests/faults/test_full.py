"""A disk that is full, read-only, unreadable or gone: control goes on, and gaps say what is missing."""

from pathlib import Path

import pytest

from tests.faults.disk import run
from tests.faults.rows import Tally, size

pytestmark = pytest.mark.waits

FAULTS = {
    "full": ("memory", "the disk is full"),
    "read-only": ("memory", "the file system turns read-only"),
    "dead": ("damaged", "nothing on the disk can be read or written; then a restart"),
    "moved": ("memory", "the directory is moved away"),
    "covered": ("memory", "another file system is mounted over the directory"),
}
LATE = 0.25  # [s] of the loop at most, with whatever else this machine does: its own share is some 5 ms
RECOVERY = 5.0  # [s]


@pytest.mark.parametrize(
    ("fault", "state"),
    [pytest.param(name, state, marks=pytest.mark.faults(row)) for name, (state, row) in FAULTS.items()],
)
def test_a_disk_that_takes_nothing_stops_nobody(home: Path, fault: str, state: str, tally: Tally) -> None:
    """For seconds in CI, for minutes in FULL. Memory for what waits is small here, so that it overflows."""
    (told,) = run("tests.faults.full", home, fault, size(4, 120))
    note = f"loop late {1000 * told['late']:.0f} ms, back in {told['took']:.1f} s, {told['gap']:,} in gaps"
    tally(times=1, records=told["records"], note=note)
    assert state in told["states"], told
    assert told["problem"]
    assert told["took"] < RECOVERY
    assert told["late"] < LATE
    assert told["gap"] > 0
