"""How high the water stands."""


def stage(distance: float, reference: float) -> float:
    """Return the stage [m]: the height of the water over the datum, negative below it.

    *distance* [m] is from the sensor down to the water, *reference* [m] the height of the sensor's face over
    the datum, from a survey.
    """
    return reference - distance
