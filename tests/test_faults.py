"""The runner of the fault suite tells the truth: what was not done is not called done."""

import os
import time
from pathlib import Path

import pytest

from tests.faults import phases
from tests.faults.phases import NOTHING, STOPPED, Phase
from tests.faults.rows import added_up, progress, table


def told(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_row_says_how_far_it_came(tmp_path: Path) -> None:
    tally = told(
        tmp_path / "tally",
        '{"row": "kill", "planned": 1, "of": 50}',
        '{"row": "kill", "planned": 1, "of": 50}',
        '{"row": "disk", "planned": 1, "of": 1}',
        '{"row": "kill", "times": 13, "records": 1200, "duplicates": 6}',
        '{"row": "kill", "tests": 1}',
        '{"row": "disk", "times": 1, "note": "back in 3 s"}',
        '{"row": "disk", "tests": 1}',
        '{"row": "kill", "tim',  # whoever wrote it was killed
    )
    rows = added_up(tally)
    assert progress(rows) == "1 of 2 rows done; kill: 13 of 100"
    assert [cell.strip() for cell in table(rows).splitlines()[2].split("|")[1:-1]] == [
        "kill", "13 of 100", "1,200", "0", "0", "0.50 %", "stopped",
    ]  # fmt: skip
    assert table(rows).splitlines()[3].split("|")[-2].strip() == "ok; back in 3 s"


def test_a_row_that_failed_stays_failed_and_one_not_done_says_why(tmp_path: Path) -> None:
    tally = told(
        tmp_path / "tally",
        '{"row": "kill", "planned": 2}',
        '{"row": "kill", "tests": 1, "outcome": "FAILED"}',
        '{"row": "kill", "tests": 1, "outcome": "not done", "note": "no faketime"}',
    )
    (row,) = added_up(tally)
    assert (row.said, list(row.notes)) == ("FAILED", ["no faketime"])
    assert "kill: FAILED" in progress([row])


TESTS = """
import os
import time
import pytest

pytestmark = pytest.mark.waits

def test_one() -> None:
    pass

def test_other() -> None:
    with open("part", "w") as file:
        file.write(str(os.getpid()))
    os.rename("part", "begun")
    time.sleep(60)
"""


@pytest.mark.slow
def test_what_is_interrupted_ends_with_all_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder" / "of").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    waits: x\n")
    here = tmp_path / "folder" / "of"
    (here / "test_it.py").write_text(TESTS)
    monkeypatch.setattr(phases, "HERE", here)
    monkeypatch.setattr(phases, "EVERY", 0.2)
    looks = list[float]()

    def look() -> None:
        looks.append(time.monotonic())
        if (tmp_path / "begun").exists():
            raise KeyboardInterrupt

    with (tmp_path / "said").open("wb") as output:
        assert phases.run(Phase("", "waits", 1), [], tmp_path / "tally", output, look) == STOPPED
        worker = int((tmp_path / "begun").read_text())
        (tmp_path / "begun").unlink()
        assert phases.run(Phase("", "not waits", 1), [], tmp_path / "tally", output, look) == NOTHING
    assert looks
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
