"""Readings to readings: pure functions in the modules of each domain, and the streams around them."""

from gateway.derive.stream import CONVERSIONS, Stream, build, gives, interval, problems

__all__ = ["CONVERSIONS", "Stream", "build", "gives", "interval", "problems"]
