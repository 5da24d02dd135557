"""MLX90640: Melexis' example frames, the datasheet's worked example, its own chip, and what is no frame."""

import asyncio
from dataclasses import replace
from functools import lru_cache
from random import Random
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bin.mlx90640 import Driver, Options, calibration, hottest, probe
from drivers.bin.mlx90640.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from tests.drivers.test_vectors import OneTarget, of

T, S = Quantity.TEMPERATURE, Quantity.SURFACE_TEMPERATURE
VECTORS = of("MLX90640")


def words(text):
    return [int(text[at : at + 4], 16) for at in range(0, len(text), 4)]


def registers(vector):
    """The EEPROM, the RAM, the subpage and the control register of an example."""
    found = vector["device"]["regs"]
    eeprom, ram = words(found["2400..273f"]), words(found["0400..073f"])
    return tuple(eeprom), ram, int(found["8000"], 16) & 7, int(found["800d"], 16)


@lru_cache
def example():
    return calibration.parse(registers(VECTORS[0])[0])


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x33: chip}), 0x33, clock)


async def started(part):
    await part.start()
    return await part.measure()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_examples(vector):
    """Every pixel as Melexis' own library has it: 0.001 K is what single precision leaves."""
    eeprom, ram, page, control = registers(vector)
    known, expected = calibration.parse(eeprom), vector["expected"]
    here = calibration.ambient(ram, control, known)
    assert here.supply == pytest.approx(expected["vdd"]["value"], abs=1e-5)
    assert here.temperature == pytest.approx(expected["ta"]["value"], abs=1e-4)
    image = calibration.temperatures(ram, page, control, known)
    assert list(image) == expected["pixels_index"]["value"]
    for pixel, celsius in zip(image, expected["to"]["value"], strict=True):
        assert image[pixel] == pytest.approx(celsius, abs=0.001)


