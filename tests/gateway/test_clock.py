"""Instants: what the kernel says of its clock, asked not too often, and what systemd says instead."""

from gateway.clock import Now, Quality, boot_id, kernel_quality, timesyncd_quality


def test_the_kernel_is_asked_and_answers():
    assert kernel_quality() in (Quality.SYNCHRONIZED, Quality.UNSYNCHRONIZED)


def test_timesyncd_says_whether_it_has_synchronised_since_the_boot(tmp_path):
    assert timesyncd_quality(tmp_path / "absent") is Quality.UNKNOWN
    assert timesyncd_quality(tmp_path) is Quality.UNSYNCHRONIZED
    (tmp_path / "synchronized").touch()
    assert timesyncd_quality(tmp_path) is Quality.SYNCHRONIZED


def test_the_quality_is_asked_once_in_a_period_and_then_again():
    times, answers = iter([0.0, 4.9, 5.0]), iter([Quality.UNSYNCHRONIZED, Quality.SYNCHRONIZED])
    now = Now(wall=lambda: 7.0, monotonic=lambda: next(times), quality=lambda: next(answers), boot="b")
    first, second, third = now(), now(), now()
    assert (first.time, first.mono, first.boot) == (7.0, 0.0, "b")
    assert [each.clock for each in (first, second, third)] == [
        "unsynchronized",
        "unsynchronized",
        "synchronized",
    ]


def test_the_boot_has_an_id_that_stays():
    assert boot_id() == boot_id() != "unknown"
