"""What happens on the emulated street, as data: a scenario changes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One *cycle* [s] of the street, which comes again and again.

    *storm* and *unplugged* are from when to when [s] in it there is a storm, and no noise meter; the same
    time twice is never. *rain*: the worst of the storm [mm/h]. *traffic*: 0 to 1, on the average. *noise*:
    the street without cars [dB]. *wind* without a storm [m/s]. Every *lid_every* seconds somebody throws an
    *armful* [%] into the bin. Raises ValueError for what no street can do.
    """

    cycle: float = 60.0
    storm: tuple[float, float] = (6.0, 18.0)
    rain: float = 40.0
    unplugged: tuple[float, float] = (14.0, 19.0)
    traffic: float = 0.55
    noise: float = 54.0
    wind: float = 3.0
    lid_every: float = 3.0
    armful: float = 16.0

    def __post_init__(self) -> None:
        if not 10.0 <= self.cycle <= 86400.0:
            raise ValueError("cycle must be 10 to 86400 s")
        for name in ("storm", "unplugged"):
            begins, ends = getattr(self, name)
            if not 0 <= begins <= ends <= self.cycle:
                raise ValueError(f"{name} must begin and end within the cycle, in this order")
        limits = {"rain": 200.0, "traffic": 1.0, "noise": 90.0, "wind": 50.0, "armful": 100.0}
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 0 to {most:g}")
        if not 1.5 <= self.lid_every <= 3600.0:
            raise ValueError("lid_every must be 1.5 to 3600 s")
