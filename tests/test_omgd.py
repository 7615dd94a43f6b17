"""OMGD: the student alone moves, follows both teachers, and sees no discriminator."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from ganzip import losses
from ganzip.methods import omgd
from ganzip.nets.connectors import connectors
from ganzip.train import Batch, train
from tests.states import equal, same, state, weights

TAPS = ("0", "1", "2", "3")


def generator(channels, depth=4):
    """Maps of ``channels`` after each of the blocks "0", "1", ...; images in [-1, 1]."""
    widths = [3] + depth * [channels]
    blocks = [
        nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.LeakyReLU(0.2)) for i, o in pairwise(widths)
    ]
    return nn.Sequential(*blocks, nn.Conv2d(channels, 3, 1), nn.Tanh())


def maps(x):
    """Stands in for VGG16: four maps, no parameters."""
    out = []
    for i in range(1, 5):
        x = torch.cat([x.abs(), x.roll(i, 2)], 1)[:, : 3 + i]
        out.append(x)
    return out


def batches(step):
    cond = torch.rand(2, 3, 12, 16) * 2 - 1
    return Batch(cond, -cond, cond)


def cast():
    """Student, wide, deep, connectors and the student's optimiser."""
    student, wide, deep = generator(2), generator(5), generator(2, depth=8)
    joined = connectors(4 * [2], 4 * [5])
    return student, wide, deep, joined, Adam([*student.parameters(), *joined.parameters()], 1e-2)


def test_terms_are_those_of_the_paper_by_hand():
    student, wide, deep, joined, optimiser = cast()
    (player,) = omgd.omgd(student, wide, deep, joined, optimiser, maps, TAPS, TAPS)
    batch = batches(0)
    terms = {name: term.item() for name, term in player.terms(batch).items()}
    images = student(batch.cond)
    expected = {}
    for name, answer in (("wide", wide(batch.cond)), ("deep", deep(batch.cond))):
        expected[f"ssim {name}"] = 10 * (1 - losses.ssim(images, answer))
        style = torch.zeros(())
        for seen, wanted in zip(maps(images), maps(answer), strict=True):
            n, c, h, w = seen.shape
            a, b = (torch.einsum("nihw,njhw->nij", m, m) / (c * h * w) for m in (seen, wanted))
            style = style + (a - b).abs().sum() / (n * c * c)
        expected[f"style {name}"] = 1e4 * style
        expected[f"feature {name}"] = 10 * (maps(images)[1] - maps(answer)[1]).abs().mean()
    dx, dy = images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]
    variation = (dx.abs().sum() + dy.abs().sum()) / 2 * 256**2 / (12 * 16)
    expected["tv"] = 2 * 1e-5 * variation  # once for each teacher
    x, t, gap = batch.cond, batch.cond, torch.zeros(())
    for i in range(4):
        x, t = student[i](x), wide[i](t)
        mapped = F.relu(F.batch_norm(joined.get_submodule(f"{i}.0")(x), None, None, training=True))
        gap = gap + (mapped.mean((2, 3)) - t.mean((2, 3))).square().mean()
    expected["cd"] = 100 * gap
    assert terms == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-4)


def test_only_the_student_and_its_connectors_move():
    student, wide, deep, joined, optimiser = cast()
    before = state(wide, deep)
    own = weights(student, joined)
    train(omgd.omgd(student, wide, deep, joined, optimiser, maps, TAPS, TAPS), batches, 2)
    assert same(before, wide, deep)
    assert not any(equal(own, weights(student, joined)))
    assert all(p.grad is None for net in (wide, deep) for p in net.parameters())


def test_only_the_wide_teacher_has_its_maps_followed():
    student, wide, deep, joined, optimiser = cast()
    (player,) = omgd.omgd(student, wide, deep, joined, optimiser, maps, TAPS, TAPS)
    batch = batches(0)
    first = player.terms(batch)
    with torch.no_grad():
        next(deep.parameters()).mul_(-1)
    second = player.terms(batch)
    changed = {name for name in first if first[name].item() != second[name].item()}
    assert changed == {"ssim deep", "style deep", "feature deep"}


def test_connectors_map_channels_and_keep_pixels():
    first, second = connectors((2, 3), (5, 7))
    x = torch.randn(4, 2, 6, 6)
    out = first(x)
    assert out.shape == (4, 5, 6, 6) and (out >= 0).all()
    assert second(torch.randn(1, 3, 2, 2)).shape == (1, 7, 2, 2)
    assert [tuple(p.shape) for p in first.parameters()] == [(5, 2, 1, 1), (5,), (5,)]  # no bias
