"""Scores, sets of channels, and narrow generators cut out of wide ones."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch

from ganzip import prune
from ganzip.nets.stylegan2 import Generator, map_widths, stored_noise

SMALL: dict[str, Any] = {"base": 64, "cap": 8, "latent": 8, "layers": 2}


def generator(width=1.0, size=16, seed=0):
    torch.manual_seed(seed)
    G = Generator(size, **SMALL, width=width).eval()
    with torch.no_grad():
        for p in G.parameters():
            p.add_(0.3 * torch.randn_like(p))  # nothing at 0, such as biases and noise
    return G


def images(G, z):
    with torch.no_grad(), stored_noise(G):
        return G(z)


def noise(n=6):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(1))


def without(G, at, channel):
    """Plant a dead channel in set ``at``: every layer that reads it has a style of 0 for it."""
    with torch.no_grad():
        for name, reads, _ in prune.layers(G):
            if reads == at:
                G.get_parameter(f"{name}.affine.weight")[channel] = 0
                G.get_parameter(f"{name}.affine.bias")[channel] = 0


# Sets of channels ---------------------------------------------------------------------------------


def test_a_generator_of_256_pixels_has_14_sets():
    with torch.device("meta"):
        G = Generator()
    readers = prune.readers(G)
    assert readers[:4] == [f"synthesis.b{r}" for r in ("4.conv1", "8.conv0", "8.conv1", "16.conv0")]
    assert readers[12:] == ["synthesis.b256.conv1", "synthesis.b256.torgb"]
    at = {name: (reads, writes) for name, reads, writes in prune.layers(G)}
    assert at["synthesis.b4.conv1"] == (0, 1) and at["synthesis.b8.torgb"] == (3, None)
    assert at["synthesis.b256.conv1"] == (12, 13) and len(at) == 13 + 7


@pytest.mark.parametrize("p", ["0", ".5", ".7", ".8", ".9", ".95", ".29", ".07"])
def test_what_stays_is_c_minus_the_floor_of_c_p_and_what_a_narrow_generator_has(p):
    for channels in (*range(20, 513, 4), 100, 35):
        left = channels - math.floor(channels * Fraction(p))  # exact: no hair of binary fractions
        (kept,) = prune.keep([torch.arange(channels)], float(p))
        assert len(kept) == left
        assert map_widths(8, channels * 8, channels, 1 - float(p))[4] == left
    widths = map_widths(256, 16384, 512, 1 - float(p)).values()
    full = map_widths(256, 16384, 512).values()
    assert list(widths) == [c - math.floor(c * Fraction(p)) for c in full]


def test_the_lowest_scores_go_and_order_stays():
    (kept,) = prune.keep([torch.tensor([0.3, 0.1, 0.5, 0.2, 0.4])], 0.5)
    assert kept.tolist() == [0, 2, 4]
    (kept,) = prune.keep([torch.zeros(4)], 0.5)
    assert kept.tolist() == [0, 1]


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_impossible_shares_are_refused(p):
    with pytest.raises(ValueError, match=f"p is {p}; expected a share to prune, 0 to below 1"):
        prune.keep([torch.zeros(4)], p)


# Cutting ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["saliency", "style"])
def test_at_p_0_the_student_is_the_teacher_to_the_bit(criterion):
    G = generator()
    kept = prune.keep(scores(G, criterion), 0)
    student = prune.cut(G, generator(seed=5), kept)
    assert torch.equal(images(student, noise()), images(G, noise()))


def scores(G, criterion):
    if criterion == "style":
        return prune.style_scale(G, noise())
    return prune.saliency(G, prune.everything, noise(), batch=3)


@pytest.mark.parametrize("criterion", ["saliency", "style"])
@pytest.mark.parametrize("at", range(6))
def test_a_planted_dead_channel_is_the_first_to_go(criterion, at):
    G = generator()
    without(G, at, 2)
    found = scores(G, criterion)
    assert found[at].argmin() == 2 and found[at][2] == 0 and found[at].count_nonzero() > 2


def test_cutting_dead_channels_changes_no_image():
    G = generator()
    sets = [len(score) for score in prune.style_scale(G, noise())]
    assert sets == [8, 8, 8, 8, 4, 4]
    for at, channels in enumerate(sets):
        for channel in range(1, channels, 2):
            without(G, at, channel)
    before = images(G, noise())
    for criterion in ("saliency", "style"):
        kept = prune.keep(scores(G, criterion), 0.5)
        assert kept[0].tolist() == [0, 2, 4, 6] and kept[5].tolist() == [0, 2]
        student = prune.cut(G, generator(0.5, seed=5), kept)
        torch.testing.assert_close(images(student, noise()), before, rtol=1e-4, atol=1e-5)


def test_a_cut_keeps_the_shapes_and_what_is_not_a_channel():
    G, S = generator(), generator(0.5, seed=5)
    with torch.no_grad():
        G.mapping.w_avg.fill_(0.25)
    kept = [torch.tensor([1, 2, 5, 7])] * 4 + [torch.tensor([0, 3])] * 2
    assert prune.cut(G, S, kept) is S
    old, new = G.state_dict(), S.state_dict()
    whole = [k for k in old if k.startswith("mapping") or "noise" in k or "torgb.bias" in k]
    assert len(whole) == 5 + 2 * 5 + 3 and all(torch.equal(old[k], new[k]) for k in whole)
    conv = "synthesis.b16.conv0"
    rows, columns = kept[4], kept[3]
    assert torch.equal(new[f"{conv}.weight"], old[f"{conv}.weight"][rows][:, columns])
    assert torch.equal(new[f"{conv}.bias"], old[f"{conv}.bias"][rows])
    assert torch.equal(new[f"{conv}.affine.weight"], old[f"{conv}.affine.weight"][columns])
    # Both divide by the root of their width: 8 and 4.
    torgb = "synthesis.b8.torgb.weight"
    torch.testing.assert_close(new[torgb] / 4**0.5, old[torgb][:, kept[3]] / 8**0.5)


def test_a_narrow_generator_of_other_widths_is_refused():
    G = generator()
    kept = prune.keep(prune.style_scale(G, noise()), 0.5)
    with pytest.raises(ValueError, match=r"narrow has .*const of \(6, .*it is \(4, .*width=1 - p"):
        prune.cut(G, generator(0.75), kept)
    with pytest.raises(ValueError, match="kept has 5 sets; expected 6"):
        prune.cut(G, generator(0.5), kept[:5])
    with pytest.raises(ValueError, match="missing"):
        prune.cut(G, generator(0.5, size=32), kept)


# Scores -------------------------------------------------------------------------------------------


def test_saliency_is_the_gradient_by_hand():
    G, z = generator(), noise(4)
    found = prune.saliency(G, prune.ellipse, z, batch=2, share=0.3, seed=7)
    torch.manual_seed(7)
    expected = 0
    for part in (z[:2], z[2:]):
        x = G(part)
        changed = x.detach().clone()
        grains = torch.randint(2, (16, 16)) * 2.0 - 1
        at = (prune.ellipse(x) > 0) & (torch.rand(2, 1, 16, 16) < 0.3)
        changed = torch.where(at, grains, x)
        loss = (changed - x).abs().sum()
        (grad,) = torch.autograd.grad(loss, G.get_parameter("synthesis.b8.conv1.weight"))
        expected = expected + grad.abs().mean((0, 2, 3))
    torch.testing.assert_close(found[2], expected)


def test_scoring_leaves_the_generator_and_the_generators_of_noise():
    G = generator().train().requires_grad_(False)
    before = {k: v.clone() for k, v in G.state_dict().items()}
    torch.manual_seed(3)
    once = torch.cat([*scores(G, "saliency"), *scores(G, "style")])
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    again = torch.cat([*scores(G, "saliency"), *scores(G, "style")])
    assert torch.equal(once, again)
    assert all(torch.equal(v, before[k]) for k, v in G.state_dict().items())
    assert G.training and not any(p.requires_grad for p in G.parameters())


def test_disturbance_pulls_at_masked_and_replaced_pixels_alone():
    torch.manual_seed(0)
    x = (torch.rand(16, 3, 32, 32) * 1.8 - 0.9).requires_grad_(True)
    mask = prune.ellipse(x, width=0.5, height=0.5)
    loss = prune.disturbance(x, mask, 0.05)
    (grad,) = torch.autograd.grad(loss, x)
    assert set(grad.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert not grad[mask.expand_as(x) == 0].any()
    replaced = grad[:, :1] != 0
    assert torch.equal(grad != 0, replaced.expand_as(grad))  # all channels of a pixel or none
    share = replaced.sum() / mask.sum()
    assert share.item() == pytest.approx(0.05, abs=0.01)
    changed = torch.where(grad != 0, -grad, x)  # the sign of x - noise, and noise is -1 or 1
    assert loss.item() == pytest.approx((changed - x).abs().sum().item(), rel=1e-4)


def test_style_scale_is_the_mean_style_by_hand():
    G, z = generator(), noise()
    found = prune.style_scale(G, z)
    w = G.mapping(z)
    layer = G.get_submodule("synthesis.b8.conv0.affine")
    torch.testing.assert_close(found[1], layer(w).mean(0).abs().detach())
    assert [len(score) for score in found] == [8, 8, 8, 8, 4, 4]


def test_masks():
    x = torch.full((2, 3, 16, 8), -1.0)
    x[0, 1, 3, 4] = 0.0
    assert prune.everything(x).shape == (2, 1, 16, 8) and prune.everything(x).all()
    seen = prune.foreground(x)
    assert seen.shape == (2, 1, 16, 8) and seen.sum() == 1 and seen[0, 0, 3, 4] == 1
    face = prune.ellipse(x)
    assert face.shape == (2, 1, 16, 8) and face[0, 0, 8, 4] == 1 and face[0, 0, 0, 0] == 0
    assert torch.equal(face, face.flip(2, 3))
    area = prune.ellipse(torch.zeros(1, 3, 256, 256)).mean().item()
    assert area == pytest.approx(math.pi / 4 * 0.75 * 0.95, abs=1e-3)
