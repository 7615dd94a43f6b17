"""Each method: only its own players move, the teacher stays, the terms are those of the paper."""

import pytest
import torch
import torch.nn.functional as F
from torch.optim import Adam, RMSprop

from ganzip import losses
from ganzip.methods import gan, mse_joint
from ganzip.nets.dcgan import Discriminator, Generator
from ganzip.train import Batch, frozen, train
from tests.states import same, state, weights

SHAPE = {"size": 8, "channels": 1}


def nets(seed=0):
    torch.manual_seed(seed)
    G, D = Generator(2, latent=5, **SHAPE), Discriminator(2, **SHAPE)
    return G, D, Adam(G.parameters(), 1e-2), Adam(D.parameters(), 1e-2)


def teacher():
    torch.manual_seed(9)
    return frozen(Generator(4, latent=5, **SHAPE))


def batches(T):
    def batch(step):
        z = torch.randn(6, 5)
        with torch.no_grad():
            return Batch(z, torch.rand(6, 1, 8, 8) * 2 - 1, T(z))

    return batch


def test_gan_terms_are_the_losses_by_hand():
    G, D, g, d = nets()
    z, x = torch.randn(6, 5), torch.rand(6, 1, 8, 8)
    G.eval()
    D.eval()
    players = {p.name: p.terms(Batch(z, x)) for p in gan.gan(G, D, g, d)}
    f, r = D(G(z)), D(x)
    assert torch.equal(players["D"]["adversarial"], losses.d_logistic(r, f))
    assert torch.equal(players["G"]["adversarial"], losses.g_logistic(f))


@pytest.mark.parametrize("method", ["mse", "joint"])
def test_students_move_and_the_teacher_does_not(method):
    T = teacher()
    before = state(T)
    G, D, g, d = nets()
    g0, d0 = weights(G), weights(D)
    players = mse_joint.mse(G, g) if method == "mse" else mse_joint.joint(G, D, g, d, alpha=0.5)
    train(players, batches(T), 3)
    assert same(before, T)
    assert not torch.equal(weights(G)[0], g0[0])
    assert torch.equal(weights(D)[0], d0[0]) == (method == "mse")


def test_mse_is_equation_3():
    T, (G, _, g, _) = teacher(), nets()
    G.eval()
    batch = batches(T)(0)
    (player,) = mse_joint.mse(G, g)
    assert batch.target is not None
    expected = ((G(batch.cond) - batch.target) ** 2).mean()
    assert player.terms(batch)["mse"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_joint_is_equation_4():
    T, (G, D, g, d) = teacher(), nets()
    G.eval()
    D.eval()
    batch = batches(T)(0)
    assert batch.target is not None
    adversarial = losses.g_logistic(D(G(batch.cond)))
    mse = losses.squared_error(G(batch.cond), batch.target)
    _, player = mse_joint.joint(G, D, g, d, alpha=0.3)
    terms = player.terms(batch)
    assert terms["adversarial"].item() == pytest.approx(0.3 * adversarial.item())
    assert terms["mse"].item() == pytest.approx(0.7 * mse.item())
    _, letter = mse_joint.joint(G, D, g, d, alpha=0.3, saturating=True, reduction="sum")
    terms = letter.terms(batch)
    assert terms["adversarial"].item() == pytest.approx(
        0.3 * losses.g_saturating(D(G(batch.cond))).item()
    )
    assert terms["mse"].item() == pytest.approx(0.7 * 64 * mse.item(), rel=1e-5)


def test_alpha_0_is_the_mse_student_to_the_bit():
    T = teacher()
    a, _, opt, _ = nets()
    train(mse_joint.mse(a, opt), batches(T), 5)
    b, D, g, d = nets()
    train(mse_joint.joint(b, D, g, d, alpha=0), batches(T), 5)
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_alpha_1_ignores_the_teacher_and_is_a_gan():
    a, D, g, d = nets()
    train(mse_joint.joint(a, D, g, d, alpha=1), batches(teacher()), 5)
    b, D, g, d = nets()
    train(gan.gan(b, D, g, d), batches(teacher()), 5)
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_outside_of_0_to_1_is_refused(alpha):
    G, D, g, d = nets()
    with pytest.raises(ValueError, match=f"alpha is {alpha}"):
        mse_joint.joint(G, D, g, d, alpha=alpha)


def test_clipping_keeps_the_critic_small():
    G, D, _, _ = nets()
    players = gan.wgan(G, D, RMSprop(G.parameters(), 1e-5), RMSprop(D.parameters(), 1e-5))
    train(players, batches(teacher()), 4)
    # Clipped before each step, so the last step may leave by no more than one step's length.
    assert max(p.abs().max().item() for p in D.parameters()) <= 0.01 + 2e-4


def test_penalty_takes_the_place_of_clipping():
    G, D, _, _ = nets()
    players = gan.wgan(G, D, RMSprop(G.parameters()), RMSprop(D.parameters()), penalty=10.0)
    terms = players[0].terms(batches(teacher())(0))
    assert set(terms) == {"adversarial", "penalty"}
    assert max(p.abs().max().item() for p in D.parameters()) > 0.02


def test_wgan_schedule_is_the_reference_loop():
    def reference(generator_steps):
        step, acts = 0, []
        for g in range(generator_steps):
            step += 100 if g < 25 or g % 500 == 0 else 5
            acts.append(step - 1)
        return acts

    acts = reference(1600)
    due = gan.wgan_due()
    assert [step for step in range(acts[-1] + 1) if due(step)] == acts
    for n in (1, 24, 25, 26, 500, 501, 502, 1001, 1600):
        assert gan.wgan_steps(n) == acts[n - 1] + 1


def test_supervised_generator_learns_target_and_fools_the_discriminator():
    G, D, g, _ = nets()
    supervision = losses.supervision(None, l1=2.0)
    batch = batches(teacher())(0)
    terms = gan.supervised(G, D, g, supervision, weight=0.1).terms(batch)
    fake = G(batch.cond)
    assert terms["l1"].item() == pytest.approx(2 * (fake - batch.target).abs().mean().item())
    assert terms["adversarial"].item() == pytest.approx(0.1 * F.softplus(-D(fake)).mean().item())
    assert set(gan.supervised(G, None, g, supervision).terms(batch)) == {"l1"}


def test_r1_is_lazy_and_shares_the_discriminators_adam():
    G, D, _, d = nets()
    player = gan.r1(D, d, gamma=4.0, period=3)
    assert [player.due(step) for step in range(5)] == [True, False, False, True, False]
    batch = batches(teacher())(0)
    expected = 4 / 2 * 3 * losses.r1_penalty(D, gan.real(batch)).item()
    assert player.terms(batch)["r1"].item() == pytest.approx(expected)
    before = [p.clone() for p in G.parameters()]
    train([gan.discriminator(G, D, d), player], batches(teacher()), 3)
    # 3 steps and 1 lazy one, which has no gradient for a bias at the end.
    assert max(state["step"].item() for state in d.state.values()) == 4.0
    assert all(torch.equal(a, b) for a, b in zip(before, G.parameters(), strict=True))
