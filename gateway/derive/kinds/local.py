"""Local time of a stream: the zone that it is told, or that of the place."""

from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.derive.kind import Context, Unfit


def zone_of(named: str, context: Context, why: str) -> ZoneInfo:
    """Return the zone *named* by a stream, or else the place's. Raises Unfit; *why* says what it is for."""
    if not (name := named or context.zone):
        said = f'{why}: set zone here, or [gateway.place] zone, to such as "Europe/Dublin"'
        raise Unfit("zone", said)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise Unfit(
            "zone", f'there is no time zone "{name}"; say "UTC", or such as "Europe/Dublin"'
        ) from error


def standard(zone: ZoneInfo | None, time: float) -> float:
    """Return the offset [s] of local standard time in the year of *time* [s, Unix]; 0 without a zone.

    The smaller of the offsets of January and July: "standard" as people who measure air mean it, winter time,
    also in Dublin, whose law calls summer time the standard.
    """
    if zone is None:
        return 0.0
    year = datetime.fromtimestamp(time, zone).year
    offsets = (datetime(year, month, 1, 12, tzinfo=zone).utcoffset() for month in (1, 7))
    return min(offset.total_seconds() for offset in offsets if offset is not None)
