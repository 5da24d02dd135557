"""What people see in a terminal: the live view, tables, plots, progress. Owns rich and plotext."""

from gateway.terminal.live import Screen
from gateway.terminal.plot import Line, plot
from gateway.terminal.table import progress, show, table

__all__ = ["Line", "Screen", "plot", "progress", "show", "table"]
