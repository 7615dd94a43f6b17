"""Widths to channels: one helper, two roundings."""

import math

import pytest

from ganzip.nets.width import scaled


def test_truncation_and_ceiling():
    assert scaled(64, 0.3, math.trunc) == 19 and scaled(64, 0.3, math.ceil) == 20
    assert [scaled(32, 1 / 2**i, math.trunc) for i in range(4)] == [32, 16, 8, 4]


def test_whole_products_stay_whole():
    # 100 * 0.29 falls below 29 in binary and 100 * 0.07 above 7.
    assert scaled(100, 0.29, math.trunc) == 29
    assert scaled(100, 0.07, math.ceil) == 7


@pytest.mark.parametrize("width", [0.0, -0.5, 0.015])
def test_a_network_without_channels_is_refused(width: float):
    with pytest.raises(ValueError, match=f"width is {width}; expected .* 1 or more of 64 channels"):
        scaled(64, width, math.trunc)


def test_ceiling_leaves_one_channel():
    assert scaled(64, 0.001, math.ceil) == 1
