"""How a pole is wired: every mistake is a sentence, and the same wires carry emulated parts."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.clock import LoopClock
from gateway.config import ConfigError

HEAD = """\
[gateway]
id = "pole-17"
[store]
path = "pole.db"
[header]
chip = "emulated:street"
[[bus]]
id = "main"
path = "emulated:street"
[[bus]]
id = "left"
mux = "tca9548a"
on = "main"
channel = 1
[[bus]]
id = "right"
mux = "tca9548a"
on = "main"
channel = 2
[[bus]]
id = "far"
mux = "tca9548a"
on = "right"
address = 0x71
channel = 7
[[pins]]
id = "board"
driver = "mcp23017"
bus = "left"
[[adc]]
id = "inputs"
driver = "ads1115"
bus = "far"
"""


def device(name: str, driver: str, **keys: Any) -> str:
    """Return a [[device]] as TOML; a guard is given where it is needed."""
    lines = [f'id = "{name}"', f'driver = "{driver}"']
    lines += [
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in keys.items()
    ]
    if driver == "switch":
        lines.append('guard = { max_on = "5m" }')
    return "[[device]]\n" + "\n".join(lines) + "\n"


GOOD = HEAD + "".join(
    [
        device("here", "bme280", bus="left"),
        device("there", "bme280", bus="far"),
        device("near", "sht4x", bus="main"),
        device("lid", "contact", pins="board", line=3),
        device("siren", "switch", pins="board", line=7),
        device("street", "spl", adc="inputs", channel=0),
        device("vane", "vane", adc="inputs", channel=1),
        device("no2", "electrochemical", adc="inputs", channel=2),
        device("battery", "voltage", adc="inputs", channel=7),
    ]
)


def written(folder: Path, text: str) -> Path:
    path = folder / "pole.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        plan(written(folder, text))
    return [each.message for each in error.value.problems]


def test_a_pole_with_muxes_an_expander_and_a_converter_is_taken(tmp_path):
    """Two parts of one address on two channels, one behind a mux behind a mux, are no collision."""
    found = plan(written(tmp_path, GOOD))
    assert found.devices["there"].where == {"bus": "far", "address": 0x76}
    assert found.devices["siren"].where == {"bus": "board", "line": 7}
    assert found.devices["no2"].where == {"bus": "inputs", "channel": 2}
    assert [bus.id for bus in found.wiring.chain("far")] == ["far", "right", "main"]
    assert found.wiring.path("far") == "emulated:street"


MUX = 'mux = "tca9548a"\non = "main"\nchannel = 1'
MCP, ADS, IN = 'driver = "mcp23017"', 'driver = "ads1115"', 'id = "inputs"'
LID = 'driver = "contact"\npins = "board"\nline = 3'
SPL = 'adc = "inputs"\nchannel = 0'
SHT = 'driver = "sht4x"\nbus = "main"'
HEARD = "heard behind its muxes too"


def like(text: str, **changes: str) -> str:
    """Return *text* with the values of some keys changed, or a key left out."""
    for key, value in changes.items():
        text = re.sub(rf"{key} = \S+", f"{key} = {value}" if value else "", text)
    return text


BUSES = [
    (MUX, like(MUX, channel="8"), "should be less than or equal to 7"),
    (MUX, like(MUX, channel=""), 'left is behind a mux, so it needs the key "channel" too'),
    (MUX, like(MUX, on=""), 'left is behind a mux, so it needs the key "on" too'),
    (MUX, like(MUX, on='"mian"'), 'there is no bus "mian"; did you mean "main"?'),
    (MUX, 'on = "main"', "on is for a bus behind a mux"),
    (MUX, "", 'left needs the key "path", or mux, on and channel'),
    (MUX, like(MUX, mux='"tca9548"'), 'there is no mux "tca9548"; did you mean "tca9548a"?'),
    (MUX, like(MUX, mux='"bme280"'), 'there is no mux "bme280"; there are: tca9548a'),
    (MUX, f'path = "/dev/i2c-1"\n{MUX}', "left is behind a mux: give path or mux, not both"),
    ('on = "right"', 'on = "far"', "far hangs on itself: on must lead to a bus with a path"),
    ("address = 0x71", "address = 0x44", "a tca9548a cannot be at 0x44; it can be at 0x70"),
    ("address = 0x71\n", "", f"both answer at 0x70, for what is on bus main is {HEARD}"),
    ("channel = 2\n", "channel = 1\n", "right and left are both channel 1 of 0x70 on main"),
]
LENDERS = [
    (MCP, like(MCP, driver='"mcp2301"'), 'no expander "mcp2301"; did you mean "mcp23017"?'),
    (MCP, ADS, 'there is no expander "ads1115"; there are: mcp23017'),
    (MCP, f"{MCP}\noptions = {{ interrupt = 60 }}", "interrupt must be a line of the header"),
    (ADS, like(ADS, driver='"bme280"'), 'there is no converter "bme280"; there are: ads1115'),
    (ADS, f"{ADS}\naddress = 0x29", "a ads1115 cannot be at 0x29"),
    (ADS, f"{ADS}\noptions = {{ rat = 8 }}", 'has no key "rat"; did you mean "rate"?'),
    (f'{ADS}\nbus = "far"', f'{ADS}\nbus = "fra"', 'there is no bus "fra"; did you mean "far"?'),
    (IN, 'id = "intakes"', 'there is no adc "inputs"'),
    (IN, f'{IN}\nbus = "main"\n{ADS}\n[[adc]]\n{IN}', 'the id "inputs" is taken by a [[adc]] above'),
]
DEVICES = [
    (LID, like(LID, pins='"bord"'), 'there is no pins "bord"; did you mean "board"?'),
    (LID, like(LID, line="16"), "a mcp23017 has lines 0 to 15, not 16"),
    (LID, like(LID, line=""), 'lid needs the key "line": the expander\'s line'),
    (LID, like(LID, line="15"), "line 15 of a mcp23017 can only be an output, and lid listens"),
    (LID, like(LID, line="7"), "siren and lid are both on line 7 of board"),
    (LID, like(LID, driver='"hx711"'), "an expander such as board looks too rarely for it"),
    ('guard = { max_on = "5m" }', "", "siren acts, so it needs a [device.guard] with at least"),
    (SPL, like(SPL, channel="9"), "a ads1115 has channels 0 to 7, not 9"),
    (SPL, like(SPL, channel="1"), "vane and street are both on channel 1 of inputs"),
    (SPL, like(SPL, channel="3"), "no2 and street are both on channel 3 of inputs"),
    (SPL, like(SPL, channel=""), 'street needs the key "channel"'),
    (SPL, like(SPL, adc=""), 'street needs the key "adc"'),
    (SPL, f"{SPL}\nline = 3", "spl is on a channel of a converter: give adc and channel, not line"),
    (SHT, f'{SHT}\nadc = "inputs"', "sht4x is on an I2C bus: give bus and address, not adc"),
    (SHT, like(SHT, driver='"bme280"'), f"here both answer at 0x76, for what is on bus main is {HEARD}"),
    (SHT, like(SHT, driver='"mb7040"'), "the mux are both on address 0x70 on bus main"),
    (SHT, like(SHT, driver='"tca9548a"'), "a tca9548a measures nothing: name it in a [[bus]]"),
    (SHT, like(SHT, driver='"mcp23017"'), "a mcp23017 measures nothing: name it in [[pins]]"),
]


@pytest.mark.parametrize(("old", "new", "said"), [*BUSES, *LENDERS, *DEVICES])
def test_a_mistake_is_a_sentence(tmp_path, old, new, said):
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert any(said in each for each in found), found


def test_two_real_buses_of_one_path_are_one(tmp_path):
    text = GOOD.replace("emulated:street", "/dev/i2c-1") + '[[bus]]\nid = "twice"\npath = "/dev/i2c-1"\n'
    assert problems(tmp_path, text) == ["twice and main are both /dev/i2c-1: make them one [[bus]]"]


def test_further_lines_of_a_part_are_taken_too(tmp_path):
    text = HEAD + device("weight", "hx711", line=5) + device("lid", "contact", line=6)
    assert problems(tmp_path, text) == ["lid and weight are both on line 6 of the header: move one of them"]
    text = HEAD.replace('bus = "left"', 'bus = "left"\noptions = { interrupt = 4 }')
    assert problems(tmp_path, text + device("lid", "contact", line=4)) == [
        "lid and board are both on line 4 of the header: move one of them"
    ]


def test_a_package_that_is_not_installed_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.find_spec", lambda name: None)
    (said,) = problems(tmp_path, HEAD + device("gas", "sgp41", bus="main"))
    assert "sgp41 needs the package sensirion-gas-index-algorithm" in said
    assert "pip install 'lamppost[gas]'" in said


class Pole:
    """The drivers of a configuration on its emulated wires, started."""

    def __init__(self, path: Path) -> None:
        self.plan = plan(path)
        self.hardware = Hardware(LoopClock())
        self.drivers = {
            name: self.hardware.build(self.plan, each) for name, each in self.plan.devices.items()
        }

    async def start(self) -> "Pole":
        for driver in self.drivers.values():
            await driver.start()
        return self


def test_the_same_drivers_run_behind_all_of_it(tmp_path, virtual):
    async def main() -> None:
        pole = await Pole(written(tmp_path, GOOD)).start()
        values = {name: await driver.measure() for name, driver in pole.drivers.items()}
        for name in ("here", "there"):
            assert values[name][Quantity.TEMPERATURE] == pytest.approx(18.5, abs=0.1)
        assert values["near"][Quantity.HUMIDITY] == pytest.approx(58.0, abs=0.5)
        assert 50.0 < values["street"][Quantity.SOUND_LEVEL] < 80.0
        assert values["vane"][Quantity.WIND_DIRECTION] in {225.0, 247.5}
        assert 10.0 < values["no2"][Quantity.NO2] < 60.0
        assert isinstance(values["battery"][Quantity.VOLTAGE], float)
        await pole.hardware.close()

    virtual(main())


def test_an_expander_moves_the_street_and_sees_it(tmp_path, virtual):
    """The siren sounds by a line of the expander, and the lid opens on another."""

    async def main() -> None:
        pole = await Pole(written(tmp_path, GOOD)).start()
        street = pole.hardware.street
        assert street is not None
        await pole.drivers["siren"].apply(1.0)
        street.advance()
        await asyncio.sleep(0.2)
        street.advance()
        assert street.scene.siren
        assert (await pole.drivers["siren"].measure())[Quantity.ON] == 1.0
        seen = set()
        for _ in range(40):
            await asyncio.sleep(0.1)
            seen.add((await pole.drivers["lid"].measure())[Quantity.CLOSED])
        assert seen == {0.0, 1.0}

    virtual(main())


def test_an_interrupt_of_an_expander_comes_over_the_header(tmp_path, virtual):
    text = GOOD.replace('bus = "left"\n[[adc]]', 'bus = "left"\noptions = { interrupt = 4 }\n[[adc]]')

    async def main() -> None:
        pole = await Pole(written(tmp_path, text)).start()
        street = pole.hardware.street
        assert street is not None
        world = asyncio.create_task(street.run())
        changes = pole.drivers["lid"].changes()
        async with asyncio.timeout(7.0):
            for _ in range(3):
                await anext(changes)
        await changes.aclose()
        world.cancel()

    virtual(main())


def test_a_converter_that_lost_its_supply_is_started_again(tmp_path, virtual):
    """One measurement fails, and the next is good: nobody but its users knows that there is a converter."""

    async def main() -> None:
        pole = await Pole(written(tmp_path, GOOD)).start()
        street = pole.hardware.street
        assert street is not None
        ((way, address),) = street._converters
        street.plug(way, address, plugged=False)
        with pytest.raises((BusError, DeviceError)):
            await pole.drivers["street"].measure()
        street.plug(way, address, plugged=True)
        values = await pole.drivers["street"].measure()
        assert not isinstance(values[Quantity.SOUND_LEVEL], Missing)

    virtual(main())


def test_an_expander_that_lost_its_supply_gets_its_levels_back(tmp_path, virtual):
    async def main() -> None:
        pole = await Pole(written(tmp_path, GOOD)).start()
        street = pole.hardware.street
        assert street is not None
        await pole.drivers["siren"].apply(1.0)
        ((way, address),) = street._expanders
        chip = street.bus(way.root).behind(way.hops)[address]
        chip.power_cycle()
        assert 7 not in street._expanders[way, address].outputs
        assert (await pole.drivers["siren"].measure())[Quantity.ON] == 1.0
        assert 7 in street._expanders[way, address].outputs

    virtual(main())


def test_a_part_behind_a_mux_can_be_unplugged_and_back(tmp_path, virtual):
    async def main() -> None:
        pole = await Pole(written(tmp_path, GOOD)).start()
        street = pole.hardware.street
        assert street is not None
        way = next(way for way in [_way(pole, "far")])
        street.plug(way, 0x76, plugged=False)
        with pytest.raises(NoAcknowledge):
            await pole.drivers["there"].measure()
        assert Quantity.PRESSURE in await pole.drivers["here"].measure()
        street.plug(way, 0x76, plugged=True)
        await asyncio.sleep(0.01)
        await pole.drivers["there"].start()
        assert Quantity.PRESSURE in await pole.drivers["there"].measure()

    virtual(main())


def _way(pole: Pole, bus: str) -> Any:
    from gateway.app.hardware import _way as way

    return way(pole.plan.wiring, bus)


def test_a_channel_that_is_held_low_is_a_timeout(tmp_path, virtual):
    async def main() -> None:
        pole = await Pole(written(tmp_path, GOOD)).start()
        street = pole.hardware.street
        assert street is not None
        street.bus("main").chips[0x70].stuck.add(1)
        with pytest.raises(BusTimeout):
            await pole.drivers["here"].measure()
        street.bus("main").chips[0x70].stuck.clear()
        assert Quantity.PRESSURE in await pole.drivers["there"].measure()

    virtual(main())


LAMPS = HEAD + "".join(
    f"""[[device]]
