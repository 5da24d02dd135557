"""How high the water stands: from the distance down to it, or from its pressure."""

from math import isfinite
from typing import TypeGuard

from drivers.device import Missing

FRESH_WATER = 997.0
"""Density [kg/m3] of fresh water at 25 Cel."""

SEA_WATER = 1029.0
"""Density [kg/m3] usually taken for sea water; it is 1020 to 1029, the higher the colder and the saltier."""

STANDARD_GRAVITY = 9.80665  # m/s2, exact (3rd CGPM, 1901)
AIR_TEMPERATURE = (-40.0, 65.0)  # Cel, for which ranging parts are made; the linear formula is good there
AIR_PRESSURE = (300.0, 1100.0)  # hPa, what barometers can tell
UNCERTAIN = 10.0  # hPa by which two sensors in the same air may differ: 0.1 m of water


def stage(distance: float, reference: float) -> float:
    """Return the stage [m]: the height of the water over the datum, negative below it.

    *distance* [m] is from the sensor down to the water, *reference* [m] the height of the sensor's face over
    the datum, from a survey.
    """
    return reference - distance


def speed_of_sound(temperature: float) -> float | Missing:
    """Return the speed of sound [m/s] in air of *temperature* [Cel]: `331.3 + 0.606 T`.

    The usual linear form, within 0.6 % of the square root law from -40 to 65; OUT_OF_RANGE outside that.
    Humidity is left out: 0.4 % at most at 20 Cel.
    """
    low, high = AIR_TEMPERATURE
    return 331.3 + 0.606 * temperature if low <= temperature <= high else Missing.OUT_OF_RANGE


def true_distance(distance: float | Missing, temperature: float | Missing, assumed: float) -> float | Missing:
    """Return the distance [m] that an ultrasonic part would have told, had it known the air's *temperature*.

    *distance* [m] is as the part told it, *temperature* [Cel] that of the air along the way, *assumed* [m/s]
    the one speed of sound that the part reckons with: 344.8 for a MaxBotix of 58 us to the centimetre.
    INPUT_MISSING without both inputs; OUT_OF_RANGE where `speed_of_sound` is. Raises ValueError for a speed
    that is not positive.
    """
    if not assumed > 0:
        raise ValueError("the speed of sound that the part assumes must be above 0 m/s")
    if not usable(distance) or not usable(temperature):
        return Missing.INPUT_MISSING
    speed = speed_of_sound(temperature)
    return speed if isinstance(speed, Missing) else distance * speed / assumed


def depth(water: float | Missing, air: float | Missing, density: float = FRESH_WATER) -> float | Missing:
    """Return the depth [m] of an absolute pressure sensor under the water: `(water - air) / (density g)`.

    *water* [hPa] is what it reads, *air* [hPa] what a second sensor reads in the air near by, at the same
    height and time; without it the weather alone would move the depth by half a metre. *density* [kg/m3].
    A sensor that lies dry reads 0, though the two may differ a little; INPUT_MISSING without both inputs;
    OUT_OF_RANGE when the air's pressure is none, or clearly above the water's. Raises ValueError for a
    density that is not positive.
    """
    if not density > 0:
        raise ValueError("the density of the water must be above 0 kg/m3")
    if not usable(water) or not usable(air):
        return Missing.INPUT_MISSING
    if not AIR_PRESSURE[0] <= air <= AIR_PRESSURE[1] or water < air - UNCERTAIN:
        return Missing.OUT_OF_RANGE
    return max(0.0, 100.0 * (water - air) / (density * STANDARD_GRAVITY))


def usable(value: float | Missing) -> TypeGuard[float]:
    """Return whether *value* is a number: neither Missing, nor NaN, nor infinite."""
    return not isinstance(value, Missing) and isfinite(value)
