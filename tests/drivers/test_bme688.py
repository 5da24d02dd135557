"""BME688 and BME680: the maker's formulas, the heater, the byte that tells them apart, and sentinels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air.bme688 import (
    Driver,
    Options,
    decode,
    fine_temperature,
    heater_code,
    parse,
    probe,
    resistance_680,
    resistance_688,
    wait_code,
)
from drivers.air.bme688.chip import TRIM, Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, Values, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.weather.bme280.chip import Emulated as Bme280
from tests.conftest import VirtualClock
from tests.drivers.air_rig import Bench, Constant, Memory, measured, probed, vectors

G, T, H, P = Quantity.GAS_RESISTANCE, Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.PRESSURE
ALL = Driver.quantities
EXAMPLES = vectors("BME688", "measure") + vectors("BME680", "measure")
CALIBRATION = parse(TRIM[0x8A], TRIM[0xE1], TRIM[0x00])


def make(clock: VirtualClock, options: Options | None = None, variant: int = 1) -> Bench:
    bench = Bench(clock, Emulated(clock, variant), 0x76)
    bench.driver = Driver(bench.bus, 0x76, clock, options or Options())
    return bench


@pytest.fixture
def bench(clock: VirtualClock) -> Bench:
    return make(clock)


def read(bench: Bench, **world: float) -> Values:
    for quantity, value in world.items():
        bench.chip.set(Quantity(quantity), value)
    bench.start()
    return bench.measure()


@pytest.mark.parametrize("vector", EXAMPLES, ids=lambda vector: vector["id"])
def test_worked_examples(vector: dict[str, Any], clock: VirtualClock):
    """The words and codes of real parts, as the maker's own driver reads them; and its heater settings."""
    bus = Memory({int(key, 16): int(value, 16) for key, value in vector["device"]["regs"].items()})
    values = measured(Driver(bus, 0x76, clock), clock)
    for quantity in values:
        expected = vector["expected"][quantity]
        precision = max(abs(expected["value"]) * 2e-7, 1e-4)
        assert values[quantity] == pytest.approx(expected["value"], abs=precision), quantity
    assert b"\x5a\x6a" in bus.log
    assert b"\x64\x65" in bus.log


@pytest.mark.parametrize("vector", EXAMPLES, ids=lambda vector: vector["id"])
def test_the_chip_gives_the_codes_of_the_examples(vector: dict[str, Any], clock: VirtualClock):
    """The chip alone turns the examples' air into their codes, to the resolution of 16 bits."""
    regs = {int(key, 16): int(value, 16) for key, value in vector["device"]["regs"].items()}
    expected = vector["expected"]
    chip = Emulated(clock, regs[0xF0])
    for quantity in ALL:
        chip.set(quantity, expected[quantity]["value"])
    clock.now += 1.0
    for register, value in ((0x5A, 0x6A), (0x64, 0x65), (0x71, 0x20 if regs[0xF0] else 0x10), (0x72, 5)):
        chip.transfer(bytes([register, value]), 0)
    chip.transfer(b"\x74\xb5", 0)
    clock.now += 1.0
    data = chip.transfer(b"\x1d", 17)
    assert int.from_bytes(data[2:5]) >> 4 == pytest.approx(expected["pressure"]["raw"], abs=2)
    assert int.from_bytes(data[5:8]) >> 4 == pytest.approx(expected["temperature"]["raw"], abs=1)
    assert int.from_bytes(data[8:10]) == pytest.approx(expected["humidity"]["raw"], abs=1)
    gas = data[15:17] if regs[0xF0] else data[13:15]
    assert gas[1] & 0x30 == 0x30
    code, step = int.from_bytes(gas) >> 6, gas[1] & 0x0F
    again = resistance_688(code, step) if regs[0xF0] else resistance_680(code, step, 0)
    assert again == pytest.approx(expected["gas_resistance"]["value"], rel=0.001)


@pytest.mark.parametrize("variant", [0, 1])
@pytest.mark.parametrize("ohm", [2500.0, 11000.0, 52000.0, 333000.0, 4.1e6, 12.7e6])
def test_gas_over_the_whole_range(clock: VirtualClock, variant: int, ohm: float):
    """Every range of both parts is read to a part in a thousand; the two have different formulas."""
    bench = make(clock, variant=variant)
    assert read(bench, gas_resistance=ohm)[G] == pytest.approx(ohm, rel=0.0015)


