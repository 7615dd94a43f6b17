"""StyleGAN2: the lean network beside its layers by definition; wiring is in test_checkpoints."""

import math
from typing import cast

import pytest
import torch
import torch.nn.functional as F

from benchmarks import slow
from ganzip.metrics import params
from ganzip.nets.stylegan2 import (
    Discriminator,
    Fir,
    Generator,
    Mapping,
    macs_a,
    minibatch_std,
    stored_noise,
)


def small_generator(size=16, width=1.0):
    return Generator(size, base=64, cap=8, latent=6, layers=2, width=width).double().eval()


def small_discriminator(size=16, group=2, width=1.0):
    return Discriminator(size, base=64, cap=8, group=group, width=width).double()


def shaken(net):
    """No parameter at a value, such as 0, that would hide a mistake."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net


def same(one, other, name=""):
    torch.testing.assert_close(
        one, other, rtol=1e-9, atol=1e-11, msg=lambda text: f"{name}: {text}"
    )


def same_gradients(scalars, nets):
    pairs = [
        torch.autograd.grad(f, [*net.parameters()], retain_graph=True, materialize_grads=True)
        for f, net in zip(scalars, nets, strict=True)
    ]
    for (name, _), a, b in zip(nets[0].named_parameters(), *pairs, strict=True):
        same(a, b, name)
    assert any(a.abs().max() > 0 for a in pairs[0])


def test_generator_is_the_definition_to_the_second_order():
    G = shaken(small_generator())
    ws = torch.randn(3, G.synthesis.num_ws, 6, dtype=torch.double, requires_grad=True)
    nets = G.synthesis, cast(Generator, slow.by_definition(G)).synthesis
    with stored_noise(nets[0]), stored_noise(nets[1]):
        images = [S(ws) for S in nets]
    same(images[0], images[1])
    y = torch.randn_like(images[0])
    same_gradients([(image * y).sin().sum() for image in images], nets)

    def path_length(image):
        (g,) = torch.autograd.grad((image * y).sum(), ws, create_graph=True)
        return (g.square().sum(2).mean(1).sqrt() - 0.5).square().mean()

    lengths = [path_length(image) for image in images]
    same(lengths[0], lengths[1])
    same_gradients(lengths, nets)


def test_discriminator_is_the_definition_to_the_second_order():
    D = shaken(small_discriminator())
    x = torch.randn(4, 3, 16, 16, dtype=torch.double, requires_grad=True)
    nets = D, slow.by_definition(D)
    logits = [net(x) for net in nets]
    assert logits[0].shape == (4,)
    same(logits[0], logits[1])
    same_gradients([f.sin().sum() for f in logits], nets)

    def r1(f):
        (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
        return g.square().sum((1, 2, 3)).mean()

    penalties = [r1(f) for f in logits]
    same(penalties[0], penalties[1])
    same_gradients(penalties, nets)


def test_mapping_is_the_definition():
    M = shaken(Mapping(6, 2).double().eval())
    z = torch.randn(5, 6, dtype=torch.double)
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in M.children():
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        w = math.sqrt(2) * F.leaky_relu(0.01 * (w @ weight.T / math.sqrt(6) + bias), 0.2)
    same(M(z), w)


def test_the_filter_by_hand():
    dot = torch.zeros(1, 1, 3, 3)
    dot[0, 0, 1, 1] = 64
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    assert torch.equal(Fir(padding=2)(dot)[0, 0], torch.outer(row, row))
    doubled = Fir(padding=1, gain=4.0, up=True)(dot)[0, 0]
    assert torch.equal(doubled, F.pad(4 * torch.outer(row, row), (1, 1, 1, 1)))


# Published and tabulated numbers ------------------------------------------------------------------

SCALES = {  # size, base, cap, latent, layers: parameters of G, MACs, parameters of D
    (256, 16384, 512, 512, 8): (24_767_458, 14_897_111_040, 24_001_089),
    (64, 8192, 256, 256, 8): (5_962_392, 1_908_928_512, 5_854_593),
    (64, 2048, 64, 128, 4): (461_496, 119_798_784, 366_945),
    (64, 1024, 32, 64, 2): (108_008, 30_113_280, 92_081),
    (32, 1024, 32, 64, 2): (96_851, 15_760_896, 84_673),
}
PRUNED = {  # pruning ratio: MACs and parameters of paper C's students
    0.5: (3_730_305_024, 8_724_994),
    0.7: (1_383_203_040, 4_959_947),
    0.8: (614_910_768, 3_636_512),
    0.9: (160_900_800, 2_685_074),
    0.95: (45_205_728, 2_346_059),
}
CAGC = {  # size, width: the constants of CAGC's calculator, which counts mapping and styles too
    (256, 1.0): 45_124_673_536,
    (256, 0.3): 4_123_578_080,
    (1024, 1.0): 74_266_894_336,
    (1024, 0.3): 6_990_183_648,
}


@pytest.mark.parametrize("scale", SCALES)
def test_sizes_of_the_scales(scale):
    size, base, cap, latent, layers = scale
    with torch.device("meta"):
        G = Generator(size, base=base, cap=cap, latent=latent, layers=layers)
        D = Discriminator(size, base=base, cap=cap)
    assert (params(G), macs_a(G), params(D)) == SCALES[scale]


@pytest.mark.parametrize("p", PRUNED)
def test_sizes_of_the_students(p):
    with torch.device("meta"):
        G = Generator(width=1 - p)
    assert (macs_a(G), params(G)) == PRUNED[p]


@pytest.mark.parametrize("case", CAGC)
def test_multiply_adds_of_the_wider_generator(case):
    with torch.device("meta"):
        G = Generator(case[0], base=32768, width=case[1])
    linear = sum(p.numel() for p in G.parameters() if p.ndim == 2)
    assert macs_a(G) + linear == CAGC[case]


# Behaviour ----------------------------------------------------------------------------------------


def test_stored_noise_is_one_map_and_fresh_noise_is_the_seed():
    G = shaken(small_generator())
    z = torch.randn(1, 6, dtype=torch.double).expand(2, -1)
    with stored_noise(G):
        images = G(z)
        assert torch.equal(images, G(z)) and torch.equal(images[0], images[1])
    torch.manual_seed(3)
    fresh = G(z)
    assert not torch.allclose(fresh[0], fresh[1]) and not torch.allclose(fresh, G(z))
    torch.manual_seed(3)
    assert torch.equal(fresh, G(z))


def test_the_mean_style_follows_in_train_mode_only():
    M, z = Mapping(6, 2), torch.randn(4, 6)
    M.styles(z)
    M.eval()(z)
    assert torch.equal(M.w_avg, torch.zeros(6))
    w = M.train()(z)
    torch.testing.assert_close(M.w_avg, 0.005 * w.mean(0))
    M(z)
    torch.testing.assert_close(M.w_avg, (0.005 + 0.005 * 0.995) * w.mean(0))
    assert not M.w_avg.requires_grad


def test_minibatch_deviation_by_hand():
    x = torch.zeros(4, 2, 2, 2)
    x[0], x[2] = 1.0, 5.0  # samples 0 and 2 stand together, 1 and 3 do
    std = minibatch_std(x, 2)
    assert std.shape == (4, 1, 2, 2)
    torch.testing.assert_close(std[:, 0, 0, 0], torch.tensor([2.0, 1e-4, 2.0, 1e-4]))
    torch.testing.assert_close(minibatch_std(x[:2], 8)[:, 0, 0, 0], torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="batch is 4; expected a multiple of group, 3"):
        minibatch_std(x, 3)
