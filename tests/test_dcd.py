"""DCD: whom the discriminator sees, what the student is told, and where gradients go."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from ganzip.methods import dcd, gan
from ganzip.nets.connectors import connectors
from ganzip.train import Batch, train
from tests.states import equal, same, state, weights

TAPS = ("0", "1", "2", "3")


def generator(channels):
    """Maps of ``channels`` after each of the blocks "0" to "3"; images in [-1, 1]."""
    blocks = [
        nn.Sequential(nn.Conv2d(i, channels, 3, padding=1), nn.LeakyReLU(0.2))
        for i in (3, channels, channels, channels)
    ]
    return nn.Sequential(*blocks, nn.Conv2d(channels, 3, 1), nn.Tanh())


def maps(x):
    """Stands in for VGG16: four maps, no parameters."""
    return [x, x.square(), x.roll(1, 2) * x, x.roll(1, 1) + x]


def batches(step):
    cond = torch.rand(2, 3, 8, 8) * 2 - 1
    return Batch(cond, -cond, cond)


class Cast:
    """Networks and optimisers of a run."""

    def __init__(self, **options):
        torch.manual_seed(0)
        self.student, self.teacher = generator(2), generator(5)
        body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2))
        self.D = nn.Sequential(body, nn.Flatten(), nn.Linear(64, 1))
        self.of_student, self.of_teacher = (
            connectors(4 * [2], 4 * [3]),
            connectors(4 * [5], 4 * [3]),
        )
        self.own = [self.student, self.of_student, self.of_teacher]
        self.optimiser = Adam([p for net in self.own for p in net.parameters()], 1e-2)
        self.d_optimiser = Adam(self.D.parameters(), 1e-2)
        given = (self.of_student, self.of_teacher, self.optimiser, self.d_optimiser, maps, body)
        self.players = dcd.dcd(
            self.student, self.teacher, self.D, *given, TAPS, TAPS, adversarial=0.1, **options
        )
        self.judge, self.pupil = self.players


def shown(c, batch):
    """What D is shown in its own player's terms."""
    seen = []
    hook = c.D.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    c.judge.terms(batch)
    hook.remove()
    return seen


def test_the_discriminator_never_sees_the_student():
    c, batch = Cast(), batches(0)
    seen = shown(c, batch)
    assert all(equal(seen, [batch.real, c.teacher(batch.cond)]))
    expected = gan.discriminator(c.teacher, c.D, c.d_optimiser).terms(batch)["adversarial"]
    before = c.judge.terms(batch)["adversarial"]
    assert torch.equal(before, expected)
    with torch.no_grad():
        next(c.student.parameters()).mul_(-1)
    assert torch.equal(c.judge.terms(batch)["adversarial"], before)


def test_the_modified_discriminator_sees_both_at_half_the_weight():
    c, batch = Cast(modified=True), batches(0)
    seen = shown(c, batch)
    assert all(equal(seen, [batch.real, c.teacher(batch.cond), c.student(batch.cond)]))
    fakes = [F.softplus(c.D(G(batch.cond))).mean() for G in (c.teacher, c.student)]
    expected = F.softplus(-c.D(batch.real)).mean() + 0.5 * (fakes[0] + fakes[1])
    assert c.judge.terms(batch)["adversarial"].item() == pytest.approx(expected.item())


def test_terms_of_the_student_by_hand():
    c, batch = Cast(), batches(0)
    terms = {name: term.item() for name, term in c.pupil.terms(batch).items()}
    images, answer = c.student(batch.cond), c.teacher(batch.cond)
    style = torch.zeros(())
    for seen, wanted in zip(maps(images), maps(answer), strict=True):
        a, b = (torch.einsum("nihw,njhw->nij", m, m) / m[0].numel() for m in (seen, wanted))
        style = style + (a - b).abs().sum() / (2 * 3 * 3)
    x, t, gap = batch.cond, batch.cond, torch.zeros(())
    for i in range(4):
        x, t = c.student[i](x), c.teacher[i](t)
        both = []
        for map_, net in ((x, c.of_student[i]), (t, c.of_teacher[i])):
            image = F.relu(F.batch_norm(net.get_submodule("0")(map_), None, None, training=True))
            both.append(F.leaky_relu(c.D.get_submodule("0.0")(image), 0.2))
        gap = gap + (both[0] - both[1]).abs().mean()
    expected = {
        "style": 1e4 * style,
        "feature": 10 * (images.square() - answer.square()).abs().mean(),
        "adversarial": 0.1 * F.softplus(-c.D(images)).mean(),
        "cd": gap,
    }
    assert terms == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-4)


@pytest.mark.parametrize("modified", [False, True])
def test_only_the_discriminator_the_student_and_the_connectors_move(modified):
    c = Cast(modified=modified)
    teacher, moving = state(c.teacher), [c.D, *c.own]
    before = weights(*moving)
    train(c.players, batches, 2)
    assert same(teacher, c.teacher)
    assert not any(equal(before, weights(*moving)))


def test_distillation_reaches_student_and_connectors_but_neither_teacher_nor_discriminator():
    c = Cast()
    c.D.requires_grad_(False)  # as train does while the student acts; the teacher is left unfrozen
    c.pupil.terms(batches(0))["cd"].backward()
    assert all(p.grad is None for net in (c.teacher, c.D) for p in net.parameters())
    for net in (c.of_student, c.of_teacher, c.student[:4]):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert all(p.grad is None for p in c.student[4].parameters())  # past the last tap
