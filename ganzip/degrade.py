"""Low-resolution images for super-resolution: the degradations of Real-ESRGAN and of GCFSR.

Wang et al., "Real-ESRGAN", arXiv:2107.10833: two rounds of blur, resize, noise and JPEG, a sinc
filter, and a pool of training pairs; the numbers are those of the released x4plus options. He et
al., "GCFSR", arXiv:2203.07319: bicubic, antialiased, down and up again.

Images are float RGB (N, 3, H, W) in [-1, 1]; functions that name their argument ``x`` take [0, 1],
in which the recipe's numbers are meant. All randomness comes from the generator that is handed in:
seed it by (seed, step), and a step's degradation is a function of both. It may stay on the CPU
while the images do not; what is drawn is then the same on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ganzip.device import computing
from ganzip.train import Batch

Range = tuple[float, float]  # lowest and highest value, drawn uniformly
MODES = ("area", "bilinear", "bicubic")  # of resizing, equally often, none of them antialiased
GCFSR_FACTORS = (64, 64, 64, 64, 32, 32, 16, 16, 8, 4)  # each equally often, for 1024-pixel faces


@dataclass(frozen=True, kw_only=True)
class Order:
    """The numbers in which the two rounds differ."""

    blur_p: float  # whether a batch is blurred
    sigma: Range  # of the blur, along each axis, pixels
    resize_p: tuple[float, float, float]  # up, down, keep; drawn for the batch
    scale: Range  # down to the first, up to the second; the other end is 1
    gaussian: Range  # sigma of Gaussian noise, of 255
    poisson: Range  # what Poisson noise is multiplied by


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """Real-ESRGAN's degradation in numbers; the defaults are the released ones."""

    first: Order = Order(
        blur_p=1.0, sigma=(0.2, 3.0), resize_p=(0.2, 0.7, 0.1), scale=(0.15, 1.5),
        gaussian=(1.0, 30.0), poisson=(0.05, 3.0),
    )  # fmt: skip
    second: Order = Order(
        blur_p=0.8, sigma=(0.2, 1.5), resize_p=(0.3, 0.4, 0.3), scale=(0.3, 1.2),
        gaussian=(1.0, 25.0), poisson=(0.05, 2.5),
    )  # fmt: skip
    factor: int = 4  # sides of the image over sides of the answer
    kernels: tuple[int, int] = (7, 21)  # smallest and largest kernel; the odd sizes equally often
    # Isotropic and anisotropic Gaussians, the same generalised, the same with a plateau.
    families: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    generalised: Range = (0.5, 4.0)  # beta, below 1 half the time
    plateau: Range = (1.0, 2.0)  # beta, likewise: 1 half the time
    sinc_p: float = 0.1  # a sinc filter in place of these families
    sinc_wide: int = 13  # sinc filters from this size on cut from pi/5, smaller ones from pi/3
    final_sinc_p: float = 0.8  # a sinc filter at the end
    gaussian_p: float = 0.5  # Gaussian noise, else Poisson; drawn for the batch
    grey_p: float = 0.4  # noise equal in the three channels
    jpeg: Range = (30.0, 95.0)  # quality
    jpeg_last_p: float = 0.5  # JPEG after the last resize and sinc, else before; for the batch
    usm: int = 51  # size of the Gaussian that sharpens, odd
    patch: int = 400  # pixels of what is degraded
    crop: int = 256  # pixels of what is kept of it: blur sees no border there
    pool: int = 180  # pairs in the training-pair pool, a multiple of the batch


PAPER = Degradation()


def sized(patch: int, crop: int, pool: int = PAPER.pool) -> Degradation:
    """``PAPER`` for smaller patches: kernels shrink where a reflected border forces it, only there.

    Raises ValueError where not even the smallest kernel fits the smallest map.
    """
    low, high = PAPER.kernels
    fits = 2 * _smallest(patch, PAPER) - 1
    if fits < low:
        raise ValueError(f"patch={patch}: room for {fits}x{fits} kernels, expected {low} or more")
    if patch % PAPER.factor or crop % PAPER.factor or crop > patch:
        found = f"patch={patch}, crop={crop}"
        raise ValueError(f"{found}: expected multiples of {PAPER.factor}, crop no larger")
    return replace(PAPER, patch=patch, crop=crop, pool=pool, kernels=(low, min(high, fits)))