id = "lamp{channel}"
driver = "pca9685"
bus = "main"
address = 0x41
options = {{ channel = {channel} }}
guard = {{ max_on = "1h" }}
"""
    for channel in range(16)
)


def test_the_outputs_of_one_part_are_devices_of_their_own(tmp_path):
    found = plan(written(tmp_path, LAMPS))
    assert {placed.where["address"] for placed in found.devices.values()} == {0x41}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{ channel = 9 }",
            "{ channel = 8 }",
            "lamp9 and lamp8 are both on channel 8 of the pca9685 at 0x41",
        ),
        (
            "{ channel = 1 }",
            "{ channel = 1, frequency = 50.0, open_drain = true }",
            "lamp1 and lamp0 share the pca9685 at 0x41 on bus main: give both the same frequency and open",
        ),
    ],
)
def test_outputs_that_cannot_share_a_part(tmp_path, old, new, said):
    assert any(said in each for each in problems(tmp_path, LAMPS.replace(old, new)))


def test_two_outputs_of_one_emulated_part(tmp_path):
    """They are on one emulated part, as on a real one: the second does not take the first one's place."""

    async def main():
        clock = LoopClock()
        hardware, made = Hardware(clock), plan(written(tmp_path, LAMPS))
        lamps = [hardware.build(made, made.devices[name]) for name in ("lamp0", "lamp1")]
        for lamp in lamps:
            await lamp.start()
        for lamp in lamps:
            await lamp.apply(0.5)
        assert hardware.street
        chip = hardware.street.bus("main").chips[0x41]
        return chip.duty(0), chip.duty(1)

    assert asyncio.run(main()) == (0.5, 0.5)
