"""GCFSR: the lean network beside a slow one written from the definition."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganzip.metrics import params
from ganzip.nets.gcfsr import Discriminator, Generator, condition
from ganzip.nets.stylegan2 import stored_noise
from ganzip.taps import taps

WIDTHS = (1, 1 / 2, 1 / 4, 1 / 8)
SIZES = {  # pixels of the output: parameters of G and D at each width
    1024: ((66668706, 24790114, 10261698, 4600210), (29007905, 7253777, 1814345, 454037)),
    512: ((62352925, 22645533, 9192349, 4065885), (28978241, 7246369, 1812497, 453577)),
    256: ((57806104, 20426904, 8096344, 3520824), (28859521, 7216705, 1805089, 451729)),
    128: ((52465427, 17977235, 6926291, 2949107), (28384513, 7097985, 1775425, 444321)),
    64: ((44209934, 14733710, 5525198, 2303342), (26484225, 6622977, 1656705, 414657)),
}


def small(size=64, width=1.0):
    G = Generator(size, base=256, cap=8, latent=6, width=width).double()
    with torch.no_grad():  # no parameter at a value, such as 0, that would hide a mistake
        for p in G.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return G


def faces(n, size=64):
    in_size = torch.tensor([1.0, 0.5, 0.0625]).double()[:n]
    return condition(torch.randn(n, 3, size, size, dtype=torch.double), in_size)


# The definition, one sample at a time -------------------------------------------------------------


def fir(x, pad, *, up=1, gain=1.0):
    c, h, w = x.shape
    spaced = x.new_zeros(c, 1, h * up, w * up)
    spaced[:, 0, ::up, ::up] = x
    row = x.new_tensor([1, 3, 3, 1]) / 8
    kernel = gain * torch.outer(row, row)[None, None]
    return F.conv2d(F.pad(spaced, (pad[0], pad[1], pad[0], pad[1])), kernel)[:, 0]


def lrelu(x):
    return math.sqrt(2) * torch.where(x > 0, x, 0.2 * x)


def conv(layer, x, down=False):
    weight = layer.weight / math.sqrt(layer.weight[0].numel())
    if down:
        return F.conv2d(fir(x, (2, 2)), weight, layer.bias, stride=2)
    return F.conv2d(x, weight, layer.bias, padding=1)


def dense(layer, x):
    return layer.weight @ x / math.sqrt(len(x)) + layer.bias


def modulated(layer, x, w, *, up=False, demodulate=True):
    weight = layer.weight / math.sqrt(layer.weight[0].numel())
    weight = weight * dense(layer.affine, w)[:, None, None]
    if demodulate:
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    if up:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return fir(y, (1, 1), gain=4)
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


def slow(G, x, in_size):
    features = {}
    for i, (name, layer) in enumerate(G.encoder.named_children()):
        x = features[name] = lrelu(conv(layer, x, down=i > 0))
    s = x
    for layer in G.style[:2]:
        s = lrelu(conv(layer, s, down=True))
    ws = iter(lrelu(dense(G.style[3], s.flatten())).reshape(-1, 6))
    x, image, w = lrelu(conv(G.start, x)), x.new_zeros(3, 8, 8), next(ws)
    for name, block in G.decoder.named_children():
        if block.conv0 is not None:
            layer = block.conv0
            x = modulated(layer, x, w, up=True) + layer.noise_strength * layer.noise_const
            x, w = lrelu(x + layer.bias[:, None, None]), next(ws)
        layer = block.conv1
        own, encoded = dense(layer.own, in_size), dense(layer.encoded, in_size)
        norm = (own.square() + encoded.square() + 1e-8).sqrt()
        x = modulated(layer, x, w) + layer.noise_strength * layer.noise_const
        x = (own / norm)[:, None, None] * x
        x = x + (encoded / norm)[:, None, None] * conv(layer.shift, features[name])
        x, w = lrelu(x + layer.bias[:, None, None]), next(ws)
        rgb = modulated(block.torgb, x, w, demodulate=False) + block.torgb.bias[:, None, None]
        image = rgb + fir(image, (2, 1), up=2, gain=4)
    assert next(ws, None) is None  # every style is used
    return image


def test_generator_is_the_definition_with_its_gradients():
    G, cond = small(), faces(3)
    with stored_noise(G):
        fast = G(cond)
    sizes = cond[:, 3, 0, :1]
    reference = torch.stack([slow(G, x, s) for x, s in zip(cond[:, :3], sizes, strict=True)])
    torch.testing.assert_close(fast, reference, rtol=1e-6, atol=1e-7)
    y, every = torch.randn_like(fast), list(G.parameters())
    a, b = (torch.autograd.grad((image * y).sin().sum(), every) for image in (fast, reference))
    for (name, _), one, other in zip(G.named_parameters(), a, b, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
        assert one.abs().max() > 0, name


# Numbers and behaviour ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_parameters(size):
    with torch.device("meta"):
        found = [[params(net(size, width=w)) for w in WIDTHS] for net in (Generator, Discriminator)]
    assert tuple(map(tuple, found)) == SIZES[size]


def test_widths_are_truncated():
    G = Generator(32, base=256, cap=10, latent=6, width=0.55)
    assert G.start.weight.shape[0] == 5
    assert G.get_parameter("style.1.weight").shape[0] == 2
    D = Discriminator(32, base=256, cap=10, width=0.55)
    assert D.fromrgb.weight.shape[0] == 4


def test_condition_is_images_and_a_plane():
    images = torch.randn(2, 3, 4, 4)
    cond = condition(images, torch.tensor([[1.0], [0.5]], dtype=torch.double))
    assert cond.dtype == torch.float32 and torch.equal(cond[:, :3], images)
    assert torch.equal(cond[:, 3], torch.tensor([1.0, 0.5])[:, None, None].expand(2, 4, 4))


def test_extra_layers_deepen_every_resolution():
    plain, deep = (Generator(64, base=512, cap=8, latent=8, extra=n) for n in (0, 2))
    assert set(plain.state_dict()) < set(deep.state_dict())
    added = {k.split(".")[1] for k in set(deep.state_dict()) - set(plain.state_dict())}
    assert added == {"b16", "b32", "b64"}
    assert deep(torch.zeros(2, 4, 64, 64)).shape == (2, 3, 64, 64)
    with taps(deep, ["decoder.b64.extra.1", "decoder.b64.conv1"]) as seen:
        deep(torch.zeros(1, 4, 64, 64))
    assert seen["decoder.b64.extra.1"].shape == seen["decoder.b64.conv1"].shape