def test_the_examples_through_the_driver(clock):
    """Both half frames from a plain memory: the hottest of all 768 pixels comes out."""
    eeprom, first, _, _ = registers(VECTORS[0])
    second = registers(VECTORS[1])[1]
    control, page, new = 0, 0, True

    def answer(write, read):
        nonlocal control, page, new
        register = int.from_bytes(write[:2])
        if len(write) == 4 and register == 0x800D:
            control = int.from_bytes(write[2:])
        if not read:
            return b""
        if register == 0x8000:
            new = not new
            page = page ^ new
            return (8 * new + page).to_bytes(2)
        source = {0x2400: eeprom, 0x0400: (first, second)[page], 0x800D: [control]}[register]
        return b"".join(word.to_bytes(2) for word in source[: read // 2])

    values = asyncio.run(started(Driver(OneTarget(0x33, answer), 0x33, clock)))
    every = [celsius for vector in VECTORS for celsius in vector["expected"]["to"]["value"]]
    assert len(every) == 768
    assert values[S] == pytest.approx(max(every), abs=0.001)
    assert values[T] == pytest.approx(VECTORS[1]["expected"]["ta"]["value"], abs=1e-4)


def test_the_datasheets_worked_example():
    """11.2.2.1 to 11.2.2.4: 3.319 V, 39.184 Cel, a gain of 1.01753."""
    eeprom = list(registers(VECTORS[0])[0])
    eeprom[0x10], eeprom[0x30], eeprom[0x31] = 0x4210, 0x18EF, 0x2FF1
    eeprom[0x32], eeprom[0x33], eeprom[0x38] = 0x5952, 0x9D68, 0x2363
    ram = [0] * 832
    ram[810], ram[768], ram[800], ram[778] = 0xCCC5, 0x4BF2, 0x06AF, 0x1881
    here = calibration.ambient(ram, 0x1901, calibration.parse(tuple(eeprom)))
    assert here.supply == pytest.approx(3.319, abs=0.001)
    assert here.temperature == pytest.approx(39.184, abs=0.001)
    assert here.gain == pytest.approx(1.01753546947234, abs=1e-9)


def test_the_chip_gives_melexis_frame(clock):
    """The chip alone: before the example's scene it writes the example's words, but for some rounding."""
    _, ram, page, control = registers(VECTORS[0])
    expected = VECTORS[0]["expected"]
    chip = Emulated(clock)
    chip.set(T, expected["ta"]["value"])
    for pixel, celsius in zip(expected["pixels_index"]["value"], expected["to"]["value"], strict=True):
        chip.scene[pixel] = celsius
    chip.control = control
    chip._measure(page)
    ours, theirs = (
        [word - (word >> 15 << 16) for word in (memory[p] for p in expected["pixels_index"]["value"])]
        for memory in (chip.ram, ram)
    )
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 3  # 0.004 V make the rest


@pytest.mark.parametrize(
    ("page", "chess", "some"),
    [
        (0, True, [0, 2, 30, 33, 35]),
        (1, True, [1, 3, 31, 32, 34]),
        (0, False, [0, 1, 31, 64]),
        (1, False, [32, 33, 63, 96]),
    ],
)
def test_half_frames(page, chess, some):
    pixels = calibration.subpage(page, chess)
    assert len(pixels) == 384
    assert set(some) <= set(pixels)


def test_another_pattern_than_that_of_the_calibration_is_corrected():
    """11.1.10: less the third coefficient and a wave of the second in one row, the reverse in the next."""
    known = replace(example(), patterns=(0.5, 3.5, 0.25))
    assert [calibration._pattern(p, known) for p in range(6)] == [-0.25, 3.25, -0.25, -3.75, -0.25, 3.25]
    assert [calibration._pattern(32 + p, known) for p in range(4)] == [0.25, -3.25, 0.25, 3.75]
    _, ram, page, control = registers(VECTORS[0])
    ours = calibration.temperatures(ram, page, control, known)
    other = calibration.temperatures(ram, page, control, replace(known, chess=False))
    for pixel, counts in ((0, -0.25), (35, 3.75)):
        per_kelvin = known.pixels[pixel].alpha * 4 * (ours[pixel] + 273.15) ** 3
        assert other[pixel] - ours[pixel] == pytest.approx(counts / per_kelvin, rel=0.1)


def test_the_compensation_pixel_is_the_datasheets():
    """11.2.2.6: what is left of -54 and -56 counts at 39.184 Cel and 3.319 V, and it is taken off by TGC."""
    known = replace(
        example(), cp_offset=(-75, -77), cp_kta=0.00457763671875, cp_kv=0.5, patterns=(0.5, 0.0, 0.0)
    )
    here = calibration.Ambient(3.319, 39.184, 1.01753546947234)
    ram = [0] * 832
    ram[776], ram[808] = 0xFFCA, 0xFFC8
    drift = (1 + 0.00457763671875 * 14.184) * (1 + 0.5 * 0.019)
    for page, (counts, offset) in enumerate(((-54, -75), (-56, -77))):
        wanted = counts * 1.01753546947234 - offset * drift
        assert calibration._compensation(ram, page, True, here, known) == pytest.approx(wanted)
    rows = calibration._compensation(ram, 1, False, here, known)
    assert rows == pytest.approx(wanted - 0.5 * drift)
    _, words, page, control = registers(VECTORS[0])
    words[776] = 0  # 70 counts more than the part expects of it
    none, all_of_it = (
        calibration.temperatures(words, page, control, replace(example(), tgc=tgc)) for tgc in (0.0, 1.0)
    )
    light = (none[400] + 273.15) ** 4 - (all_of_it[400] + 273.15) ** 4
    assert light * example().pixels[400].alpha == pytest.approx(70, rel=0.1)


def test_another_resolution_scales_the_supply():
    """11.2.2.1: the EEPROM's 18 bits, and frames of 16 to 19."""
    ram = registers(VECTORS[0])[1]
    for code in range(4):
        words = list(ram)
        words[810] = round((ram[810] - 0x10000) * 2.0 ** (code - 2)) & 0xFFFF
        control = 0x1101 | code << 10
        assert calibration.ambient(words, control, example()).supply == pytest.approx(3.3044, abs=0.002)


@pytest.mark.parametrize("rate", [0.5, 4.0, 64.0])
@pytest.mark.parametrize("own", [-40.0, 20.0, 85.0])
def test_from_frost_to_fire(clock, chip, rate, own):
    part = Driver(EmulatedI2C({0x33: chip}), 0x33, clock, Options(rate=rate))

    async def main():
        await part.start()
        chip.set(T, own)
        for celsius in (-39.5, -10.0, -0.1, 0.1, 25.0, 100.0, 299.0, 301.0, 399.0):
            chip.set(S, celsius)
            values = await part.measure()
            assert values[S] == pytest.approx(celsius, abs=0.4)
            assert values[T] == pytest.approx(own, abs=0.12)

    asyncio.run(main())


@pytest.mark.parametrize("celsius", [-35.0, -15.0, 80.0, 150.0, 200.0, 300.0, 340.0, 390.0])
def test_each_range_has_its_own_slope(chip, part, celsius):
    """11.1.11: corners at 160 and 320 Cel, and four slopes that differ; the example has one for all."""
    chip.memory[0x3D], chip.memory[0x3E] = 0x9740, 0xA0D8
    chip.memory[0x3F] = chip.memory[0x3F] & 0x000F | 0x2880
    chip.set(S, celsius)
    assert asyncio.run(started(part))[S] == pytest.approx(celsius, abs=0.4)


@pytest.mark.parametrize("pixel", [0, 1, 31, 32, 400, 735, 767])
def test_one_ember_among_768_surfaces_is_the_reading(chip, part, pixel):
    chip.scene[pixel] = 180.0
    assert asyncio.run(started(part))[S] == pytest.approx(180.0, abs=0.2)


def test_a_percentile_leaves_the_hottest_out(chip, clock):
    chip.scene[100:104] = [180.0, 170.0, 160.0, 150.0]
    bus = EmulatedI2C({0x33: chip})
    for percentile, celsius in ((100.0, 180.0), (99.75, 170.0), (99.7, 160.0), (99.0, 22.0), (50.0, 22.0)):
        part = Driver(bus, 0x33, clock, Options(percentile=percentile))
        assert asyncio.run(started(part))[S] == pytest.approx(celsius, abs=0.3)


def test_percentiles_are_counted_from_below():
    pixels = [float(each) for each in range(1, 101)]
    assert hottest(pixels, 100.0, 0) == 100.0
    assert hottest(pixels, 99.0, 0) == 99.0
    assert hottest(pixels, 50.0, 0) == 50.0


@pytest.mark.parametrize(
    ("celsius", "missing"), [(401.0, True), (400.0, False), (-41.0, True), (-39.0, False)]
)
def test_beyond_the_calibration_is_out_of_range(celsius, missing):
    found = hottest([celsius] * 768, 100.0, 0)
    assert (found is Missing.OUT_OF_RANGE) is missing


def test_a_marked_pixel_does_not_count(chip, part):
    """The factory marks up to four; whatever they read, they are not the hottest."""
    for pixel in (5, 70, 300, 767):
        chip.bad(pixel)
        chip.stuck[pixel] = 0x6000
    assert asyncio.run(started(part))[S] == pytest.approx(22.0, abs=0.3)


def test_a_broken_pixel_is_a_word_of_zero(chip, part):
    chip.memory[64 + 9] = 0
    chip.stuck[9] = 0x6000
    assert asyncio.run(started(part))[S] == pytest.approx(22.0, abs=0.3)


def test_a_fifth_marked_pixel_is_a_defective_calibration(chip, part):
    for pixel in range(5):
        chip.bad(pixel)
    with pytest.raises(DeviceError, match="5 pixels as bad"):
        asyncio.run(part.start())


@pytest.mark.parametrize("rail", [0x7FFF, 0x8000])
def test_four_pixels_at_a_rail_do_not_count_and_five_are_unreliable(chip, part, rail):
    async def main():
        chip.stuck = dict.fromkeys(range(40, 44), rail)
        first = (await started(part))[S]
        chip.stuck[44] = rail
        return first, (await part.measure())[S]

    assert asyncio.run(main()) == (pytest.approx(22.0, abs=0.3), Missing.UNRELIABLE)


def test_the_emissivity_is_undone():
    """With surroundings as warm as the part, only the surface's own radiation counts."""
    _, ram, page, control = registers(VECTORS[0])
    whole = calibration.temperatures(ram, page, control, example())
    half = calibration.temperatures(ram, page, control, example(), 0.5, 0.0)
    own = (calibration.ambient(ram, control, example()).temperature + 273.15) ** 4
    for pixel in list(whole)[:20]:
        radiation = ((whole[pixel] + 273.15) ** 4 - own) / 0.5 + own
        assert half[pixel] == pytest.approx(radiation**0.25 - 273.15, abs=0.02)
    colder = calibration.temperatures(ram, page, control, example(), 0.5, 8.0)
    assert all(colder[pixel] > half[pixel] + 3 for pixel in list(whole)[:20])


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 3.0},
        {"emissivity": 0.0},
        {"emissivity": float("nan")},
        {"heating": 21.0},
        {"percentile": 49.0},
        {"percentile": 100.1},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


def test_a_torn_half_frame_is_read_anew(chip, part):
    """The scene jumps while the RAM is read; words of both scenes in one frame are no frame."""

    async def main():
        await part.start()
        chip.tear = 2
        chip.scene = [60.0] * 768
        return (await part.measure())[S]

    assert asyncio.run(main()) == pytest.approx(60.0, abs=0.3)
    assert chip.tear == 0


def test_half_frames_that_are_always_torn_are_a_fault(chip, part):
    async def main():
        await part.start()
        chip.tear = 100
        with pytest.raises(DeviceError, match="overwritten as they were read"):
            await part.measure()

    asyncio.run(main())


def test_the_same_half_again_and_again_is_a_fault(chip, part, clock):
    async def main():
        await part.start()
        chip.repeat = True
        began = clock.now
        with pytest.raises(DeviceError, match="only half frame 0"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) < 2.0


def test_both_halves_are_needed_for_what_one_of_them_cannot_see(chip, part):
    """An ember on a black square of the board, then one on a white one."""

    async def main():
        await part.start()
        seen = []
        for pixel in (64, 65):
            chip.scene = [22.0] * 768
            chip.scene[pixel] = 90.0
            seen.append((await part.measure())[S])
        return seen

    assert asyncio.run(main()) == [pytest.approx(90.0, abs=0.2)] * 2


def test_each_measurement_is_of_its_own_time(chip, part, clock):
    async def main():
        await started(part)
        clock.now += 600
        chip.transfer(b"\x80\x00", 2)
        chip.set(S, 77.0)
        return (await part.measure())[S]

    assert asyncio.run(main()) == pytest.approx(77.0, abs=0.2)


def test_a_part_that_does_not_measure_is_a_fault(chip, part, clock):
    async def main():
        await part.start()
        chip.never_ready = True
        began = clock.now
        with pytest.raises(DeviceError, match="does not measure"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) < 1.0


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, clock):
    """It measures on by itself, at another rate: that is how it shows."""
    part = Driver(EmulatedI2C({0x33: chip}), 0x33, clock)

    async def main():
        await started(part)
        chip.power_cycle()
        clock.now += 5
        with pytest.raises(DeviceError, match="lost its settings"):
            await part.measure()
        return (await started(part))[S]

    assert asyncio.run(main()) == pytest.approx(22.0, abs=0.3)


