"""DCD: whom the discriminator sees, what the student is told, and where gradients go."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from ganzip import losses
from ganzip.methods import dcd, gan
from ganzip.nets import gcfsr, realesrgan
from ganzip.nets.connectors import connectors
from ganzip.train import Batch, act, train
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


@pytest.mark.parametrize("modified", [False, True])
def test_the_student_moves_the_discriminator_only_if_modified(modified):
    a, b = Cast(modified=modified), Cast(modified=modified)
    with torch.no_grad():
        next(b.student.parameters()).mul_(-1)
    for c in (a, b):
        train([c.judge], batches, 2)
    assert same(state(a.D), b.D) != modified


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


def test_weights_are_keyword_arguments():
    batch, weights = batches(0), {"style": 1.0, "feature": 2.0, "cd": 3.0}
    paper = {"style": 1e4, "feature": 10.0, "cd": 1.0}
    default, other = Cast().pupil.terms(batch), Cast(**weights).pupil.terms(batch)
    for name, weight in weights.items():
        expected = default[name].item() * weight / paper[name]
        assert other[name].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("modified", [False, True])
def test_only_the_discriminator_the_student_and_the_connectors_move(modified):
    c = Cast(modified=modified)
    teacher, moving = state(c.teacher), [c.D, *c.own]
    before = weights(*moving)
    train(c.players, batches, 2)
    assert same(teacher, c.teacher)
    assert not any(equal(before, weights(*moving)))


def test_the_student_leaves_the_discriminator_and_the_teacher_alone():
    c = Cast()
    before = state(c.teacher, c.D)
    everyone: set[torch.Tensor] = {p for net in (c.teacher, c.D, *c.own) for p in net.parameters()}
    act(c.pupil, everyone, batches(0), 0)
    assert same(before, c.teacher, c.D)
    assert all(p.grad is None for net in (c.teacher, c.D) for p in net.parameters())


def test_distillation_reaches_student_and_connectors_but_neither_teacher_nor_discriminator():
    c = Cast()
    c.D.requires_grad_(False)  # as train does while the student acts; the teacher is left unfrozen
    c.pupil.terms(batches(0))["cd"].backward()
    assert all(p.grad is None for net in (c.teacher, c.D) for p in net.parameters())
    for net in (c.of_student, c.of_teacher, c.student[:4]):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert all(p.grad is None for p in c.student[4].parameters())  # past the last tap


def test_the_adversarial_term_reaches_the_student_through_the_discriminator():
    c = Cast()
    c.D.requires_grad_(False)
    c.pupil.terms(batches(0))["adversarial"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in c.student.parameters())
    assert all(p.grad is None for net in (c.of_student, c.of_teacher) for p in net.parameters())


def test_one_forward_of_each_generator():
    c, calls = Cast(), []
    c.student.register_forward_hook(lambda *_: calls.append("student"))
    c.teacher.register_forward_hook(lambda *_: calls.append("teacher"))
    c.pupil.terms(batches(0))
    assert sorted(calls) == ["student", "teacher"]


def test_a_whole_run_with_the_teacher_and_lazy_r1():
    c = Cast()
    t_optimiser = Adam(c.teacher.parameters(), 1e-2)
    before, logged = state(c.teacher), {}
    judge, pupil = c.players
    taught = gan.supervised(c.teacher, c.D, t_optimiser, losses.supervision(None), weight=0.1)
    players = [judge, gan.r1(c.D, c.d_optimiser), taught, pupil]
    train(players, batches, 1, after=lambda _, terms: logged.update(terms))
    assert not any(equal(before, state(c.teacher)))
    assert set(logged) == {
        *("D/adversarial", "D/r1", "G/l1", "G/adversarial"),
        *("S/style", "S/feature", "S/adversarial", "S/cd"),
    }
    optimisers = {player.name: player.optimiser for player in players}  # a run keeps them by name
    assert len(optimisers) == len({player.optimiser for player in players}) == 3


def gcfsr_family():
    sizes = {"base": 256, "cap": 8}
    student, teacher = (gcfsr.Generator(32, latent=8, width=w, **sizes) for w in (1 / 2, 1.0))
    D = gcfsr.Discriminator(32, **sizes)
    phi = nn.Sequential(*list(D.children())[:4])  # fromrgb and three residual blocks
    cond = gcfsr.condition(torch.rand(2, 3, 32, 32) * 2 - 1, torch.ones(2))
    names = ("decoder.b16.conv1", "decoder.b32.conv0", "decoder.b32.conv1")
    return student, teacher, D, phi, names, (4, 8), cond


def realesrgan_family():
    student, teacher = (realesrgan.RRDBNet(width=w, blocks=4) for w in (1 / 32, 1 / 16))
    D = realesrgan.UNetDiscriminator(width=1 / 16)

    def phi(x):
        x = realesrgan.unit_range(x)
        for conv in (D.conv0, D.conv1, D.conv2, D.conv3):
            x = F.leaky_relu(conv(x), 0.2)
        return x

    names = ("body.0", "body.1", "body.2", "body.3")
    return student, teacher, D, phi, names, (2, 4), torch.rand(2, 3, 8, 8) * 2 - 1


@pytest.mark.parametrize("family", [gcfsr_family, realesrgan_family])
def test_families_of_the_paper(family):
    torch.manual_seed(0)
    student, teacher, D, phi, names, (n_student, n_teacher), cond = family()
    n = len(names)
    of_student, of_teacher = (
        connectors(n * [n_student], n * [3]),
        connectors(n * [n_teacher], n * [3]),
    )
    own = [p for net in (student, of_student, of_teacher) for p in net.parameters()]
    optimiser, d_optimiser = Adam(own, 1e-3), Adam(D.parameters(), 1e-3)
    given = (student, teacher, D, of_student, of_teacher, optimiser, d_optimiser, maps, phi)
    players = dcd.dcd(*given, names, names, adversarial=0.01)
    batch, logged = Batch(cond, torch.rand(2, 3, 32, 32) * 2 - 1), []
    before, connected = state(teacher), state(of_student, of_teacher)
    train(players, lambda step: batch, 2, after=lambda _, terms: logged.append(terms))
    assert all(torch.isfinite(term) for terms in logged for term in terms.values())
    assert same(before, teacher)
    assert not any(equal(connected, state(of_student, of_teacher)))
