"""The spike test as a stream: one reading late, with a flag that travels."""

import pytest

from drivers.device import Missing
from gateway.reading import Flag
from tests.gateway.stream_rig import designed, fed, problems, reading, restarted, stream

TEXT = '[[derive]]\nid = "clean"\nkind = "despiked"\nfrom = "river.stage"\nsuspect = 0.2\nfail = 0.5\n'
KNOWN = {"river.stage": 60.0}


def stages(*values):
    return [reading("river", 60.0 * n, stage=value) for n, value in enumerate(values)]


def test_each_value_comes_when_the_next_is_there_with_its_flag():
    said = fed(stream(TEXT, KNOWN), stages(1.0, 1.0, 1.3, 1.0, 1.0, 2.0, 1.0, 1.0))
    found = [(each.at.time, each.values["stage"], each.flags.get("stage")) for each in said]
    assert found == [
        (0.0, 1.0, None),
        (60.0, 1.0, Flag.PASS),
        (120.0, 1.3, Flag.SUSPECT),
        (180.0, 1.0, Flag.PASS),
        (240.0, 1.0, Flag.SUSPECT),  # a neighbour of a spike is half as far from the mean of its neighbours
        (300.0, 2.0, Flag.FAIL),
        (360.0, 1.0, Flag.SUSPECT),
    ]


def test_a_missing_neighbour_leaves_a_value_untested_and_a_missing_value_missing():
    said = fed(stream(TEXT, KNOWN), stages(1.0, Missing.NO_TARGET, 5.0, 1.0))
    assert [each.values.get("stage") for each in said] == [1.0, None, 5.0]
    assert [each.flags for each in said] == [{}, {}, {}]


def test_a_suspect_value_that_passes_stays_suspect():
    readings = [reading("river", 60.0 * n, Flag.SUSPECT if n == 1 else None, stage=1.0) for n in range(4)]
    assert [each.flags.get("stage") for each in fed(stream(TEXT, KNOWN), readings)][1] is Flag.SUSPECT


def test_a_reading_that_comes_twice_is_given_once():
    readings = stages(1.0, 1.0, 1.0)
    assert len(fed(stream(TEXT, KNOWN), [*readings, readings[-1], *stages(1.0, 1.0, 1.0, 1.0)[3:]])) == 3


def test_a_restart_changes_nothing():
    assert restarted(designed(TEXT, KNOWN), stages(*(float(n % 5) for n in range(40))), 17)


@pytest.mark.parametrize("limits", ["suspect = 0.5\nfail = 0.2", "suspect = 0.0\nfail = 0.2"])
def test_limits_that_cannot_be_are_refused(limits):
    assert problems(TEXT.replace("suspect = 0.2\nfail = 0.5", limits), KNOWN)