def test_a_measurement_without_a_start_is_refused(part):
    with pytest.raises(DeviceError, match="not started"):
        asyncio.run(part.measure())


def test_a_calibration_that_reads_differently_twice_is_refused(chip, clock):
    """It has no checksum: a flipped bit would spoil every frame until the next start."""
    bus = EmulatedI2C({0x33: chip})
    inner, spoilt = bus.transfer, []

    async def transfer(address, write=b"", read=0):
        answer = bytearray(await inner(address, write, read))
        if write == b"\x24\x00" and not spoilt:
            spoilt.append(True)
            answer[500] ^= 0x10
        return bytes(answer)

    bus.transfer = transfer
    part = Driver(bus, 0x33, clock)
    with pytest.raises(DeviceError, match="differently twice"):
        asyncio.run(part.start())
    assert asyncio.run(started(part))[S] == pytest.approx(22.0, abs=0.3)


@pytest.mark.parametrize("word", [0x30, 0x33])
def test_an_empty_calibration_is_refused(chip, part, word):
    chip.memory[word] = 0
    with pytest.raises(DeviceError, match="no calibration"):
        asyncio.run(part.start())


def test_a_pixel_without_sensitivity_is_refused(chip, part):
    chip.memory[0x21] = 0
    with pytest.raises(DeviceError, match="no sensitivity"):
        asyncio.run(part.start())


