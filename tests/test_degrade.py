"""Degradations: kernels by hand and by slow loops, probabilities by counting, the pool, the pairs.

Shares are compared within five standard deviations of a binomial, at fixed seeds.
"""

import io
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import fft, ndimage, special
from torch import Tensor

from ganzip import degrade
from ganzip.degrade import PAPER, Pool, sized

SMALL = sized(40, 32, pool=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(n: int = 1, size: int = 40, seed: int = 0) -> Tensor:
    """Smooth random colours in [-1, 1], (n, 3, size, size), at 8-bit levels."""
    coarse = torch.rand(n, 3, 8, 8, generator=seeded(seed))
    smooth = degrade.bicubic(coarse, size, size).clamp(0, 1)
    return (smooth * 255).round() / 127.5 - 1


def share_is(hits: int | Tensor, n: int, p: float) -> bool:
    return abs(float(hits) / n - p) <= 5 * math.sqrt(p * (1 - p) / n)


def one(value: float) -> Tensor:
    return torch.tensor([value])


def spy(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """The arguments of every call of a function of the module from now on."""
    calls, function = [], getattr(degrade, name)
    monkeypatch.setattr(degrade, name, lambda *a: calls.append(a) or function(*a))
    return calls


# Kernels ------------------------------------------------------------------------------------------


def slow(size: int, value: Any) -> np.ndarray:
    """A kernel point by point in float64: value(offset vector) over its sum."""
    at = range(-(size // 2), size // 2 + 1)
    kernel = np.array([[value(np.array([x, y], float)) for x in at] for y in at])
    return kernel / kernel.sum()


@pytest.mark.parametrize(("sx", "sy", "angle"), [(2.0, 2.0, 0.3), (3.0, 0.7, 0.5), (0.9, 2.5, -2)])
@pytest.mark.parametrize("beta", [0.5, 1.0, 3.5])
def test_generalised_and_plateau_equal_their_formulas(sx, sy, angle, beta):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([sx**2, sy**2]) @ turn.T)
    q = degrade.ellipse(13, one(sx), one(sy), one(angle))
    for profile, value in (
        (degrade.generalised, lambda v: np.exp(-0.5 * (v @ inverse @ v) ** beta)),
        (degrade.plateau, lambda v: 1 / (1 + (v @ inverse @ v) ** beta)),
    ):
        kernel = degrade.normalised(profile(q, one(beta)), torch.tensor([13]))[0]
        np.testing.assert_allclose(kernel, slow(13, value), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("cutoff", [math.pi / 5, math.pi / 3, math.pi])
def test_sinc_equals_its_formula(cutoff):
    def value(v):
        r = np.hypot(*v) or 1e-6  # the limit at the centre
        return cutoff * special.j1(cutoff * r) / (2 * np.pi * r)

    profile = degrade.sinc(15, one(cutoff))
    assert float(profile[0, 7, 7]) == pytest.approx(cutoff**2 / (4 * math.pi))
    kernel = degrade.normalised(profile, torch.tensor([15]))[0]
    np.testing.assert_allclose(kernel, slow(15, value), atol=1e-6)
    assert kernel.min() < 0  # it rings


def test_smaller_kernels_are_cut_before_they_are_normalised():
    flat = torch.ones(3, 7, 7)
    kernels = degrade.normalised(flat, torch.tensor([1, 3, 7]))
    assert [int((k > 0).sum()) for k in kernels] == [1, 9, 49]
    assert kernels[1, 2:5, 2:5].unique().tolist() == [pytest.approx(1 / 9)]
    assert kernels[0, 3, 3] == 1


def test_blur_is_a_correlation_with_a_mirrored_border_an_image_its_kernel():
    x, kernels = picture(2, 24), torch.rand(2, 5, 3, generator=seeded(1))
    blurred = degrade.blur(x, kernels)
    for i, c in ((0, 0), (1, 2)):
        expected = ndimage.correlate(x[i, c].numpy(), kernels[i].numpy(), mode="mirror")
        np.testing.assert_allclose(blurred[i, c], expected, atol=1e-5)


def test_what_blur_kernels_are_drawn_from(monkeypatch):
    ellipses, bells = spy(monkeypatch, "ellipse"), spy(monkeypatch, "generalised")
    flats, sincs, cuts = (spy(monkeypatch, name) for name in ("plateau", "sinc", "normalised"))
    n = 4000
    kernels = degrade.blur_kernels(n, (0.2, 3.0), seeded(2), PAPER)

    _, sigma_x, sigma_y, angle = ellipses[0]
    assert share_is((sigma_x == sigma_y).sum(), n, 0.45 + 0.12 + 0.12)
    for sigma in (sigma_x, sigma_y):
        assert 0.2 <= sigma.min() < 0.22 and 2.98 < sigma.max() <= 3
        assert share_is((sigma < 1.6).sum(), n, 0.5)
    assert -math.pi <= angle.min() < -3.1 and 3.1 < angle.max() <= math.pi

    beta = bells[0][1]
    assert share_is((beta != 1).sum(), n, 0.12 + 0.03)
    drawn = beta[beta != 1]
    assert 0.5 <= drawn.min() < 0.55 and 3.9 < drawn.max() <= 4
    assert share_is((drawn < 1).sum(), len(drawn), 0.5)

    beta = flats[0][1]
    assert share_is((beta == 1).sum(), n, 0.5)
    assert beta.min() == 1 and 1.98 < beta.max() <= 2
    chosen = ((cuts[0][0] - degrade.plateau(*flats[0])).abs() < 1e-9).all(1).all(1)
    assert share_is(chosen.sum(), n, 0.9 * (0.12 + 0.03))

    sizes, cutoff = cuts[0][1], sincs[0][1]
    assert sorted(sizes.unique().tolist()) == [7, 9, 11, 13, 15, 17, 19, 21]
    assert all(share_is((sizes == size).sum(), n, 1 / 8) for size in range(7, 22, 2))
    assert math.pi / 3 <= cutoff[sizes < 13].min() < 1.1
    assert math.pi / 5 <= cutoff[sizes >= 13].min() < 0.65
    assert 3.13 < cutoff.max() <= math.pi
    rings = (kernels.amin((1, 2)) < 0).sum()
    assert share_is(rings, n, 0.1)


def test_what_the_last_filters_are_drawn_from(monkeypatch):
    sincs = spy(monkeypatch, "sinc")
    n = 4000
    kernels = degrade.sinc_kernels(n, seeded(3), PAPER)
    assert share_is((kernels[:, 10, 10] == 1).sum(), n, 0.2)
    delta = kernels[kernels[:, 10, 10] == 1][0]
    assert delta.count_nonzero() == 1
    cutoff = sincs[0][1]
    assert math.pi / 3 <= cutoff.min() < 1.06 and 3.13 < cutoff.max() <= math.pi


# Sharpening ---------------------------------------------------------------------------------------


def test_sharpening_equals_its_definition():
    x = (picture(1, 60)[0, 0].double().numpy() + 1) / 2
    at = np.arange(51) - 25
    line = np.exp(-(at**2) / (2 * 8.0**2))  # OpenCV: 0.3 ((51 - 1) / 2 - 1) + 0.8 = 8

    def smooth(x):
        return ndimage.correlate(x, np.outer(line, line) / line.sum() ** 2, mode="mirror")

    residual = x - smooth(x)
    soft = smooth((np.abs(residual) * 255 > 10).astype(float))
    expected = soft * np.clip(x + 0.5 * residual, 0, 1) + (1 - soft) * x
    images = torch.from_numpy(2 * x - 1).float().expand(1, 3, 60, 60)
    np.testing.assert_allclose((degrade.sharpen(images)[0, 1] + 1) / 2, expected, atol=1e-4)
    assert np.abs(expected - x).max() > 0.02  # there was something to sharpen


# Noise --------------------------------------------------------------------------------------------


def flags(*grey: bool) -> Tensor:
    return torch.tensor(grey)[:, None, None, None]


def test_gaussian_noise_grey_is_one_field_for_the_batch():
    x = torch.zeros(4, 3, 50, 50)
    noise = degrade.gaussian_noise(x, flags(True, False, True, False), seeded())
    assert torch.equal(noise[0, 0], noise[0, 2]) and torch.equal(noise[0], noise[2])
    assert not torch.equal(noise[1, 0], noise[1, 1]) and not torch.equal(noise[1], noise[3])
    assert noise[1].std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("levels", "photons"), [(1, 1), (2, 2), (3, 4), (5, 8), (64, 64)])
def test_poisson_noise_counts_photons_by_the_levels_of_the_image(levels, photons):
    at = torch.arange(3 * 64 * 64) % levels
    q = ((40 + 2 * at) / 255).reshape(1, 3, 64, 64)
    noise = degrade.poisson_noise(q, flags(False), seeded())
    counts = (noise + q) * photons
    assert (counts - counts.round()).abs().max() < 1e-3
    expected = float(q.mean()) / photons  # variance of Poisson(q photons) / photons
    assert noise.var() == pytest.approx(expected, rel=0.1)
    assert abs(float(noise.mean())) < 5 * math.sqrt(expected / noise.numel())


def test_grey_poisson_noise_is_that_of_the_luminance():
    x = torch.tensor([0.2, 0.6, 0.4])[None, :, None, None].expand(1, 3, 32, 32)
    noise = degrade.poisson_noise(x, flags(True), seeded())
    assert torch.equal(noise[0, 0], noise[0, 1]) and torch.equal(noise[0, 0], noise[0, 2])
    luma = round((0.2989 * 0.2 + 0.587 * 0.6 + 0.114 * 0.4) * 255) / 255
    counts = noise + luma  # one level: one photon
    assert (counts - counts.round()).abs().max() < 1e-5


def test_strength_and_kind_of_noise(monkeypatch):
    x = torch.full((1000, 3, 8, 8), 0.5)
    config = replace(PAPER, gaussian_p=1.0)
    order = replace(PAPER.first, gaussian=(10.0, 30.0))
    noise = degrade.add_noise(x, order, seeded(1), config) - x
    grey = (noise[:, 0] == noise[:, 1]).all(1).all(1)
    assert share_is(grey.sum(), 1000, 0.4)
    # E sigma^2 of U(10, 30) is 400 + 400/12
    assert noise[~grey].var().sqrt() * 255 == pytest.approx(math.sqrt(400 + 400 / 12), rel=0.05)
    assert degrade.add_noise(torch.rand(8, 3, 8, 8), order, seeded(), config).max() <= 1

    gaussian, poisson = spy(monkeypatch, "gaussian_noise"), spy(monkeypatch, "poisson_noise")
    generator = seeded(2)
    for _ in range(600):
        degrade.add_noise(x[:1], PAPER.first, generator, PAPER)
    assert len(gaussian) + len(poisson) == 600 and share_is(len(gaussian), 600, 0.5)


# JPEG ---------------------------------------------------------------------------------------------


def pillow_jpeg(levels: Tensor, quality: int) -> Any:
    """An image of 0..255 through Pillow's JPEG; grey (H, W) or colour (3, H, W)."""
    array = levels.round().byte().numpy()
    file = io.BytesIO()
    image = Image.fromarray(array if array.ndim == 2 else array.transpose(1, 2, 0))
    image.save(file, "JPEG", quality=quality, subsampling=2)
    return Image.open(file)


def test_quantisation_tables_are_those_of_pillow():
    tables = pillow_jpeg(torch.zeros(3, 16, 16), 50).quantization
    assert list(tables[0]) == [q for row in degrade.LUMA for q in row]
    assert list(tables[1]) == [q for row in degrade.CHROMA for q in row]


@pytest.mark.parametrize("quality", [30.0, 77.5])
def test_jpeg_of_a_grey_block_equals_the_cosine_transform(quality):
    x = torch.rand(16, 16, generator=seeded(4))
    strength = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    steps, expected = np.array(degrade.LUMA) * strength, np.empty((16, 16))
    for i in (0, 8):
        for j in (0, 8):
            at = np.s_[i : i + 8, j : j + 8]
            block: Any = fft.dctn(x.double().numpy()[at] * 255 - 128, norm="ortho")
            pixels: Any = fft.idctn(np.round(block / steps) * steps, norm="ortho")
            expected[at] = pixels
    found = degrade.jpeg(x.expand(1, 3, 16, 16), one(quality))[0]
    np.testing.assert_allclose(found[0], np.clip(expected + 128, 0, 255) / 255, atol=2e-5)
    torch.testing.assert_close(found[0], found[2], atol=2e-5, rtol=0)


@pytest.mark.parametrize("tint", [(0, 0, 0), (40, -20, 10), (-30, 5, 50)])
def test_jpeg_agrees_with_pillow(tint):
    """In one tint, for Pillow smooths enlarged chroma; at quality 50 its tables are not rounded."""
    grey = (picture(1, 64)[0, :1] + 1) * 127.5
    colour = (60 + grey / 2).round() + torch.tensor(tint)[:, None, None]
    found = degrade.jpeg(colour[None] / 255, one(50.0))[0] * 255
    decoded = torch.from_numpy(np.asarray(pillow_jpeg(colour, 50)).astype(np.float32))
    # Pillow rounds pixels, and a coefficient near a tie falls on either side.
    difference = (found - decoded.permute(2, 0, 1)).abs()
    assert difference.mean() < 1.5 and difference.max() < 8


def test_jpeg_has_a_quality_an_image_and_pads_what_is_no_multiple_of_16():
    x = (picture(1, 64)[:, :1] + 1) / 2
    x = x[:, :, :50, :37].repeat(2, 3, 1, 1)
    out = degrade.jpeg(x, torch.tensor([30.0, 95.0]))
    assert out.shape == x.shape
    worse, better = (out - x).abs().mean((1, 2, 3))
    assert worse > 2 * better > 0
    torch.testing.assert_close(out[1:], degrade.jpeg(x[1:], one(95.0)))


# The pipeline -------------------------------------------------------------------------------------


def test_degraded_images_are_small_8_bit_and_a_function_of_the_generator():
    images = picture(3, 40)
    before = torch.get_rng_state()
    low = degrade.degrade(images, seeded(5), SMALL)
    assert torch.equal(before, torch.get_rng_state())
    assert low.shape == (3, 3, 10, 10) and low.dtype == torch.float32
    levels = (low + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-4
    assert levels.min() >= 0 and levels.max() <= 255.001
    assert torch.equal(low, degrade.degrade(images, seeded(5), SMALL))
    assert not torch.equal(low, degrade.degrade(images, seeded(6), SMALL))


def test_steps_of_the_pipeline_and_their_coins(monkeypatch):
    log, shapes = [], []

    def record(letter):
        return lambda x, *_: (log.append(letter), shapes.append(tuple(x.shape[2:])), x)[-1]

    for name, letter in {"blur": "B", "add_noise": "N", "jpeg": "J"}.items():
        monkeypatch.setattr(degrade, name, record(letter))
    monkeypatch.setattr(degrade, "sharpen", lambda images, size: images)
    images, generator, n = picture(1, 80), seeded(7), 400
    twice = last = up = down = 0
    for _ in range(n):
        log.clear()
        shapes.clear()
        degrade.degrade(images, generator, PAPER)
        order = "".join(log)
        assert re.fullmatch("BNJ(B?)N(BJ|JB)", order), order
        twice += order.startswith("BNJB")
        last += order.endswith("BJ")
        first, second = shapes[1][0], shapes[-3][0]
        assert 12 <= first <= 120 and int(0.3 * 20) <= second <= 24
        up, down = up + (second > 20), down + (second < 20)
        assert shapes[-1 if order.endswith("JB") else -2] == (20, 20)
    assert share_is(twice, n, 0.8) and share_is(last, n, 0.5)
    # int() rounds 20 scale down: to 20 from scales below 1.05, a quarter of the way up to 1.2.
    assert share_is(up, n, 0.3 * 0.75) and share_is(down, n, 0.4)


def test_scales_of_resizing():
    generator, n = seeded(8), 4000
    for order, p in ((PAPER.first, (0.2, 0.7, 0.1)), (PAPER.second, (0.3, 0.4, 0.3))):
        scales = torch.tensor([degrade._scale(order, generator) for _ in range(n)])
        hits = ((scales > 1).sum(), (scales < 1).sum(), (scales == 1).sum())
        assert all(share_is(h, n, share) for h, share in zip(hits, p, strict=True))
        assert order.scale[0] <= scales.min() < order.scale[0] + 0.01
        assert order.scale[1] - 0.01 < scales.max() <= order.scale[1]
    modes = [degrade._mode(generator) for _ in range(n)]
    assert all(share_is(modes.count(mode), n, 1 / 3) for mode in ("area", "bilinear", "bicubic"))


def test_patches_of_the_paper_need_no_change_and_smaller_ones_only_what_fits():
    assert sized(400, 256) == PAPER
    assert sized(80, 64) == replace(PAPER, patch=80, crop=64)
    assert sized(40, 32).kernels == (7, 11)  # the second blur meets 6x6 maps
    smallest = replace(SMALL.first, resize_p=(0.0, 1.0, 0.0), scale=(0.15, 0.1501))
    config = replace(SMALL, first=smallest, second=replace(SMALL.second, blur_p=1.0))
    assert degrade.degrade(picture(), seeded(), config).isfinite().all()
    for patch, crop, said in ((20, 16, "room for 5x5 kernels"), (42, 32, "multiples"),
                              (40, 44, "multiples")):  # fmt: skip
        with pytest.raises(ValueError, match=f"patch={patch}.*{said}"):
            sized(patch, crop)


# Patches, pairs, pool -----------------------------------------------------------------------------


def test_patches_are_crops_mirrored_half_the_time():
    rows, columns = torch.meshgrid(torch.arange(30), torch.arange(40), indexing="ij")
    photo = torch.stack([rows, columns, rows]).byte()
    generator, mirrored, places = seeded(9), 0, set()
    for _ in range(300):
        square = ((degrade.patch(photo, 24, generator) + 1) * 127.5).round().byte()
        flipped = bool(square[1, 0, 0] > square[1, 0, 1])
        square = square.flip(-1) if flipped else square
        top, left = square[:2, 0, 0].tolist()
        assert torch.equal(square, photo[:, top : top + 24, left : left + 24])
        places.add((top, left))
        mirrored += flipped
    assert share_is(mirrored, 300, 0.5)
    assert {p[0] for p in places} == set(range(7)) and {p[1] for p in places} == set(range(17))


def test_small_photos_are_reflected_and_tiny_ones_refused():
    photo = torch.arange(20).expand(3, 30, 20).byte()
    rows = set()
    for seed in range(20):
        square = ((degrade.patch(photo, 24, seeded(seed)) + 1) * 127.5).round()
        rows.add(tuple(square[0, 0].int().tolist()))
    ahead, back = list(range(20)), list(range(19, -1, -1))
    assert rows == {(*ahead, 18, 17, 16, 15), (*back, 1, 2, 3, 4)}
    with pytest.raises(ValueError, match="a photo is 30x20 pixels, expected more than 20"):
        degrade.patch(photo, 40, seeded())
    with pytest.raises(ValueError, match="expected uint8 .3, H, W.; ganzip.data.photos"):
        degrade.patch(photo[:1], 24, seeded())


def test_cropped_pairs_show_the_same_place():
    high = torch.arange(40 * 48).reshape(1, 1, 40, 48).float()
    low = high[..., ::4, ::4]
    places = set()
    for seed in range(120):
        big, small = degrade.crop_pair(high, low, 32, seeded(seed))
        assert big.shape == (1, 1, 32, 32) and torch.equal(big[..., ::4, ::4], small)
        places.add(float(small[0, 0, 0, 0]))
    assert len(places) == 3 * 5


def ids(*numbers: int) -> tuple[Tensor, Tensor]:
    """Pairs that bear a number in every pixel."""
    levels = torch.tensor(numbers)[:, None, None, None] / 127.5 - 1
    return levels.expand(-1, 3, 32, 32), levels.expand(-1, 3, 8, 8)


def numbers(pair: tuple[Tensor, Tensor]) -> list[int]:
    high, low = ((part[:, 0, 0, 0] + 1) * 127.5 for part in pair)
    assert torch.equal(high, low)  # a pair stays a pair
    return high.round().int().tolist()


def test_the_pool_fills_then_exchanges_old_pairs_for_new():
    pool, generator = Pool(SMALL), seeded(10)
    held: list[int] = []
    for step in range(4):
        fresh = [2 * step, 2 * step + 1]
        assert numbers(pool(*ids(*fresh), generator)) == fresh
        held += fresh
    waits = []
    for step in range(4, 104):
        fresh = [2 * step, 2 * step + 1]
        given = numbers(pool(*ids(*fresh), generator))
        assert len(set(given)) == 2 and set(given) <= set(held)  # nothing of this step
        held = [i for i in held if i not in given] + fresh
        waits += [step - i // 2 for i in given]
    assert sorted(numbers((pool.high / 127.5 - 1, pool.low / 127.5 - 1))) == sorted(held)
    # Each of 8 pairs leaves with probability 1/4 a step: it waits 4 steps on average.
    assert np.mean(waits) == pytest.approx(4, abs=1)


def test_the_pool_is_state_that_a_checkpoint_can_carry():
    pool = Pool(SMALL)
    for step in range(6):
        pool(*ids(2 * step, 2 * step + 1), seeded(step))
    again = Pool(SMALL)
    again.load_state_dict(pool.state_dict())
    fresh = ids(100, 101)
    assert numbers(pool(*fresh, seeded(6))) == numbers(again(*fresh, seeded(6)))
    with pytest.raises(ValueError, match="pool=8, batch 3: expected a pool that is a multiple"):
        pool(*ids(1, 2, 3), seeded())


def test_a_training_batch_is_cropped_pooled_and_sharp_only_in_its_target():
    pool, patches = Pool(SMALL), picture(4, 40)
    seen = [degrade.training_batch(patches, pool, seeded(i), SMALL) for i in range(4)]
    batch = seen[0]
    assert batch.cond.shape == (4, 3, 8, 8)
    assert batch.real is not None and batch.target is not None
    windows = patches[1, 2].unfold(0, 32, 1).unfold(1, 32, 1)
    assert ((windows - batch.real[1, 2]).abs().amax((2, 3)) < 1e-6).sum() == 1
    assert torch.equal(batch.target, degrade.sharpen(batch.real))
    assert not torch.equal(batch.target, batch.real)
    assert int(pool.count) == 8
    earlier = torch.cat([b.cond for b in seen[:2]])
    assert all((earlier == low).flatten(1).all(1).any() for low in seen[2].cond)


# GCFSR --------------------------------------------------------------------------------------------


def test_bicubic_halves_with_matlabs_weights():
    impulse = torch.zeros(1, 1, 1, 32)
    impulse[..., 15] = 1
    row = degrade.bicubic(impulse.expand(1, 1, 8, 32), 8, 16)[0, 0, 0]
    # The cubic with a = -1/2 at 5/4, 1/4, 3/4 and 7/4 is -18, 222, 58 and -6 of 256; two to one.
    expected = torch.zeros(16)
    expected[6:10] = torch.tensor([-9.0, 111, 29, -3]) / 256
    torch.testing.assert_close(row, expected)


def test_gcfsr_input_has_a_factor_an_image_and_8_bit_levels():
    images = picture(3, 64)
    low = degrade.gcfsr_input(images, [4, 16, 4])
    assert low.shape == images.shape
    assert torch.equal(low[2:], degrade.gcfsr_input(images[2:], [4]))
    levels = (low + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-4 and low.abs().max() <= 1
    loss = (low - images).abs().mean((1, 2, 3))
    assert loss[1] > 2 * loss[0]
    flat = torch.full((1, 3, 64, 64), 100 / 127.5 - 1)
    torch.testing.assert_close(degrade.gcfsr_input(flat, [64]), flat)
    for factors in ([4, 4], [4, 4, 7]):
        with pytest.raises(ValueError, match="expected one factor an image that divides"):
            degrade.gcfsr_input(images, factors)


def test_gcfsr_factors_are_drawn_as_published():
    drawn = degrade.draw_factors(4000, seeded(11))
    for factor, p in {64: 0.4, 32: 0.2, 16: 0.2, 8: 0.1, 4: 0.1}.items():
        assert share_is(drawn.count(factor), 4000, p)
    assert set(degrade.draw_factors(50, seeded(), (16, 8))) == {16, 8}