def test_all_codes_give_a_resistance():
    """No code divides by zero or turns negative, whatever the range and the switching error."""
    for step in range(16):
        for code in (0, 511, 512, 1023):
            assert resistance_688(code, step) > 0
            assert all(resistance_680(code, step, error) > 0 for error in range(-8, 8))


def test_gas_of_the_maker_in_the_middle_of_its_ranges():
    assert resistance_688(512, 0) == pytest.approx(64e6)
    assert resistance_688(512, 15) == pytest.approx(1953.125)
    assert resistance_680(512, 4, 0) == pytest.approx(499500.5, abs=0.1)
    assert resistance_680(512, 5, 0) == pytest.approx(248262.2, abs=0.1)
    assert resistance_680(700, 5, 3) == pytest.approx(217745.8, abs=0.1)


@pytest.mark.parametrize("temperature", [-38.0, -10.0, 0.0, 60.0])
def test_the_heater_knows_the_air(bench: Bench, temperature: float):
    """After the first measurement the heater is set for the air that there is, in frost too."""
    read(bench, temperature=temperature)
    bench.measure()
    assert bench.chip.heated == pytest.approx(320.0, abs=4.5)


@pytest.mark.parametrize("target", [200, 320, 400])
def test_the_heater_heats_as_it_is_told(clock: VirtualClock, target: int):
    bench = make(clock, Options(heater=target))
    assert bench.driver
    values = read(bench)
    assert isinstance(values[G], float)
    assert bench.chip.heated == pytest.approx(target, abs=4.5)


def test_the_heater_code_stays_a_byte():
    hot = CALIBRATION._replace(gas=(127, 32767, 127), heater_range=0, heater_value=-128)
    assert heater_code(400, 85.0, hot) == 255
    assert heater_code(200, -40.0, CALIBRATION._replace(gas=(-128, -32768, -128))) >= 0


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (0.02, 20),
        (0.063, 63),
        (0.064, 0x40 | 16),
        (0.15, 0x65),
        (1.0, 0x80 | 62),
        (4.0, 0xC0 | 62),
    ],
)
def test_heating_times(seconds: float, code: int):
    """Six bits of milliseconds, times 1, 4, 16 or 64."""
    assert wait_code(seconds) == code


@pytest.mark.parametrize("heating", [0.02, 0.5, 4.0])
@pytest.mark.parametrize("oversampling", [1, 2, 4, 8, 16])
def test_every_setting_waits_for_long_enough(oversampling: Any, heating: float, clock: VirtualClock):
    bench = make(clock, Options(oversampling=oversampling, heating=heating))
    values = read(bench, temperature=21.0, pressure=1001.0)
    assert values[T] == pytest.approx(21.0, abs=0.0051)
    assert values[P] == pytest.approx(1001.0, abs=0.03 / oversampling + 0.002)
    assert isinstance(values[G], float)


def test_frost(bench: Bench):
    values = read(bench, temperature=-21.4, humidity=77.0, pressure=987.0)
    assert values[T] == pytest.approx(-21.4, abs=0.003)
    assert values[H] == pytest.approx(77.0, abs=0.02)
    assert values[P] == pytest.approx(987.0, abs=0.02)


FRAME = bytearray.fromhex("8000 564cd0 7a5f80 4a4b 000000 0000 8034")


