"""These tests take minutes: they run by `make test-faults`, or when their folder or file is named."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rows import Tally, tell

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(arg.partition("::")[0]).resolve() for arg in config.args)
    return None if any(path.is_relative_to(HERE) for path in named) else True


def title(item: pytest.Item) -> str:
    """Return the row that a test belongs to."""
    mark = item.get_closest_marker("faults")
    assert mark is not None, f"{item.nodeid} says of no row: mark it with @pytest.mark.faults(TITLE)"
    return str(mark.args[0])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell how much there is to be done: one of the workers, for all have the same tests."""
    if getattr(session.config, "workerinput", {"workerid": "gw0"})["workerid"] == "gw0":
        for item in session.items:
            mark = item.get_closest_marker("faults")
            if mark is not None:
                tell(title(item), planned=1, of=mark.args[1] if len(mark.args) > 1 else 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        tell(title(item), outcome="FAILED", tests=1)
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        tell(title(item), outcome="not done", note=reason.removeprefix("Skipped: "), tests=1)
    elif report.when == "call":
        tell(title(item), tests=1)
    return report


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Tell what was done, for the row of the test's mark."""
    return Tally(title(request.node))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where that can be: for what does not need a disk that takes its time."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="lamppost-", dir=MEMORY) as folder:
        yield Path(folder)
