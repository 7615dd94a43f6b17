"""StyleGAN2: the lean network beside a slow one written from the definition."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganzip.metrics import params
from ganzip.nets.stylegan2 import (
    Conv,
    Discriminator,
    Fir,
    Generator,
    Mapping,
    StyleConv,
    macs_a,
    map_widths,
    minibatch_std,
    stored_noise,
)
from ganzip.nets.width import scaled
from ganzip.taps import taps


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


# The definition: zeros inserted, weights modulated a sample, nothing folded -----------------------


def upfirdn(x, pad, *, up=1, down=1, gain=1.0):
    n, c, h, w = x.shape
    spaced = x.new_zeros(n, c, h, up, w, up)
    spaced[:, :, :, 0, :, 0] = x
    row = x.new_tensor([1, 3, 3, 1]) / 8
    kernel = gain * torch.outer(row, row).expand(c, 1, 4, 4)
    x = F.pad(spaced.reshape(n, c, h * up, w * up), (pad[0], pad[1], pad[0], pad[1]))
    return F.conv2d(x, kernel, groups=c)[:, :, ::down, ::down]


def same(one, other, name=""):
    torch.testing.assert_close(
        one, other, rtol=1e-9, atol=1e-11, msg=lambda text: f"{name}: {text}"
    )


def lrelu(x):
    return math.sqrt(2) * torch.where(x > 0, x, 0.2 * x)


def dense(layer, x, rate=1.0):
    gain = rate / math.sqrt(layer.weight.shape[1])
    return x @ (layer.weight * gain).T + layer.bias * rate


def modulated(x, style, weight, *, demodulate=True, up=False):
    n, c, h, w = x.shape
    weights = weight[None] * style[:, None, :, None, None]  # one a sample
    if demodulate:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    pad = weight.shape[-1] // 2
    if up:
        spaced = x.new_zeros(n, c, h, 2, w, 2)
        spaced[:, :, :, 0, :, 0] = x
        x, pad, weights = (
            F.pad(spaced.reshape(n, c, 2 * h, 2 * w), (2, 1, 2, 1)),
            0,
            weights.flip(3, 4),
        )
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1), padding=pad, groups=n)
    y = y.reshape(n, -1, *y.shape[2:])
    return upfirdn(y, (1, 1), gain=4) if up else y


def styled(layer, x, w, *, up=False):
    y = modulated(x, dense(layer.affine, w), layer.weight, up=up)
    return lrelu(y + layer.noise_strength * layer.noise_const + layer.bias[:, None, None])


def slow_generator(G, ws):
    S = G.synthesis
    x, image, i = S.const.expand(len(ws), -1, -1, -1), None, 0
    for block in S.children():
        if block.conv0 is not None:
            x, i = styled(block.conv0, x, ws[:, i], up=True), i + 1
        x, i = styled(block.conv1, x, ws[:, i]), i + 1
        style = dense(block.torgb.affine, ws[:, i]) / math.sqrt(x.shape[1])
        rgb = modulated(x, style, block.torgb.weight, demodulate=False)
        rgb = rgb + block.torgb.bias[:, None, None]
        image = rgb if image is None else rgb + upfirdn(image, (2, 1), up=2, gain=4)
    return image


def convolved(layer, x, **how):
    weight = layer.weight / math.sqrt(layer.weight[0].numel())
    return F.conv2d(x, weight, layer.bias, **how)


def slow_discriminator(D, x):
    x = lrelu(convolved(D.fromrgb, x))
    for name, block in D.named_children():
        if name not in ("fromrgb", "b4"):
            skip = convolved(block.skip, upfirdn(x, (1, 1), down=2))
            x = upfirdn(lrelu(convolved(block.conv0, x, padding=1)), (2, 2))
            x = (skip + lrelu(convolved(block.conv1, x, stride=2))) * math.sqrt(0.5)
    groups = x.reshape(D.b4.group, -1, *x.shape[1:])
    std = ((groups - groups.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))
    maps = std.repeat(D.b4.group).reshape(-1, 1, 1, 1) * torch.ones_like(x[:, :1])
    x = lrelu(convolved(D.b4.conv, torch.cat([x, maps], 1), padding=1)).flatten(1)
    return dense(D.b4.out, lrelu(dense(D.b4.fc, x))).flatten()


def same_gradients(scalars, net):
    every = list(net.parameters())
    pairs = [
        torch.autograd.grad(f, every, retain_graph=True, materialize_grads=True) for f in scalars
    ]
    for (name, _), a, b in zip(net.named_parameters(), *pairs, strict=True):
        same(a, b, name)
    assert any(a.abs().max() > 0 for a in pairs[0])


def test_generator_is_the_definition_to_the_second_order():
    G = shaken(small_generator())
    ws = torch.randn(3, G.synthesis.num_ws, 6, dtype=torch.double, requires_grad=True)
    with stored_noise(G):
        images = [G.synthesis(ws), slow_generator(G, ws)]
    same(images[0], images[1])
    y = torch.randn_like(images[0])
    same_gradients([(image * y).sin().sum() for image in images], G.synthesis)

    def path_length(image):
        (g,) = torch.autograd.grad((image * y).sum(), ws, create_graph=True)
        return (g.square().sum(2).mean(1).sqrt() - 0.5).square().mean()

    lengths = [path_length(image) for image in images]
    same(lengths[0], lengths[1])
    same_gradients(lengths, G.synthesis)


def test_discriminator_is_the_definition_to_the_second_order():
    D = shaken(small_discriminator())
    x = torch.randn(4, 3, 16, 16, dtype=torch.double, requires_grad=True)
    logits = [D(x), slow_discriminator(D, x)]
    assert logits[0].shape == (4,)
    same(logits[0], logits[1])
    same_gradients([f.sin().sum() for f in logits], D)

    def r1(f):
        (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
        return g.square().sum((1, 2, 3)).mean()

    penalties = [r1(f) for f in logits]
    same(penalties[0], penalties[1])
    same_gradients(penalties, D)


def test_mapping_is_the_definition():
    M = shaken(Mapping(6, 2).double().eval())
    z = torch.randn(5, 6, dtype=torch.double)
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in M.children():
        w = lrelu(dense(layer, w, rate=0.01))
    same(M(z), w)


@pytest.mark.parametrize(("kernel", "pad"), [(3, (2, 2)), (1, (1, 1))])
def test_a_halving_convolution_filters_and_then_skips(kernel, pad):
    conv, x = Conv(2, 5, kernel, down=True, act=False), torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(conv(x), convolved(conv, upfirdn(x, pad), stride=2))


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


def test_rates_of_compression():
    rates = [100 * (1 - macs / SCALES[256, 16384, 512, 512, 8][1]) for macs, _ in PRUNED.values()]
    assert rates == pytest.approx([74.9595, 90.7150, 95.8723, 98.9199, 99.6965], abs=5e-5)


@pytest.mark.parametrize("case", CAGC)
def test_multiply_adds_of_the_wider_generator(case):
    with torch.device("meta"):
        G = Generator(case[0], base=32768, width=case[1])
    linear = sum(p.numel() for p in G.parameters() if p.ndim == 2)
    assert macs_a(G) + linear == CAGC[case]


@pytest.mark.parametrize("p", PRUNED)
def test_widths_lose_the_floor_of_what_is_pruned(p):
    for channels in (512, 256, 128, 64, 32, 20, 10):
        assert scaled(channels, 1 - p, math.ceil) == channels - math.floor(round(channels * p, 6))
    assert scaled(100, 1 - p, math.floor) == round(100 * (1 - p))  # 0.3, 0.2, 0.1 are not exact


def test_widths_of_paper256():
    widths = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    assert map_widths(256, 16384, 512) == widths
    assert list(map_widths(256, 16384, 512, 1 - 0.7).values()) == [154] * 4 + [77, 39, 20]


# Behaviour ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1.0, 0.5, 0.05])
def test_shapes(width):
    G = small_generator(32, width)
    images = G(torch.randn(3, 6, dtype=torch.double))
    assert G.synthesis.num_ws == 8 and images.shape == (3, 3, 32, 32)
    assert small_discriminator(32, 3, width)(images).shape == (3,)


def test_maps_have_names():
    G, D = small_generator(), small_discriminator()
    names = ["synthesis.b8.conv1", "synthesis.b8.torgb", "synthesis.b16.torgb"]
    with taps(G, names) as drawn, taps(D, ["b16"]) as judged:
        images = G(torch.randn(2, 6, dtype=torch.double))
        D(images)
    assert drawn["synthesis.b8.conv1"].shape == judged["b16"].shape == (2, 8, 8, 8)
    assert drawn["synthesis.b8.torgb"].shape == (2, 3, 8, 8)
    assert torch.equal(drawn["synthesis.b16.torgb"], images)


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


def test_stored_noise_ends_with_its_block_and_nests():
    G = small_generator()

    def stored():
        return {m.stored for m in G.modules() if isinstance(m, StyleConv)}

    with pytest.raises(KeyboardInterrupt), stored_noise(G):
        with stored_noise(G.synthesis):
            pass
        assert stored() == {True}
        raise KeyboardInterrupt
    assert stored() == {False}


def test_each_layer_takes_its_own_style():
    G, z = shaken(small_generator()), torch.randn(2, 2, 6, dtype=torch.double)
    w, other = G.mapping(z[0]), G.mapping.styles(z[1])
    ws = torch.stack([w, w, *[other] * 4], 1)
    with stored_noise(G), taps(G, ["synthesis.b8.conv0", "synthesis.b8.conv1"]) as maps:
        G.synthesis(ws)
        coarse, fine = maps["synthesis.b8.conv0"], maps["synthesis.b8.conv1"]
        G.synthesis(w)
        assert torch.equal(coarse, maps["synthesis.b8.conv0"])
        assert not torch.allclose(fine, maps["synthesis.b8.conv1"])
        assert torch.equal(G(z[0]), G.synthesis(torch.stack([w] * 6, 1)))


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


def test_a_checkpoint_holds_no_filters_and_restores_the_images():
    G, H = shaken(small_generator()), small_generator()
    assert not any("fir" in name or "kernel" in name for name in G.state_dict())
    names = {"mapping.fc0.weight", "mapping.w_avg", "synthesis.b16.conv0.affine.bias"}
    names |= {"synthesis.b4.conv1.noise_const", "synthesis.b4.conv1.noise_strength"}
    assert names <= set(G.state_dict())
    H.load_state_dict(G.state_dict())
    z = torch.randn(2, 6, dtype=torch.double)
    with stored_noise(G), stored_noise(H):
        assert torch.equal(G(z), H(z))


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_impossible_sizes_are_refused(network):
    for size in (4, 48):
        with pytest.raises(ValueError, match=f"size is {size}; expected a power of two, 8 or more"):
            network(size)
    with pytest.raises(ValueError, match="width is 0; expected one that leaves 1 or more"):
        network(8, width=0)


def test_both_learn_from_each_other():
    G, D = small_generator(8), small_discriminator(8)
    F.softplus(-D(G(torch.randn(4, 6, dtype=torch.double)))).mean().backward()
    missing = [n for net in (G, D) for n, p in net.named_parameters() if p.grad is None]
    assert not missing


def test_half_precision_learns():
    G, D = small_generator(8).float(), small_discriminator(8).float()
    with stored_noise(G):
        exact = G(torch.ones(2, 6))
        with torch.autocast("cpu", torch.bfloat16):
            images = G(torch.ones(2, 6))
            loss = F.softplus(-D(images)).mean()
    torch.testing.assert_close(images.float(), exact, rtol=0.05, atol=0.05)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in G.parameters())


def test_backward_keeps_no_scaled_map_and_no_filtered_one():
    G, kept = small_generator(32), {}

    def keep(tensor):
        if tensor.ndim == 4 and tensor.shape[-1] in (32, 33):  # maps of the last block
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), stored_noise(G):
        G(torch.randn(2, 6, dtype=torch.double))
    assert len(kept) == 4  # of each of two convolutions: its result before and after activation
