"""Air: the published indices, corrections of optical and electrochemical parts, the CO2 baseline."""

from gateway.derive.air.baseline import Baseline
from gateway.derive.air.correction import (
    Cell,
    dry,
    electrochemical,
    humidity_at,
    us_wide_2021,
    us_wide_smoke_2022,
)
from gateway.derive.air.index import Index, daily_mean, european_aqi, mass, nowcast, uk_daqi, us_aqi, worst
from gateway.derive.air.means import Means

__all__ = [
    "Baseline",
    "Cell",
    "Index",
    "Means",
    "daily_mean",
    "dry",
    "electrochemical",
    "european_aqi",
    "humidity_at",
    "mass",
    "nowcast",
    "uk_daqi",
    "us_aqi",
    "us_wide_2021",
    "us_wide_smoke_2022",
    "worst",
]