def _smallest(side: int, config: Degradation) -> int:
    """The shorter side of the smallest map that a kernel meets."""
    return min(int(side * config.first.scale[0]), side // config.factor)


# From photos to training batches ------------------------------------------------------------------


def patch(photo: Tensor, size: int, generator: Generator) -> Tensor:
    """A random square of a uint8 photo (3, H, W), mirrored half the time: (3, size, size) float.

    Photos that are too small are continued by reflection at the right and at the bottom.
    """
    if photo.dtype != torch.uint8 or photo.ndim != 3 or photo.shape[0] != 3:
        found = f"a photo is {photo.dtype} {tuple(photo.shape)}"
        raise ValueError(f"{found}, expected uint8 (3, H, W); ganzip.data.photos() converts")
    if 2 * min(photo.shape[1:]) <= size:
        found = f"a photo is {photo.shape[1]}x{photo.shape[2]} pixels"
        raise ValueError(f"{found}, expected more than {size // 2}; leave it out, or enlarge it")
    missing = [max(0, size - side) for side in photo.shape[1:]]
    image = photo.float() / 127.5 - 1
    if _chance(0.5, generator):
        image = image.flip(-1)
    image = F.pad(image[None], (0, missing[1], 0, missing[0]), mode="reflect")[0]
    top, left = (_below(side - size + 1, generator) for side in image.shape[1:])
    return image[:, top : top + size, left : left + size]


@torch.no_grad()
def training_batch(
    patches: Tensor, pool: Pool, generator: Generator, config: Degradation = PAPER
) -> Batch:
    """Degrade patches, crop, exchange with the pool: cond = low, real = high, target = sharp high.

    What is sharpened is what comes out of the pool; the discriminator's real images stay unsharp.
    """
    high, low = crop_pair(patches, degrade(patches, generator, config), config.crop, generator)
    high, low = pool(high, low, generator)
    return Batch(cond=low, real=high, target=sharpen(high, config.usm))


def crop_pair(high: Tensor, low: Tensor, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """The same random square of both, ``size`` pixels of ``high``, one place for the batch."""
    factor = high.shape[-1] // low.shape[-1]
    small = size // factor
    top, left = (_below(side - small + 1, generator) for side in low.shape[-2:])
    low = low[..., top : top + small, left : left + small]
    top, left = top * factor, left * factor
    return high[..., top : top + size, left : left + size], low


class Pool(nn.Module):
    """The training-pair pool: a batch made of pairs from many steps, hence of many degradations.

    Without it all images of a batch share what is drawn once for the batch. Its pairs, in 8 bits,
    are buffers, for they are part of a run's state: hand it to a run beside the networks.
    """

    high: Tensor
    low: Tensor
    count: Tensor

    def __init__(self, config: Degradation = PAPER):
        super().__init__()
        size, small = config.crop, config.crop // config.factor
        self.register_buffer("high", torch.zeros(config.pool, 3, size, size, dtype=torch.uint8))
        self.register_buffer("low", torch.zeros(config.pool, 3, small, small, dtype=torch.uint8))
        self.register_buffer("count", torch.tensor(0))
        self.pairs = 0  # as count, but known without asking the device
        self.register_load_state_dict_post_hook(lambda pool, _: pool._loaded())

    def _loaded(self) -> None:
        self.pairs = int(self.count)

    def forward(self, high: Tensor, low: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Take pairs in, give pairs out: the same until the pool is full, then random old ones."""
        n, size, count = len(high), len(self.high), self.pairs
        if size % n:
            raise ValueError(f"pool={size}, batch {n}: expected a pool that is a multiple of it")
        high, low = _levels(high).byte(), _levels(low).byte()
        if count < size:
            self.high[count : count + n], self.low[count : count + n] = high, low
            self.count += n
            self.pairs += n
        else:
            slots = torch.randperm(size, generator=generator, device=generator.device)[:n]
            slots = slots.to(self.high.device)
            old = self.high[slots], self.low[slots]
            self.high[slots], self.low[slots] = high, low
            high, low = old
        return high / 127.5 - 1, low / 127.5 - 1


def _levels(images: Tensor) -> Tensor:
    """The 8-bit levels, 0..255, of images in [-1, 1]."""
    return ((images + 1) * 127.5).round().clamp(0, 255)


# The pipeline -------------------------------------------------------------------------------------


@torch.no_grad()
def degrade(images: Tensor, generator: Generator, config: Degradation = PAPER) -> Tensor:
    """Sharpened, then degraded: (N, 3, H, W) -> (N, 3, H/factor, W/factor), at 8-bit levels.

    Real-ESRGAN, sections 3.2 to 3.4. Kernels, strength of noise and JPEG quality are drawn for each
    image, the coins, the scales and modes of resizing for the batch. Raises ValueError.
    """
    _check(images, config)
    n, (height, width), g = len(images), images.shape[-2:], generator
    height, width = height // config.factor, width // config.factor
    first, second = config.first, config.second

    with computing(images.device):  # tf32 would move one pixel in fifty to another grey level
        x = (sharpen(images, config.usm) + 1) / 2
        if _chance(first.blur_p, g):
            x = blur(x, blur_kernels(n, first.sigma, g, config))
        x = F.interpolate(x, scale_factor=_scale(first, g), mode=_mode(g))
        x = add_noise(x, first, g, config)
        x = jpeg(x, _uniform(n, config.jpeg, g))

        if _chance(second.blur_p, g):
            x = blur(x, blur_kernels(n, second.sigma, g, config))
        scale = _scale(second, g)
        x = F.interpolate(x, (int(height * scale), int(width * scale)), mode=_mode(g))
        x = add_noise(x, second, g, config)

        kernels, quality = sinc_kernels(n, g, config), _uniform(n, config.jpeg, g)
        if _chance(config.jpeg_last_p, g):
            x = blur(F.interpolate(x, (height, width), mode=_mode(g)), kernels)
            x = jpeg(x, quality)
        else:
            x = jpeg(x, quality)
            x = blur(F.interpolate(x, (height, width), mode=_mode(g)), kernels)
        return _levels(2 * x - 1) / 127.5 - 1


def _check(images: Tensor, config: Degradation) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        found = f"images are {images.dtype} {tuple(images.shape)}"
        raise ValueError(f"{found}, expected float (N, 3, H, W) in [-1, 1]; convert them to RGB")
    found = f"images are {images.shape[2]}x{images.shape[3]} pixels"
    if any(side % config.factor for side in images.shape[2:]):
        raise ValueError(f"{found}, expected multiples of {config.factor}; crop them")
    side, reach = min(images.shape[2:]), config.kernels[1] // 2
    if _smallest(side, config) <= reach or side <= config.usm // 2:
        found += f" and meet kernels of {config.kernels[1]} and {config.usm}"
        raise ValueError(f"{found}, expected larger images; or take sized({side}, ...)")


def _scale(order: Order, generator: Generator) -> float:
    low, high = order.scale
    ranges = ((1.0, high), (low, 1.0), (1.0, 1.0))
    p = torch.tensor(order.resize_p, device=generator.device)
    kind = int(torch.multinomial(p, 1, generator=generator))
    return float(_uniform(1, ranges[kind], generator))


def _mode(generator: Generator) -> str:
    return MODES[_below(len(MODES), generator)]


def _uniform(n: int, limits: Range, generator: Generator) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def _chance(p: float, generator: Generator) -> bool:
    return bool(_uniform(1, (0, 1), generator) < p)


def _below(n: int, generator: Generator) -> int:
    return int(torch.randint(n, (1,), generator=generator, device=generator.device))


# Blur: profiles (N, K, K) around the centre, and the kernels that they become ---------------------


def ellipse(size: int, sigma_x: Tensor, sigma_y: Tensor, angle: Tensor) -> Tensor:
    """q = v' Sigma^-1 v of the offsets v from the centre, Sigma = R diag(sx^2, sy^2) R': (N, K, K).

    ``angle`` in radians turns the x axis towards the y axis. exp(-q/2) is a Gaussian.
    """
    sigma_x, sigma_y, angle = (t[:, None, None] for t in (sigma_x, sigma_y, angle))
    y, x = _offsets(size, angle.device)
    along = x * angle.cos() + y * angle.sin()
    across = y * angle.cos() - x * angle.sin()
    return (along / sigma_x) ** 2 + (across / sigma_y) ** 2


def generalised(q: Tensor, beta: Tensor) -> Tensor:
    """exp(-q^beta / 2), the generalised Gaussian: beta (N,), at 1 a Gaussian."""
    return torch.exp(-0.5 * q ** beta[:, None, None])


def plateau(q: Tensor, beta: Tensor) -> Tensor:
    """1 / (1 + q^beta), flat around its centre: beta (N,)."""
    return 1 / (1 + q ** beta[:, None, None])


def sinc(size: int, cutoff: Tensor) -> Tensor:
    """w J1(w r) / (2 pi r), the circular low-pass filter that rings: cutoff w (N,), radians."""
    cutoff = cutoff[:, None, None]
    y, x = _offsets(size, cutoff.device)
    z = cutoff * (x**2 + y**2).sqrt()
    centre = z == 0  # where J1(z) / z tends to 1/2
    ratio = torch.where(centre, 0.5, torch.special.bessel_j1(z) / z.masked_fill(centre, 1))
    return cutoff**2 * ratio / (2 * math.pi)


def normalised(profile: Tensor, sizes: Tensor) -> Tensor:
    """The kernels that sum to 1 and are 0 outside the middle ``sizes`` (N,) of K pixels."""
    y, x = _offsets(profile.shape[-1], profile.device)
    kernels = profile * (torch.maximum(x.abs(), y.abs()) <= sizes[:, None, None] // 2)
    return kernels / kernels.sum((1, 2), keepdim=True)


def blur_kernels(n: int, sigma: Range, generator: Generator, config: Degradation) -> Tensor:
    """Kernels of the six families and of sinc, (n, K, K), K the largest size of ``config``."""
    g, size, sizes = generator, config.kernels[1], _sizes(n, generator, config)
    p = torch.tensor(config.families, device=g.device)
    family = torch.multinomial(p, n, replacement=True, generator=g)
    shape, turned = family // 2, family % 2 == 1
    sigma_x, sigma_y = _uniform(n, sigma, g), _uniform(n, sigma, g)
    angle = _uniform(n, (-math.pi, math.pi), g)
    q = ellipse(size, sigma_x, torch.where(turned, sigma_y, sigma_x), angle)
    ones = torch.ones(n, device=g.device)
    bell = generalised(q, torch.where(shape == 1, _beta(n, config.generalised, g), ones))
    profile = torch.where(
        (shape == 2)[:, None, None], plateau(q, _beta(n, config.plateau, g)), bell
    )
    lowest = torch.where(sizes < config.sinc_wide, math.pi / 3, math.pi / 5)
    cutoff = lowest + (math.pi - lowest) * _uniform(n, (0, 1), g)
    rings = _uniform(n, (0, 1), g) < config.sinc_p
    return normalised(torch.where(rings[:, None, None], sinc(size, cutoff), profile), sizes)


def sinc_kernels(n: int, generator: Generator, config: Degradation) -> Tensor:
    """The last filters, (n, K, K): sinc, or the one that changes nothing."""
    rings = _uniform(n, (0, 1), generator) < config.final_sinc_p
    cutoff = _uniform(n, (math.pi / 3, math.pi), generator)
    sizes = torch.where(rings, _sizes(n, generator, config), 1)
    return normalised(sinc(config.kernels[1], cutoff), sizes)


def blur(x: Tensor, kernels: Tensor) -> Tensor:
    """Each image filtered with its kernel (N, K, K) or (N, K, L), the border reflected."""
    n, c, height, width = x.shape
    tall, wide = kernels.shape[-2] // 2, kernels.shape[-1] // 2
    padded = F.pad(x, (wide, wide, tall, tall), mode="reflect")
    weight = kernels.to(x).repeat_interleave(c, 0)[:, None]
    return F.conv2d(padded.flatten(0, 1)[None], weight, groups=n * c).view(n, c, height, width)


def sharpen(images: Tensor, size: int = PAPER.usm) -> Tensor:
    """Unsharp masking of images in [-1, 1], where they differ from their blur by over 10 of 255.

    The blur is Gaussian, ``size`` pixels, with the sigma that OpenCV derives from a size.
    """
    sigma = torch.tensor([0.3 * ((size - 1) * 0.5 - 1) + 0.8], device=images.device)
    at = torch.arange(size, device=images.device) - size // 2
    line = torch.exp(-0.5 * (at / sigma) ** 2)
    line = (line / line.sum()).expand(len(images), 1, size)

    def smooth(x: Tensor) -> Tensor:
        return blur(blur(x, line), line.mT)

    residual = images - smooth(images)
    soft = smooth((residual.abs() * 127.5 > 10).to(images))
    sharp = (images + 0.5 * residual).clamp(-1, 1)
    return soft * sharp + (1 - soft) * images


def _offsets(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    at = torch.arange(size, device=device, dtype=torch.float32) - size // 2
    return at[:, None], at[None, :]


def _sizes(n: int, generator: Generator, config: Degradation) -> Tensor:
    low, high = config.kernels
    steps = (high - low) // 2 + 1
    return low + 2 * torch.randint(steps, (n,), generator=generator, device=generator.device)


def _beta(n: int, limits: Range, generator: Generator) -> Tensor:
    below = _uniform(n, (limits[0], 1.0), generator)
    above = _uniform(n, (1.0, limits[1]), generator)
    return torch.where(_uniform(n, (0, 1), generator) < 0.5, below, above)


# Noise --------------------------------------------------------------------------------------------


def add_noise(x: Tensor, order: Order, generator: Generator, config: Degradation) -> Tensor:
    """Gaussian or Poisson noise, a strength and a choice of grey or colour an image; clamped."""
    n, g = len(x), generator
    grey = (_uniform(n, (0, 1), g) < config.grey_p).to(x.device)[:, None, None, None]
    gaussian = _chance(config.gaussian_p, g)
    strength = _uniform(n, order.gaussian if gaussian else order.poisson, g)
    noise = gaussian_noise(x, grey, g) / 255 if gaussian else poisson_noise(x, grey, g)
    return (x + strength.to(x)[:, None, None, None] * noise).clamp(0, 1)


def gaussian_noise(x: Tensor, grey: Tensor, generator: Generator) -> Tensor:
    """N(0, 1) like ``x``; where ``grey`` (N, 1, 1, 1), one field for all; see poisson_noise."""
    here = generator if generator.device == x.device else None

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=here, device=x.device, dtype=x.dtype)

    return torch.where(grey, normal(*x.shape[2:]), normal(*x.shape))


def poisson_noise(x: Tensor, grey: Tensor, generator: Generator) -> Tensor:
    """Shot noise like ``x``; where ``grey`` (N, 1, 1, 1), that of the luminance in all channels.

    An image of v different 8-bit levels counts 2^ceil(log2 v) photons at white. Images on a device
    that is not the generator's stay there, and draw from the device's own.
    """
    here = generator if generator.device == x.device else None
    red, green, blue = x.split(1, 1)
    luma = 0.2989 * red + 0.587 * green + 0.114 * blue

    def shot(x: Tensor) -> Tensor:
        levels = (x * 255).round().clamp(0, 255)
        seen = torch.zeros(len(x), 256, device=x.device)
        seen.scatter_(1, levels.flatten(1).long(), 1)
        photons = 2 ** seen.sum(1).log2().ceil()[:, None, None, None]
        return torch.poisson(levels / 255 * photons, generator=here) / photons - levels / 255

    return torch.where(grey, shot(luma), shot(x))


# JPEG ---------------------------------------------------------------------------------------------

TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
# The quantisation tables of the standard, ITU-T T.81, annex K, at quality 50.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)  # fmt: skip


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """What JPEG leaves of images, one quality (N,) in 1..100 each; 4:2:0, clamped before and after.

    As in the released code all in floats: quality and tables are not rounded, borders are padded
    with black to multiples of 16, chroma is enlarged by repetition.
    """
    height, width = x.shape[-2:]
    x = F.pad(x.clamp(0, 1) * 255, (0, -width % 16, 0, -height % 16))
    quality = quality.to(x)[:, None, None, None, None, None]
    strength = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    ycc = torch.einsum("dc,nchw->ndhw", x.new_tensor(TO_YCC), x)
    luma = _quantised(ycc[:, :1] - 128, x.new_tensor(LUMA), strength) + 128
    chroma = _quantised(F.avg_pool2d(ycc[:, 1:], 2), x.new_tensor(CHROMA), strength)
    ycc = torch.cat([luma, F.interpolate(chroma, scale_factor=2.0)], 1)
    rgb = torch.einsum("dc,nchw->ndhw", x.new_tensor(TO_RGB), ycc)
    return rgb[..., :height, :width].clamp(0, 255) / 255


def _quantised(x: Tensor, table: Tensor, strength: Tensor) -> Tensor:
    """Blocks of 8x8 pixels to the cosine transform, rounded in steps of the table, and back."""
    at = torch.arange(8, device=x.device)
    cosines = torch.cos((2 * at + 1) * at[:, None] * math.pi / 16) / 2  # (frequency, pixel)
    cosines[0] /= math.sqrt(2)
    blocks = x.unflatten(2, (-1, 8)).unflatten(4, (-1, 8)).transpose(3, 4)  # n c rows columns 8 8
    steps = table * strength
    blocks = (cosines @ blocks @ cosines.T / steps).round() * steps
    return (cosines.T @ blocks @ cosines).transpose(3, 4).flatten(4, 5).flatten(2, 3)


# GCFSR --------------------------------------------------------------------------------------------


def gcfsr_input(images: Tensor, factors: Sequence[int]) -> Tensor:
    """Images reduced by a factor each, enlarged again and rounded to 8 bits: what GCFSR is given.

    GCFSR, section 4.1. Sizes must be multiples of the factors; raises ValueError.
    """
    height, width = images.shape[-2:]
    if len(factors) != len(images) or any(height % f or width % f for f in factors):
        found = f"factors={list(factors)} for {len(images)} images of {height}x{width} pixels"
        raise ValueError(f"{found}: expected one factor an image that divides its sides")
    each = zip(images.split(1), factors, strict=True)
    small = [bicubic(image, height // factor, width // factor) for image, factor in each]
    return _levels(torch.cat([bicubic(image, height, width) for image in small])) / 127.5 - 1


def bicubic(images: Tensor, height: int, width: int) -> Tensor:
    """Antialiased bicubic resizing, a = -1/2: MATLAB's away from the border, and Pillow's."""
    if images.is_cuda and images.shape[-1] > 40 * width:  # CUDA has no room for so many taps
        return bicubic(images.cpu(), height, width).to(images.device)
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True)


def draw_factors(n: int, generator: Generator, factors: Sequence[int] = GCFSR_FACTORS) -> list[int]:
    """One factor for each of n images, drawn from the list."""
    return [factors[_below(len(factors), generator)] for _ in range(n)]
