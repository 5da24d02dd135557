"""Readings to readings: pure functions in the modules of each domain, and the streams around them.

`kind` says what a kind of stream is, `kinds` has them all, `design` reads one from the configuration, and
`stream` runs it.
"""

from gateway.derive.design import Design, Known, design, known_zone
from gateway.derive.kind import Source
from gateway.derive.quality import Screen, screen
from gateway.derive.stream import Stream

__all__ = ["Design", "Known", "Screen", "Source", "Stream", "design", "known_zone", "screen"]
