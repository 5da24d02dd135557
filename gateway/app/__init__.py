"""The daemon: builds all from the configuration, and stops in reverse. The only package that knows the others."""

from gateway.app.check import Plan, plan
from gateway.app.daemon import Daemon

__all__ = ["Daemon", "Plan", "plan"]
