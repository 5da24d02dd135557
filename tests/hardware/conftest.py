"""What runs here: the shim in every test run; guests only where `make test-hardware` built their kernel."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hardware import kernel, root

KERNEL = "LAMPPOST_KERNEL"
"""Set by `make test-hardware` when the kernel and the guest's root lie ready."""
REPORT = "LAMPPOST_REPORT"
"""Names the file that takes the figures, one JSON object a line."""
PROGRESS = "LAMPPOST_PROGRESS"
"""Names the file that takes a line for each hour of a long test."""

collect_ignore = [] if KERNEL in os.environ else ["test_kernel.py", "test_service.py", "test_day.py"]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Take figures for the report that `make test-hardware` prints at its end."""

    def take(**figures: Any) -> None:
        path = os.environ.get(REPORT)
        if path:
            with Path(path).open("a") as file:
                print(json.dumps({"test": request.node.name, **figures}), file=file)

    return take


@pytest.fixture(scope="session")
def guest() -> tuple[Path, Path, Path]:
    """The kernel, its module, and the guest's root."""
    ready = kernel.built()
    assert ready is not None, "the kernel is not built: run `make test-hardware`"
    return (*ready, root.place())
