"""The plate's two ways: what ends the one down, and what is wrong on either."""

from gateway.control.compactor.seen import Seen
from gateway.control.compactor.state import Kind
from gateway.control.compactor.watch import Watch, Wrong


def end_of_pressing(now: float, lasted: float, seen: Seen, watch: Watch) -> str | Wrong | None:
    """Return what ends a way down that has *lasted* [s], in words, or what is wrong; None: it goes on."""
    settings, load = watch.settings, watch.load(now, seen)
    if lasted >= settings.leave and seen.home.value is True:
        return _stuck(f"{seen.home.name} says home after {lasted:.1f} s of pressing")
    if seen.end_made:
        return "the end switch"
    if load >= settings.limit:
        return f"the current limit ({load:.1f} A)"
    if lasted >= settings.press:
        return "the time limit"
    return watch.dead(now, seen)


def wrong_on_the_way_home(now: float, lasted: float, seen: Seen, watch: Watch) -> Wrong | None:
    """Return what is wrong with a way home that has *lasted* [s]; None: nothing."""
    settings, load = watch.settings, watch.load(now, seen)
    if load >= settings.limit:
        return Kind.JAMMED, f"{load:.1f} A flowed on the way home, and {settings.limit:g} is the limit"
    if seen.end_made and lasted >= settings.leave:
        return _stuck(f"the end switch is made after {lasted:.1f} s of returning")
    if lasted >= settings.back:
        return Kind.JAMMED, f"the plate was not at home after {lasted:.1f} s"
    return watch.dead(now, seen)


def _stuck(said: str) -> Wrong:
    return Kind.SWITCHES, f"{said}: it is stuck, or the plate does not move"
