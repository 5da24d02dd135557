"""From a sample to the pin, in the whole daemon: the benchmark's own figures, without its aims."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "latency.py"


@pytest.mark.slow
def test_no_pin_moves_before_its_decision_is_in_the_file(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH), "--rules", "20", "--devices", "16", "--events", "20"]
    done = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["undecided"] == 0
    assert figures["accepted"]["events"] >= 40