def frame(**bytes_: str) -> bytes:
    raw = bytearray(FRAME)
    for at, value in bytes_.items():
        raw[int(at[1:]) : int(at[1:]) + len(value) // 2] = bytes.fromhex(value)
    return bytes(raw)


@pytest.mark.parametrize(
    ("raw", "missing"),
    [
        (frame(), {}),
        (frame(_2="800000"), {P: Missing.SENTINEL}),
        (frame(_5="800000"), {T: Missing.SENTINEL, P: Missing.INPUT_MISSING, H: Missing.INPUT_MISSING}),
        (frame(_8="8000"), {H: Missing.SENTINEL}),
        (frame(_15="8014"), {G: Missing.SENTINEL}),
        (frame(_15="8024"), {G: Missing.UNRELIABLE}),
        (frame(_15="8004"), {G: Missing.SENTINEL}),
        (frame(_15="0000", _13="8034"), {G: Missing.SENTINEL}),
    ],
)
def test_what_the_part_did_not_measure(raw: bytes, missing: dict[Quantity, Missing]):
    """The codes for "no result" decode to plausible weather; a BME688's gas is not where a BME680's is."""
    values = decode(raw, CALIBRATION, 1)
    assert {q: v for q, v in values.items() if isinstance(v, Missing)} == missing


def test_the_gas_of_a_680_is_elsewhere():
    values = decode(frame(_13="8034", _15="ffff"), CALIBRATION, 0)
    assert values[G] == pytest.approx(499500.5, abs=0.1)


@given(st.binary(min_size=17, max_size=17), st.sampled_from([0, 1]))
def test_decode_takes_any_frame(raw: bytes, variant: int):
    values = decode(raw, CALIBRATION, variant)
    assert set(values) == ALL
    limits = {T: (-40.1, 85.1), P: (299.9, 1100.1), H: (0, 100), G: (0, 2e8)}
    for quantity, value in values.items():
        low, high = limits[quantity]
        assert isinstance(value, Missing) or low <= value <= high


@given(
    st.binary(min_size=23, max_size=23),
    st.binary(min_size=14, max_size=14),
    st.binary(min_size=5, max_size=5),
)
def test_any_calibration_is_read_or_refused(first: bytes, second: bytes, third: bytes):
    try:
        calibration = parse(first, second, third)
    except DeviceError:
        return
    assert 0 <= heater_code(320, 25.0, calibration) <= 255
    assert set(decode(bytes(FRAME), calibration, 0)) == ALL


def test_words_with_their_signs():
    """12-bit words that share a byte are unsigned; most others have a sign."""
    second = bytearray(TRIM[0xE1])
    second[0:3] = b"\xff\xed\xfe"
    calibration = parse(TRIM[0x8A], bytes(second), b"\xd0\x00\x30\x00\xf0")
    assert calibration.humidity[:2] == (0xFED, 0xFFE)
    assert (calibration.heater_value, calibration.heater_range, calibration.switching_error) == (-48, 3, -1)
    assert calibration.pressure == (36673, -10515, 88, 7310, -129, 30, 46, -3177, -2379, 30)
    assert fine_temperature(501240, calibration.temperature) / 5120 == pytest.approx(26.6931, abs=1e-4)


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_empty_calibration_is_refused(byte: bytes):
    with pytest.raises(DeviceError, match="empty"):
        parse(byte * 23, byte * 14, byte * 5)


@pytest.mark.parametrize("quantity", sorted(ALL))
def test_skipped_by_the_part(bench: Bench, quantity: Quantity):
    bench.chip.skipped.add(quantity)
    values = read(bench)
    assert values[quantity] is Missing.SENTINEL
    assert isinstance(values[T], float) == (quantity is not T)


def test_a_cold_heater(bench: Bench):
    """The gas is in doubt, the weather is not."""
    bench.chip.cold = True
    bench.start()
    assert bench.missing() == {G: Missing.UNRELIABLE}
    bench.chip.cold = False
    assert bench.missing() == {}


@pytest.mark.parametrize(
    ("chip_id", "hint"), [(0x60, "BME280"), (0x58, "BMP280"), (0x00, "0x61"), (0xFF, "0x61")]
)
def test_cousins_are_refused(bench: Bench, chip_id: int, hint: str):
    bench.chip.chip_id = chip_id
    with pytest.raises(WrongDevice, match=hint):
        bench.start()


def test_unknown_variants_are_refused(bench: Bench):
    """A part that comes after the BME688 may have yet another gas formula."""
    bench.chip.variant = 2
    with pytest.raises(WrongDevice, match="variant 0x02"):
        bench.start()


def test_measurement_that_never_ends(bench: Bench):
    """new_data stays 0: the wait is bounded, and the old result is not given again."""
    bench.start()
    bench.measure()
    bench.chip.hung = True
    began = bench.clock.now
    with pytest.raises(DeviceError, match="did not end"):
        bench.measure()
    assert bench.clock.now - began < 0.5


def test_not_started(bench: Bench):
    with pytest.raises(DeviceError, match="not started"):
        bench.measure()


@pytest.mark.parametrize("transfer", [1, 3, 5, 6, 7])
def test_power_lost_in_the_middle(bench: Bench, transfer: int):
    """What a part gives that was reset while it was being set up, or measured, is not believed."""
    bench.start()
    bench.measure()
    count = bench.bus.transfers

    def before() -> None:
        if bench.bus.transfers == count + transfer:
            bench.chip.power_cycle()
            bench.clock.now += 0.01

    bench.bus.before = before
    with pytest.raises(DeviceError, match="power"):
        bench.measure()


SPOILED = [(0x5A, 0x50), (0x64, 0x66), (0x70, 0x08), (0x71, 0x21), (0x72, 0x01), (0x74, 0x24)]


@pytest.mark.parametrize(("register", "value"), SPOILED)
def test_each_setting_is_read_back(bench: Bench, register: int, value: int):
    """A setting that the part does not have any more when it has measured spoils the measurement."""
    bench.start()
    count = bench.bus.transfers

    def before() -> None:
        if bench.bus.transfers == count + 7:  # the result has been read
            bench.chip.transfer(bytes([register, value]), 0)

    bench.bus.before = before
    with pytest.raises(DeviceError, match="lost its settings"):
        bench.measure()


def test_sleeps_between_measurements(bench: Bench):
    """Forced mode: nothing goes on after a measurement, and nothing is set after the stop."""
    read(bench)
    bench.clock.now += 1.0
    assert bench.chip.transfer(b"\x74", 1)[0] & 0x03 == 0
    bench.stop()
    assert bench.chip.transfer(b"\x70", 5) == bytes(5)


@pytest.mark.parametrize(
    "options",
    [{"heater": 199}, {"heater": 401}, {"heating": 0.01}, {"heating": 4.1}, {"heating": float("nan")}],
)
def test_options_that_it_cannot_have(options: dict[str, Any]):
    with pytest.raises(ValueError, match="must be"):
        Options(**options)


class TestProbe:
    @pytest.mark.parametrize(("variant", "name"), [(0, "BME680"), (1, "BME688")])
    def test_it_is_recognised(self, clock: VirtualClock, variant: int, name: str):
        bench = make(clock, variant=variant)
        assert bench.probe(probe) == f"chip id 0x61, variant {variant:#04x} ({name})"

    def test_others_are_not(self, bench: Bench, clock: VirtualClock):
        bench.chip.variant = 7
        assert bench.probe(probe) is None
        bench.bus.chips.clear()
        assert bench.probe(probe) is None
        assert probed(probe, Constant(0x00), 0x76) is None
        assert probed(probe, Constant(0xFF), 0x76) is None

    def test_it_is_told_from_a_bme280(self, clock: VirtualClock):
        other = Bme280(clock)
        clock.now += 1.0
        assert probed(probe, EmulatedI2C({0x76: other}), 0x76) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    def test_it_is_deaf_while_it_starts(self, clock: VirtualClock):
        with pytest.raises(NoAcknowledge):
            Emulated(clock).transfer(b"\xd0", 1)

    @pytest.mark.parametrize(
        "write", ["1d00", "d061", "7208", "7101 72", "7402", "7001", "8a00", "f000", "7300"]
    )
    def test_what_cannot_be_written(self, write: str, bench: Bench):
        """Read-only registers, reserved bits, and a length that is not pairs."""
        bench.chip.transfer(b"\x72\x01", 0)
        with pytest.raises(BusError):
            bench.chip.transfer(bytes.fromhex(write), 0)

    @pytest.mark.parametrize("register", [0x05, 0x1C, 0x2E, 0xA1, 0xEF, 0xFF])
    def test_what_cannot_be_read(self, register: int, bench: Bench):
        with pytest.raises(BusError):
            bench.chip.transfer(bytes([register]), 1)

    def test_results_wait_for_the_heater(self, bench: Bench):
        """The result is not new before the heating time has passed."""
        for register, value in ((0x5A, 0x6A), (0x64, 0x65), (0x71, 0x20), (0x72, 0x01), (0x74, 0x25)):
            bench.chip.transfer(bytes([register, value]), 0)
        bench.clock.now += 0.155
        assert bench.chip.transfer(b"\x1d", 1) == b"\x60"
        bench.clock.now += 0.01
        assert bench.chip.transfer(b"\x1d", 1) == b"\x80"

    def test_gas_needs_the_bit_of_its_variant(self, bench: Bench):
        """run_gas is bit 5 of a BME688, bit 4 of a BME680."""
        for register, value in ((0x5A, 0x6A), (0x64, 0x65), (0x71, 0x10), (0x72, 0x01), (0x74, 0x25)):
            bench.chip.transfer(bytes([register, value]), 0)
        bench.clock.now += 1.0
        assert bench.chip.transfer(b"\x2a", 4) == bytes(4)
