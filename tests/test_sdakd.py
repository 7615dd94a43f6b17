"""SDAKD's three stages: equations by hand, who learns, and what the teachers are spared."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, Adam

from ganzip import losses
from ganzip.methods import gan, sdakd
from ganzip.nets import realesrgan
from ganzip.taps import taps
from ganzip.train import Batch, frozen, train
from tests.states import same, state


class Small(nn.Module):
    """A generator whose last map has ``width`` channels."""

    def __init__(self, width):
        super().__init__()
        self.body, self.last = nn.Conv2d(3, width, 3, 1, 1), nn.LeakyReLU(0.2)
        self.rgb = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, cond):
        return self.rgb(self.last(self.body(cond)))


def judge(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 3))


@pytest.fixture
def nets():
    torch.manual_seed(0)
    G, D, T, D_T = Small(2), judge(2), frozen(Small(6)), frozen(judge(6))
    mlp = sdakd.mapper(2, 6)
    g = Adam([*G.parameters(), *mlp.parameters()], 1e-2)
    return G, D, T, D_T, mlp, g, Adam(D.parameters(), 1e-2)


def batches(T):
    def batch(step):
        cond, real = torch.randn(4, 3, 8, 8), torch.rand(4, 3, 8, 8) * 2 - 1
        with torch.no_grad(), taps(T, ["last"]) as seen:
            image = T(cond)
        return Batch(cond, real, image, seen["last"])

    return batch


SUP = losses.supervision(lambda a, b: (a - b).square().mean(), l1=1.0, weight=0.5)


def test_the_mapper_is_two_pixelwise_layers():
    mlp = sdakd.mapper(8, 32)
    assert sum(p.numel() for p in mlp.parameters()) == 1344
    x = torch.randn(2, 8, 5, 7)
    one = mlp(x[:, :, 2:3, 3:4])
    assert torch.allclose(mlp(x)[:, :, 2:3, 3:4], one, atol=1e-6)


def test_equation_1_by_hand(nets):
    G, _, T, _, mlp, g, _ = nets
    batch = batches(T)(0)
    (player,) = sdakd.stage2(G, g, SUP, mlp=mlp, tap="last", lambda1=3.0)
    terms = player.terms(batch)
    fake, f_S = G(batch.cond), G.last(G.body(batch.cond))
    assert set(terms) == {"l1", "perceptual", "features"}
    assert terms["l1"].item() == pytest.approx((fake - batch.target).abs().mean().item(), rel=1e-5)
    assert terms["features"].item() == pytest.approx(
        3 * (mlp(f_S) - batch.features).square().mean().item(), rel=1e-5
    )


def test_equation_2_is_the_squared_error_of_probabilities(nets):
    _, D, T, D_T, *_ = nets
    batch = batches(T)(0)
    d = SGD(D.parameters(), 0.1)
    for inputs, shown in (
        ("both", torch.cat([gan.real(batch), gan.target(batch)])),
        ("real", batch.real),
        ("fake", batch.target),
    ):
        (player,) = sdakd.stage2_discriminator(D, D_T, d, inputs=inputs)
        expected = (D(shown).sigmoid() - D_T(shown).sigmoid()).square().mean()
        assert player.terms(batch)["probabilities"].item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="inputs is 'student'; expected"):
        sdakd.stage2_discriminator(D, D_T, d, inputs="student")


def test_equations_3_and_4_by_hand(nets):
    G, D, T, _, mlp, g, d = nets
    batch = batches(T)(0)
    judged, player = sdakd.stage3(G, D, g, d, SUP, mlp=mlp, tap="last", lambda2=0.1)
    terms, fake = player.terms(batch), G(batch.cond)
    assert set(terms) == {"l1", "perceptual", "features", "adversarial"}
    assert terms["adversarial"].item() == pytest.approx(0.1 * F.softplus(-D(fake)).mean().item())
    expected = F.softplus(-D(batch.real)).mean() + F.softplus(D(fake)).mean()
    assert judged.terms(batch)["adversarial"].item() == pytest.approx(expected.item())


def test_without_a_mapper_there_is_no_feature_term(nets):
    G, D, T, _, _, _, d = nets
    g = Adam(G.parameters())
    batch = batches(T)(0)
    (two,) = sdakd.stage2(G, g, SUP, mlp=None, tap="last")
    three = sdakd.stage3(G, D, g, d, SUP, mlp=None, tap="last")[1]
    assert "features" not in two.terms(batch) and "features" not in three.terms(batch)


def test_each_stage_moves_its_own_and_leaves_the_teachers(nets):
    G, D, T, D_T, mlp, g, d = nets
    teachers, student, judge_ = state(T, D_T), state(G, mlp), state(D)
    train(sdakd.stage2(G, g, SUP, mlp=mlp, tap="last"), batches(T), 3)
    assert not same(student, G, mlp) and same(judge_, D)
    student = state(G, mlp)
    train(sdakd.stage2_discriminator(D, D_T, d), batches(T), 3)
    assert same(student, G, mlp) and not same(judge_, D)
    judge_ = state(D)
    train(sdakd.stage3(G, D, g, d, SUP, mlp=mlp, tap="last"), batches(T), 3)
    assert not same(student, G, mlp) and not same(judge_, D)
    assert same(teachers, T, D_T)


def test_spectral_norms_of_a_teacher_stand_still():
    torch.manual_seed(0)
    D, D_T = (realesrgan.UNetDiscriminator(width=1 / 16) for _ in range(2))
    frozen(D_T)
    before = state(D_T)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    player = sdakd.stage2_discriminator(D, D_T, Adam(D.parameters()))
    train(player, lambda step: Batch(images, images, images), 2)
    assert same(before, D_T)
