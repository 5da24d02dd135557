"""Corrections: optical particle counters for humidity, electrochemical cells for temperature.

An optical part takes swollen, wet particles for more mass than the dry filter weighs that the limits refer
to. No correction holds for every place: each is an option, to be chosen, and its fit is said. Temperature
itself does not enter the optical ones; what it does to the humidity inside a warm box does, see
`humidity_at`.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from drivers.device import Missing

WETTEST = 95.0
"""Humidity [%] above which `dry` gives no value: growth diverges towards 100 %, fog counts as particles."""


def us_wide_2021(pm2_5: float, humidity: float) -> float | Missing:
    """Return PM2.5 [ug/m3] by EPA's United States-wide correction: `0.524 x - 0.0862 RH + 5.75`.

    *pm2_5* [ug/m3], 0 to 300, is the CF=1 output of a Plantower PMS5003, *humidity* [%], 0 to 100, from the
    sensor in the same box. Fitted to 24 h means in the United States; other optical parts need a fit of
    their own. A result below zero is 0: clean, humid air below the fit. Outside either range OUT_OF_RANGE.
    Barkjohn, Gantt and Clements, Atmos. Meas. Tech. 14 (2021) 4617, doi:10.5194/amt-14-4617-2021; the limit
    of 300 from Barkjohn et al., Sensors 22 (2022) 9669.
    """
    if not (0.0 <= pm2_5 <= 300.0 and 0.0 <= humidity <= 100.0):
        return Missing.OUT_OF_RANGE
    return max(0.0, 0.524 * pm2_5 - 0.0862 * humidity + 5.75)


def us_wide_smoke_2022(pm2_5: float, humidity: float) -> float | Missing:
    """Return PM2.5 [ug/m3] by EPA's correction extended to wildfire smoke, as on AirNow's Fire and Smoke Map.

    *pm2_5* [ug/m3], 0 to 2000, is the **ATM** output of a Plantower PMS5003 (0.786 is 1.5 times 0.524,
    because above some 50 ug/m3 ATM is two thirds of CF=1), *humidity* [%], 0 to 100. Below 30 as
    `us_wide_2021`, from 260 on `2.966 + 0.69 x + 8.84e-4 x^2` without humidity, with ramps over 30 to 50
    and 210 to 260. A result below zero is 0; outside either range OUT_OF_RANGE. EPA/ORD, Sensor Data
    Cleaning and Correction: Application on the AirNow Fire and Smoke Map (2021, record 353088), slide 26;
    Barkjohn et al., Sensors 22 (2022) 9669.
    """
    if not (0.0 <= pm2_5 <= 2000.0 and 0.0 <= humidity <= 100.0):
        return Missing.OUT_OF_RANGE
    slope = 0.524 + (0.786 - 0.524) * _ramp(pm2_5, 30.0, 50.0)
    ambient = slope * pm2_5 - 0.0862 * humidity + 5.75
    smoke = 2.966 + 0.69 * pm2_5 + 8.84e-4 * pm2_5**2
    share = _ramp(pm2_5, 210.0, 260.0)
    return max(0.0, ambient * (1.0 - share) + smoke * share)


def dry(wet: float, humidity: float, kappa: float, density: float = 1.65) -> float | Missing:
    """Return the dry mass [ug/m3] of what an optical counter took for *wet* [ug/m3], by kappa-Koehler growth.

    `wet / C`, `C = 1 + (kappa / density) * aw / (1 - aw)`, `aw = humidity / 100`. *humidity* [%], 0 to
    WETTEST, is that where the particles are measured. *kappa*, the hygroscopicity, above 0 to 1.4: some 0.3
    over a continent, 0.6 ammonium sulfate, 1.3 sea salt, 0.05 fresh soot; fit it to the place. *density*
    [g/cm3], 0.5 to 5, of the dry particles. OUT_OF_RANGE for wetter air or *wet* below zero; ValueError for
    another kappa or density. Crilley et al., Atmos. Meas. Tech. 11 (2018) 709, doi:10.5194/amt-11-709-2018;
    Petters and Kreidenweis, Atmos. Chem. Phys. 7 (2007) 1961.
    """
    if not (0.0 < kappa <= 1.4 and 0.5 <= density <= 5.0):
        raise ValueError(f"kappa is above 0 to 1.4 and density 0.5 to 5 g/cm3, not {kappa:g} and {density:g}")
    if not (0.0 <= wet < math.inf and 0.0 <= humidity <= WETTEST):
        return Missing.OUT_OF_RANGE
    activity = humidity / 100.0
    return wet / (1.0 + kappa / density * activity / (1.0 - activity))


def humidity_at(humidity: float, measured: float, wanted: float) -> float | Missing:
    """Return the relative humidity [%] that air of *humidity* [%] at *measured* [Cel] has at *wanted* [Cel].

    For a box warmer than the street: the water is the same, the saturation is not. Magnus form over water,
    17.62 and 243.12 Cel, -45 to 60 Cel: WMO-No. 8 (Guide to Instruments), volume I, annex 4.B. OUT_OF_RANGE
    outside either range, and when the air would be above 100 %.
    """
    if not (0.0 <= humidity <= 100.0 and all(-45.0 <= each <= 60.0 for each in (measured, wanted))):
        return Missing.OUT_OF_RANGE
    result = humidity * math.exp(_magnus(measured) - _magnus(wanted))
    return result if result <= 100.0 + 1e-9 else Missing.OUT_OF_RANGE


@dataclass(frozen=True, slots=True)
class Cell:
    """One electrochemical cell, from its certificate: zeros [mV], sensitivity [mV/ppb] and its table of n_T.

    *working_zero* and *auxiliary_zero* are the outputs in zero air (of the cell with its circuit),
    *sensitivity* is that of the working electrode, of either sign. *table* is pairs of temperature [Cel],
    rising, and n_T, from the maker's note for this type of cell. Raises ValueError when a number is not
    finite, the sensitivity is 0 or the table has fewer than two rows or does not rise.
    """

    working_zero: float
    auxiliary_zero: float
    sensitivity: float
    table: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        numbers = [
            self.working_zero,
            self.auxiliary_zero,
            self.sensitivity,
            *(x for row in self.table for x in row),
        ]
        if not all(math.isfinite(each) for each in numbers):
            raise ValueError("a cell's numbers must be finite")
        if self.sensitivity == 0:
            raise ValueError("a cell's sensitivity cannot be 0 mV/ppb")
        if len(self.table) < 2 or any(low >= high for (low, _), (high, _) in pairwise(self.table)):
            raise ValueError("a table of n_T needs two rows or more, of rising temperature")


def electrochemical(working: float, auxiliary: float, temperature: float, cell: Cell) -> float | Missing:
    """Return the gas [ppb]: `((WE - WE0) - n_T * (AE - AE0)) / sensitivity`.

    *working* and *auxiliary* [mV] are the electrodes' outputs, *temperature* [Cel] that of the cell; n_T is
    linear between the rows of the cell's table. The result may lie below zero: noise does, and cutting it
    would raise every mean. OUT_OF_RANGE outside the table, and for what is not finite. Alphasense,
    Application Note AAN 803, algorithm 1.
    """
    if not (math.isfinite(working) and math.isfinite(auxiliary)):
        return Missing.OUT_OF_RANGE
    factor = _factor(temperature, cell.table)
    if isinstance(factor, Missing):
        return factor
    compensated = (working - cell.working_zero) - factor * (auxiliary - cell.auxiliary_zero)
    return compensated / cell.sensitivity


def _factor(temperature: float, table: tuple[tuple[float, float], ...]) -> float | Missing:
    if not table[0][0] <= temperature <= table[-1][0]:
        return Missing.OUT_OF_RANGE
    above = min(bisect_right(table, temperature, key=lambda row: row[0]), len(table) - 1)
    (low, first), (high, last) = table[above - 1], table[above]
    return first + (last - first) * (temperature - low) / (high - low)


def _ramp(value: float, start: float, end: float) -> float:
    return min(1.0, max(0.0, (value - start) / (end - start)))


def _magnus(temperature: float) -> float:
    return 17.62 * temperature / (243.12 + temperature)
