"""The rule language: text to tree, tree to truth, truth over time."""

from gateway.rules.check import Type, vocabulary
from gateway.rules.engine import Engine
from gateway.rules.evaluate import Expression, compile, condition
from gateway.rules.file import RuleFile, load, load_all, parse
from gateway.rules.rule import Phase, Rule
from gateway.rules.syntax import RuleError

__all__ = [
    "Engine",
    "Expression",
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
