"""Corrections of what low-cost parts show: of particles for humidity, of cells for temperature, of CO2."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drivers.device import Missing, Quantity
from gateway.derive import air
from gateway.derive.air import Means
from gateway.derive.kind import Context, Conversion, Input, Kind, Result, Taken, Unfit, Value, always, only
from gateway.derive.stream import AGED

_Q = Quantity
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class CorrectedPm:
    """*humidity* ["device.humidity", %] where the particles are measured; *method*: whose correction.

    Where the humidity is that of other air, *temperature* ["device.temperature", Cel] is that air's and
    *box_temperature* the one where the particles are measured. *kappa*, above 0 to 1.4, and *density*
    [g/cm3], 0.5 to 5, are those of the particles, for the method "kappa". Sources: `gateway.derive.air`.
    """

    humidity: str
    method: Literal["us-wide-2021", "us-wide-smoke-2022", "kappa"] = "kappa"
    temperature: str = ""
    box_temperature: str = ""
    kappa: float = 0.3
    density: float = 1.65

    def __post_init__(self) -> None:
        air.dry(0.0, 0.0, self.kappa, self.density)  # says what is wrong with them
        if self.method != "kappa" and (self.kappa, self.density) != (0.3, 1.65):
            raise ValueError(
                'kappa and density are for method = "kappa": leave them out, or change the method'
            )
        if bool(self.temperature) != bool(self.box_temperature):
            raise ValueError("temperature and box_temperature belong together: set both or leave both out")


def _corrected_pm(options: CorrectedPm, context: Context) -> Conversion:
    if options.temperature and options.temperature == options.box_temperature:
        raise Unfit("box_temperature", "temperature and box_temperature are the same: leave both out")
    boxed = bool(options.box_temperature)

    def corrected(pm2_5: float, humidity: float) -> Value:
        match options.method:
            case "us-wide-2021":
                return air.us_wide_2021(pm2_5, humidity)
            case "us-wide-smoke-2022":
                return air.us_wide_smoke_2022(pm2_5, humidity)
        return air.dry(pm2_5, humidity, options.kappa, options.density)

    def convert(taken: Taken) -> Mapping[Quantity, Value]:
        pm2_5, humidity = taken["pm2_5"], _humidity(taken) if boxed else taken["humidity"]
        if isinstance(pm2_5, Missing) or isinstance(humidity, Missing):
            return {_Q.PM2_5: humidity if isinstance(humidity, Missing) else Missing.INPUT_MISSING}
        return {_Q.PM2_5: corrected(pm2_5, humidity)}

    return Conversion(convert)


def _humidity(taken: Taken) -> Value:
    humidity, measured, wanted = taken["humidity"], taken["temperature"], taken["box_temperature"]
    if isinstance(humidity, Missing) or isinstance(measured, Missing) or isinstance(wanted, Missing):
        return Missing.INPUT_MISSING
    return air.humidity_at(humidity, measured, wanted)


@dataclass(frozen=True, slots=True)
class Electrochemical:
    """The gas of one cell from its two electrodes, by the numbers of its certificate.

    *gas*; *auxiliary* ["device.voltage", V] is the second electrode's output, `from` the working one's;
    *temperature* ["device.temperature", Cel] is the cell's; *working_zero* and *auxiliary_zero* [mV],
    *sensitivity* [mV/ppb] and *table*, rows of temperature [Cel] and n_T, as `gateway.derive.air.Cell`.
    """

    gas: Literal["no2", "o3", "so2", "co"]
    auxiliary: str
    temperature: str
    working_zero: float
    auxiliary_zero: float
    sensitivity: float
    table: tuple[tuple[float, float], ...]


def _electrochemical(options: Electrochemical, context: Context) -> Conversion:
    if context.sources["working"] == context.sources["auxiliary"]:
        raise Unfit("auxiliary", "auxiliary and from are the same voltage: a cell has two electrodes")
    zeros = options.working_zero, options.auxiliary_zero
    try:
        cell = air.Cell(*zeros, options.sensitivity, options.table)
    except ValueError as error:
        key = "sensitivity" if options.sensitivity == 0 else "table"
        raise Unfit(key, f"{error}: see the cell's certificate") from error
    gas = Quantity(options.gas)

    def convert(taken: Taken) -> Mapping[Quantity, Value]:
        working, auxiliary, warmth = taken["working"], taken["auxiliary"], taken["temperature"]
        if isinstance(working, Missing) or isinstance(auxiliary, Missing) or isinstance(warmth, Missing):
            return {gas: Missing.INPUT_MISSING}
        return {gas: air.electrochemical(1000.0 * working, 1000.0 * auxiliary, warmth, cell)}

    return Conversion(convert)


def _joined(_options: Any, context: Context) -> float:
    """Return how far back [s] the latest value of an input may lie."""
    return AGED * max(context.intervals.values())


@dataclass(frozen=True, slots=True)
class Co2Baseline:
    """*target* [ppm] is fresh air; *days*, *percentile* [%], *share*, *limit* [ppm]: as `air.Baseline`."""

    target: float = 420.0
    days: int = 7
    percentile: float = 2.0
    share: float = 0.75
    limit: float = 100.0

    def __post_init__(self) -> None:
        self.baseline()

    def baseline(self) -> air.Baseline:
        """Return a new baseline. Raises ValueError."""
        return air.Baseline(self.target, self.days, self.percentile, self.share, self.limit)


@dataclass(slots=True)
class Based:
    """CO2 with the offset that the freshest hours ask for. The offset changes only as an hour ends."""

    baseline: air.Baseline
    hour: Means

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        if self.hour.number is not None and time > self.hour.end:
            self._end(self.hour.number)
        value = taken["co2"]
        self.hour.add(time, value)
        gives = value if isinstance(value, Missing) else self.baseline.correct(value)
        return (Result(time, {_Q.CO2: gives}),)

    def advance(self, time: float) -> Iterable[Result]:
        return ()

    def save(self) -> Any:
        if self.hour.number is None:
            return None
        return {"hours": self.baseline.save(), "open": self.hour.save()}

    def restore(self, saved: Any) -> None:
        self.baseline.restore(saved["hours"])
        self.hour.restore(saved["open"])

    def _end(self, number: int) -> None:
        self.hour.move(self.hour.end + 1e-6)
        self.baseline.feed(number * HOUR, self.hour.of(number))


def _co2_baseline(options: Co2Baseline, context: Context) -> Based:
    if context.interval > HOUR:
        said = f"{context.source} comes every {context.interval:g} s: its hourly means need it more often"
        raise Unfit("from", said)
    return Based(options.baseline(), Means(HOUR, context.interval, 1))


KINDS: Mapping[str, Kind] = {
    "corrected_pm": Kind(
        CorrectedPm,
        (
            Input("pm2_5", only(_Q.PM2_5)),
            Input("humidity", only(_Q.HUMIDITY), "humidity"),
            Input("temperature", only(_Q.TEMPERATURE), "temperature", needed=False),
            Input("box_temperature", only(_Q.TEMPERATURE), "box_temperature", needed=False),
        ),
        always(_Q.PM2_5),
        _corrected_pm,
        reach=_joined,
    ),
    "electrochemical": Kind(
        Electrochemical,
        (
            Input("working", only(_Q.VOLTAGE)),
            Input("auxiliary", only(_Q.VOLTAGE), "auxiliary"),
            Input("temperature", only(_Q.TEMPERATURE), "temperature"),
        ),
        lambda options, context: (Quantity(options.gas),),
        _electrochemical,
        reach=_joined,
    ),
    "co2_baseline": Kind(
        Co2Baseline,
        (Input("co2", only(_Q.CO2)),),
        always(_Q.CO2),
        _co2_baseline,
        reach=_joined,
        lasting=True,
    ),
}
"""Every correction."""
