"""What is wrong in a file: where, what, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file, in a sentence that helps. Lines and columns count from 1.

    Line 0 is no line: *file* is then a command, or where else the problem was.
    """

    file: str
    line: int
    message: str
    column: int = 0

    def __str__(self) -> str:
        where = ":".join([self.file, *(str(each) for each in (self.line, self.column) if each)])
        return f"{where}: {self.message}"


class ConfigError(ValueError):
    """A configuration or rule file cannot be used. *problems* holds every reason at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
