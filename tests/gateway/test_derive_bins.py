"""How full a bin is: by shape, by table, by weight."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.bins import Shape, frustum_fill, linear_fill, weight_fill

near = st.floats(0.0, 5.0)
depths = st.floats(0.05, 5.0)
shares = st.floats(0.0, 1.0)
radii = st.floats(0.05, 2.0)


@pytest.mark.parametrize(
    ("distance", "fill"),
    [(1.2, 0.0), (0.7, 50.0), (0.3, 90.0), (0.2, 100.0), (0.05, 100.0), (1.25, 0.0), (-0.1, 100.0)],
)
def test_a_straight_bin_fills_with_its_depth(distance, fill):
    assert linear_fill(distance, empty=1.2, full=0.2) == pytest.approx(fill)


@pytest.mark.parametrize("distance", [1.2501, 8.19, math.inf, -math.inf, math.nan])
def test_a_distance_beyond_the_floor_is_no_fill(distance):
    assert linear_fill(distance, empty=1.2, full=0.2) is Missing.OUT_OF_RANGE
    assert frustum_fill(distance, 1.2, 0.2, 0.2, 0.3) is Missing.OUT_OF_RANGE
    assert Shape([(0.2, 100.0), (1.2, 0.0)]).fill(distance) is Missing.OUT_OF_RANGE


def test_half_the_height_of_a_tapered_bin_is_two_fifths_of_its_volume():
    """The worked example: bottom 0.20 m, top 0.30 m, half the height: 40.1 %."""
    fill = frustum_fill(0.7, empty=1.2, full=0.2, bottom=0.20, top=0.30)
    assert round(fill, 1) == 40.1
    assert fill == pytest.approx(100 * 0.07625 / 0.19)


def test_a_cone_fills_with_the_cube_and_its_inverse_with_the_rest():
    assert frustum_fill(0.5, 1.0, 0.0, bottom=0.0, top=0.3) == pytest.approx(12.5)
    assert frustum_fill(0.5, 1.0, 0.0, bottom=0.3, top=0.0) == pytest.approx(87.5)


@given(near, depths, shares, radii)
def test_a_tapered_bin_of_equal_radii_is_a_straight_one(full, depth, share, radius):
    distance = full + share * depth
    straight = linear_fill(distance, full + depth, full)
    assert frustum_fill(distance, full + depth, full, radius, radius) == pytest.approx(straight, abs=1e-9)


@given(near, depths, shares, radii, radii)
def test_a_tapered_bin_upside_down_holds_the_rest(full, depth, share, bottom, top):
    upright = frustum_fill(full + share * depth, full + depth, full, bottom, top)
    turned = frustum_fill(full + (1 - share) * depth, full + depth, full, top, bottom)
    assert upright + turned == pytest.approx(100.0)


@given(near, depths, shares, shares, radii, radii)
def test_nearer_rubbish_is_never_less(full, depth, one, other, bottom, top):
    high, low = (full + share * depth for share in sorted((one, other)))
    for fill in (
        lambda distance: linear_fill(distance, full + depth, full),
        lambda distance: frustum_fill(distance, full + depth, full, bottom, top),
        Shape([(full, 100.0), (full + depth / 3, 80.0), (full + depth, 0.0)]).fill,
    ):
        assert 0.0 <= fill(low) <= fill(high) + 1e-9
        assert fill(high) <= 100.0


TABLE = Shape([(0.2, 100.0), (0.4, 90.0), (0.6, 90.0), (1.2, 0.0)])


@pytest.mark.parametrize(
    ("distance", "fill"),
    [
        *((0.0, 100.0), (0.2, 100.0), (0.3, 95.0), (0.4, 90.0), (0.5, 90.0), (0.6, 90.0)),
        *((0.9, 45.0), (1.1999, 0.015), (1.2, 0.0), (1.25, 0.0), (1.2501, Missing.OUT_OF_RANGE)),
    ],
)
def test_a_table_is_read_between_its_points(distance, fill):
    assert TABLE.fill(distance) == (fill if isinstance(fill, Missing) else pytest.approx(fill))


@given(near, depths, shares)
def test_a_table_of_two_points_is_a_straight_bin(full, depth, share):
    assume(full + depth > full)
    shape = Shape([(full, 100.0), (full + depth, 0.0)])
    distance = full + share * depth
    assert shape.fill(distance) == pytest.approx(linear_fill(distance, full + depth, full), abs=1e-6)


@given(radii, radii, shares)
def test_a_fine_table_of_a_tapered_bin_is_that_bin(bottom, top, share):
    steps = [(n / 200, frustum_fill(n / 200, 1.0, 0.0, bottom, top)) for n in range(201)]
    assert Shape(steps).fill(share) == pytest.approx(frustum_fill(share, 1.0, 0.0, bottom, top), abs=0.02)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "two points or more"),
        ([(0.2, 100.0)], "two points or more"),
        ([(0.2, 100.0), (0.2, 0.0)], "must rise: 0.2 m follows 0.2 m"),
        ([(0.2, 100.0), (0.5, 50.0), (0.4, 0.0)], "must rise: 0.4 m follows 0.5 m"),
        ([(0.2, 100.0), (0.5, 50.0), (0.6, 51.0), (1.0, 0.0)], "must not rise with the distance: 51 %"),
        ([(0.2, 99.0), (0.5, 0.0)], "starts at 100 %"),
        ([(0.2, 100.0), (0.5, 1.0)], "ends at 0 %"),
        ([(0.2, 100.0), (math.nan, 0.0)], "finite"),
    ],
)
def test_a_table_that_is_no_bin_is_refused(points, message):
    with pytest.raises(ValueError, match=message):
        Shape(points)


@pytest.mark.parametrize(
    ("weight", "fill"),
    [
        *((38.0, 0.0), (53.0, 50.0), (68.0, 100.0), (90.0, 100.0), (37.0, 0.0), (36.5, 0.0)),
        *((36.4, Missing.OUT_OF_RANGE), (math.nan, Missing.OUT_OF_RANGE), (math.inf, Missing.OUT_OF_RANGE)),
    ],
)
def test_a_weight_fills_from_the_tare_to_the_full_weight(weight, fill):
    """A bin of 38 kg that may be lifted with 30 kg in it; 5 % under the tare is still the empty bin."""
    assert weight_fill(weight, tare=38.0, full=68.0) == (
        fill if isinstance(fill, Missing) else pytest.approx(fill)
    )


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: linear_fill(0.5, empty=0.2, full=1.2),
        lambda: linear_fill(0.5, empty=0.2, full=0.2),
        lambda: linear_fill(0.5, empty=math.nan, full=0.2),
        lambda: frustum_fill(0.5, 0.2, 1.2, 0.2, 0.3),
        lambda: frustum_fill(0.5, 1.2, 0.2, -0.2, 0.3),
        lambda: frustum_fill(0.5, 1.2, 0.2, 0.0, 0.0),
        lambda: frustum_fill(0.5, 1.2, 0.2, 0.2, math.inf),
        lambda: weight_fill(50.0, tare=68.0, full=38.0),
        lambda: weight_fill(50.0, tare=38.0, full=math.inf),
    ],
)
def test_an_impossible_bin_is_refused(impossible):
    with pytest.raises(ValueError, match=r"must be|are 0 m"):
        impossible()
