import math

import pytest
import torch

from ganzip.metrics import params
from ganzip.nets.dcgan import Discriminator, FromNoise, Generator
from ganzip.nets.width import scaled

PRINTED = {  # table 1 of paper A
    2: 28_351, 4: 62_077, 8: 145_657, 16: 377_329, 32: 1_098_721, 48: 2_164_177,
    64: 3_573_697, 128: 12_652_417, 256: 47_324_929,
}  # fmt: skip


@pytest.mark.parametrize(("d", "count"), PRINTED.items())
def test_generator_has_the_printed_number_of_parameters(d, count):
    assert params(Generator(d)) == count
    assert params(Generator(d, channels=3)) == count + 32 * d + 2


@pytest.mark.parametrize(("d", "count"), {8: 44_281, 64: 2_762_689, 128: 11_030_401}.items())
def test_discriminator_mirrors_the_generator(d, count):
    assert params(Discriminator(d)) == count


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range(size, channels):
    G = Generator(3, channels=channels, size=size, latent=7)
    images = G(torch.randn(5, 7))
    assert images.shape == (5, channels, size, size)
    assert images.abs().max() <= 1
    assert Discriminator(3, channels=channels, size=size)(images).shape == (5,)


def test_smaller_images_keep_the_formula():
    for d in (2, 16):
        assert params(Generator(d, size=32)) == 160 * d * d + 6423 * d + 1
        assert params(Generator(d, size=16)) == 32 * d * d + 3219 * d + 1


@pytest.mark.parametrize("size", [0, 4, 48, 65])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}; expected a power of two"):
        Generator(4, size=size)
    with pytest.raises(ValueError, match="d is 0"):
        Discriminator(0)


def test_from_noise_is_a_transposed_convolution():
    fast, z = FromNoise(5, 3), torch.randn(4, 5, 1, 1)
    slow = torch.nn.functional.conv_transpose2d(z, fast.weight, fast.bias)
    assert torch.allclose(fast(z), slow, atol=1e-6)


def test_convolutions_start_as_dcgan_says():
    weight = dict(Generator(32).named_parameters())["stages.1.0.weight"]
    assert abs(weight.std().item() - 0.02) < 1e-3


# Widths to channels -------------------------------------------------------------------------------


def test_truncation_and_ceiling():
    assert scaled(64, 0.3, math.trunc) == 19 and scaled(64, 0.3, math.ceil) == 20
    assert scaled(64, 0.001, math.ceil) == 1
    assert [scaled(32, 1 / 2**i, math.trunc) for i in range(4)] == [32, 16, 8, 4]


def test_whole_products_stay_whole():
    # 100 * 0.29 falls below 29 in binary and 100 * 0.07 above 7.
    assert scaled(100, 0.29, math.trunc) == 29
    assert scaled(100, 0.07, math.ceil) == 7


@pytest.mark.parametrize("width", [0.0, -0.5, 0.015])
def test_a_network_without_channels_is_refused(width: float):
    with pytest.raises(ValueError, match=f"width is {width}; expected .* 1 or more of 64 channels"):
        scaled(64, width, math.trunc)
