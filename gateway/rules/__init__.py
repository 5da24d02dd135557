"""The rule language: text to tree, tree to truth, truth over time."""

from gateway.rules.check import Type, vocabulary
from gateway.rules.course import Phase
from gateway.rules.engine import Engine
from gateway.rules.evaluate import Expression, compile, condition
from gateway.rules.file import RuleFile, load, load_all, parse
from gateway.rules.notice import Notice
from gateway.rules.rule import Rule
from gateway.rules.syntax import RuleError

__all__ = [
    "Engine",
    "Expression",
    "Notice",
    "Phase",
    "Rule",
    "RuleError",
    "RuleFile",
    "Type",
    "compile",
    "condition",
    "load",
    "load_all",
    "parse",
    "vocabulary",
]