@pytest.mark.parametrize(("word", "bits"), [(10, 0x0040), (15, 0x0001)])
def test_another_part_is_refused(chip, part, word, bits):
    chip.memory[word] ^= bits
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())


@pytest.mark.parametrize(
    ("word", "value", "says"),
    [
        (778, 0, "none"),
        (778, 0x7FFF, "not been measured"),
        (810, 0, "supply"),
        (800, 0x7000, "part at"),
        (768, 0x7FFF, "not been measured"),
    ],
)
def test_a_frame_that_is_none_is_refused(word, value, says):
    ram = registers(VECTORS[0])[1]
    ram[word] = value
    with pytest.raises(DeviceError, match=says):
        calibration.temperatures(ram, 0, 0x1901, example())


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 1), st.floats(0.1, 1))
def test_whatever_the_pixels_read_is_a_temperature_or_none(seed, page, emissivity):
    random, ram = Random(seed), registers(VECTORS[0])[1]
    ram[:768] = [random.randrange(0x10000) for _ in range(768)]
    found = calibration.temperatures(ram, page, 0x1901, example(), emissivity)
    assert len(found) == 384
    assert all(each is None or -273.15 < each < 2000 for each in found.values())


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 831), st.integers(0, 0xFFFF)), max_size=40))
def test_a_spoilt_calibration_never_crashes(changes):
    eeprom, ram, page, control = registers(VECTORS[0])
    spoilt = list(eeprom)
    for at, value in changes:
        spoilt[at] = value
    try:
        known = calibration.parse(tuple(spoilt))
        found = calibration.temperatures(ram, page, control, known)
    except DeviceError:
        return
    assert all(each is None or isinstance(each, float) for each in found.values())


def test_a_part_that_comes_up_is_not_acknowledged(chip):
    chip.power_cycle()
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\x24\x00", 2)


def test_the_probe_knows_the_part_and_changes_nothing(chip, clock):
    before = (chip.control, chip.status, list(chip.memory))
    told = asyncio.run(probe(EmulatedI2C({0x33: chip}), 0x33, clock))
    assert told == "serial number 1710 a224 0185"
    assert (chip.control, chip.status, chip.memory) == before


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_other_parts_and_absent_ones(chip, clock, byte):
    bus = OneTarget(0x33, lambda write, read: bytes([byte]) * read)
    assert asyncio.run(probe(bus, 0x33, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x33, clock)) is None
    chip.memory[10] |= 0x0040
    assert asyncio.run(probe(EmulatedI2C({0x33: chip}), 0x33, clock)) is None


def test_the_chip_refuses_what_the_part_does(chip):
    for wire in (b"\x24", b"\x24\x00\x00"):
        with pytest.raises(NoAcknowledge):
            chip.transfer(wire, 0)
    for wire in (b"\x24\x10\x12\x34", b"\x04\x00\x00\x00", b"\x80\x0d\xf9\x01"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0)
    with pytest.raises(BusError):
        chip.transfer(b"\x07\x40", 2)


def test_a_frame_costs_little(chip, part):
    """The arithmetic of a frame stays far below its period: it runs beside everything else."""

    async def main():
        await part.start()
        frames = await part._frames()
        began = process_time()
        for page, each in frames.items():
            part._image(each, page, part._calibration)
        return process_time() - began

    assert asyncio.run(main()) < 0.25
