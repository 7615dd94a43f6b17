"""Methods for StyleGAN2: who moves, who stays, and every term beside its definition."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from ganzip import losses, prune
from ganzip.methods import cagc, gan, gcc, gs, itgc, nickel_dime, stylekd
from ganzip.nets.energy import Energy
from ganzip.nets.stylegan2 import Discriminator, Generator, stored_noise
from ganzip.taps import taps
from ganzip.train import Batch, frozen, train
from tests.states import moved, same, state, weights

PAIR = ("synthesis.b4.conv1", "b8")  # a quarter of 16 pixels
LAYERS = ["synthesis.b8.conv1"]
GCC = {"g_layers": LAYERS, "d_layers": ["b8"], "mixing": 0.0}
WEIGHT = torch.randn(48, 5, generator=torch.Generator().manual_seed(4))


def generator(seed=0, width=1.0):
    torch.manual_seed(seed)
    G = Generator(16, base=64, cap=8, latent=8, layers=2, width=width)
    with torch.no_grad():
        for name, p in G.named_parameters():
            if "bias" in name or "noise" in name:
                p.add_(0.3 * torch.randn_like(p))
    return G


def discriminator(seed=0):
    torch.manual_seed(seed)
    return Discriminator(16, base=64, cap=8, group=2)


def quartet():
    """A student and a teacher, with the discriminator of each."""
    return generator(1, 0.5), frozen(generator(2)), discriminator(1), frozen(discriminator(2))


def batch(n=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(n, 8, generator=g), torch.rand(n, 3, 16, 16, generator=g) * 2 - 1)


def adam(*nets):
    return Adam([p for net in nets for p in net.parameters()], 1e-3, betas=(0.0, 0.99))


def distance(a, b):
    return (F.avg_pool2d(a, 2) - F.avg_pool2d(b, 2)).square().mean()


def embed(images):
    """Five smooth features."""
    return (F.avg_pool2d(images, 4).flatten(1) @ WEIGHT).sin()


KERNELS = [
    nickel_dime.Kernel("a", embed, 20.0, nickel_dime.moments(torch.full((3, 5), 0.5))),
    nickel_dime.Kernel("b", lambda x: 2 * embed(x), 15.0),
]


def build(method):
    """The players of a method, every network, and the names of those that each player moves."""
    nets: dict[str, nn.Module] = dict(zip(("S", "T", "D", "D_T"), quartet(), strict=True))
    S, T, D, D_T = nets.values()
    g, d = adam(S), adam(D)
    moves = {"G": {"S"}, "D": {"D"}}
    masked = (S, T, D, g, d, prune.ellipse, distance)
    if method == "cagc":
        players = cagc.cagc(*masked)
    elif method == "sparsify":
        nets["S"] = S = generator(2)
        players = gs.sparsify(S, T, D, adam(S), d, distance)
    elif method == "finetune":
        players = gs.finetune(S, T, D, g, d, distance)
    elif method == "stylekd":
        bank = stylekd.directions(T, ["b8"])
        players = stylekd.stylekd(*masked, bank, layers=LAYERS)
    elif method == "itgc":
        nets["E"] = E = Energy(16, channels=4)
        moves["energy"] = {"E"}
        players = itgc.itgc(S, T, D, E, g, d, adam(E), prune.ellipse, distance, steps=2)
    elif method in ("gcc", "gcc offline"):
        nets["gates"] = gates = gcc.Gates(D, ["b16", "b8"], torch.zeros(1, 3, 16, 16))
        nets["adapters"] = adapters = gcc.transfers(S, T, LAYERS)
        online = (adam(T), adam(D_T)) if method == "gcc" else None
        moves |= {"gates": {"gates"}, "G": {"S", "adapters"}}
        moves |= {"G_teacher": {"T"}, "D_teacher": {"D_T"}} if online else {}
        opts = adam(S, adapters), d, adam(gates), online
        players = gcc.gcc(S, T, D, D_T, gates, adapters, *opts, **GCC)
    else:
        judge, optimiser = (D_T, adam(D_T)) if "D_T" in method else (None, None)
        moves |= {"D_teacher": {"D_T"}} if judge else {}
        kernels, nickel = KERNELS if "dime" in method else [], 10.0 * ("nickel" in method)
        players = nickel_dime.nickel_dime(
            S, T, D, judge, g, d, optimiser, kernels, nickel=nickel, pair=PAIR
        )
    return players, nets, moves


TERMS = {
    "cagc": {"adversarial", "l1", "perceptual"},
    "sparsify": {"adversarial", "l1", "perceptual", "sparsity"},
    "finetune": {"adversarial", "l1", "perceptual"},
    "stylekd": {"adversarial", "l1", "perceptual", "relation"},
    "itgc": {"adversarial", "l1", "perceptual", "information"},
    "gcc": {"adversarial", "content", "gram"},
    "gcc offline": {"adversarial", "content", "gram"},
    "nickel dime D_T": {"adversarial", "adversarial_teacher", "dime_a", "dime_b"},
    "nickel D_T": {"adversarial", "adversarial_teacher"},
    "nickel dime": {"adversarial", "dime_a", "dime_b"},
    "nickel": {"adversarial"},
    "dime D_T": {"adversarial", "adversarial_teacher", "dime_a", "dime_b"},
    "dime": {"adversarial", "dime_a", "dime_b"},
}


@pytest.mark.parametrize("method", TERMS)
def test_each_player_moves_its_own_networks_alone_by_the_terms_of_the_method(method):
    players, nets, moves = build(method)
    assert {p.name for p in players} == set(moves)
    teachers, logged = {name: state(nets[name]) for name in ("T", "D_T")}, {}
    for player in players:
        before = {name: weights(net) for name, net in nets.items()}
        # The others stand by without acting: their parameters are frozen as in a whole step.
        idle = [replace(p, due=lambda step: False) for p in players if p is not player]
        train([player, *idle], lambda step: batch(), 1, after=lambda _, terms: logged.update(terms))
        assert {n for n, net in nets.items() if moved(before[n], net)} == moves[player.name]
    for name, whole in teachers.items():  # buffers too
        assert same(whole, nets[name]) != any(name in names for names in moves.values())
    assert {k.split("/")[1] for k in logged if k.startswith("G/")} == TERMS[method]
    assert all(term.isfinite() for term in logged.values())
    assert ("D/nickel" in logged) == ("nickel" in method)


# StyleGAN2's own training -------------------------------------------------------------------------


def test_latents_mix_with_the_probability_asked_for():
    G, z = generator(), torch.randn(3, 8)
    torch.manual_seed(0)
    drawn = [gan.latents(G, z, 0.5) for _ in range(400)]
    mixed = [seeds for seeds in drawn if seeds.cut < 6]
    assert 160 < len(mixed) < 240
    assert {seeds.cut for seeds in mixed} == {1, 2, 3, 4, 5}
    assert all(seeds.z is z for seeds in drawn)
    assert not torch.equal(mixed[0].other, z)
    assert {gan.latents(G, z, 0.0).cut for _ in range(20)} == {6}
    assert 6 not in {gan.latents(G, z, 1.0).cut for _ in range(20)}


def test_styles_are_the_networks_own_and_change_at_the_cut():
    G, z, other = generator(), torch.randn(3, 8), torch.randn(3, 8)
    ws = gan.styles(G, gan.Latents(z, other, 2))
    first, second = G.mapping.styles(z), G.mapping.styles(other)
    torch.testing.assert_close(ws, torch.stack([first] * 2 + [second] * 4, 1))
    # The first mapping alone moves the mean style.
    torch.testing.assert_close(G.mapping.w_avg, 0.005 * first.detach().mean(0))
    assert torch.equal(gan.styles(G, gan.Latents(z, other, 6))[:, 5], first)
    assert not torch.allclose(gan.styles(generator(1), gan.Latents(z, other, 2)), ws)


def test_student_and_teacher_see_the_same_latents_with_noise_of_their_own():
    T = frozen(generator())
    S, z = copy.deepcopy(T).train().requires_grad_(True), torch.randn(3, 8)
    with stored_noise(S), stored_noise(T):
        fake, wanted = gan.side_by_side(S, T, z)
    assert torch.equal(fake, wanted) and fake.requires_grad and not wanted.requires_grad
    fake, wanted = gan.side_by_side(S, T, z)
    assert not torch.allclose(fake, wanted)


def test_path_lengths_are_drawn_to_their_running_mean():
    G, mean, z = generator(), gan.PathMean(), batch().cond
    player = gan.path_length(G, adam(G), mean, mixing=0.0)
    assert [player.due(step) for step in range(5)] == [True, False, False, False, True]
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        torch.rand(())
        ws = gan.styles(G, gan.Latents(z[:2], z[:2], 6))
        lengths = losses.path_lengths(G.synthesis(ws), ws)
        before = mean.value.clone()
        expected = before + 0.01 * (lengths.mean() - before)
        torch.manual_seed(3)
        term = player.terms(batch())["path_length"]
        wanted = 2 * 4 * (lengths - expected).square().mean()
        torch.testing.assert_close(term, wanted)
        torch.testing.assert_close(mean.value, expected.detach())
        values.append(mean.value.item())
    assert values[1] > values[0] > 0 and not mean.value.requires_grad
    before = weights(G.mapping), weights(G.synthesis)
    train([player], lambda step: batch(), 1)
    assert moved(before[0], G.mapping) and moved(before[1], G.synthesis)
    assert list(mean.state_dict()) == ["value"]


# CAGC and GS --------------------------------------------------------------------------------------


def quiet(method, **changes):
    """A method's G player and networks, with stored noise in both and without style mixing."""
    S, T, D = generator(1, 0.5), frozen(generator(2)), discriminator(1)
    player = method(S, T, D, adam(S), adam(D), mixing=0.0, **changes)[0]
    with stored_noise(S), stored_noise(T), torch.no_grad():
        x, y = S(batch().cond), T(batch().cond)

    def terms():
        with stored_noise(S), stored_noise(T):
            return {k: v.item() for k, v in player.terms(batch()).items()}

    return terms, x, y, F.softplus(-D(x)).mean().item()


def test_cagc_is_adversarial_and_3_times_both_masked_distances():
    mask = lambda images: prune.foreground(images, background=0, threshold=3)  # noqa: E731
    terms, x, y, adversarial = quiet(cagc.cagc, mask=mask, distance=distance)
    m = mask(y)
    assert 0.1 < m.mean() < 0.9 and not torch.equal(m, mask(x))  # the teacher's image has the mask
    l1 = 3 * (m * (x - y)).abs().mean().item()
    perceptual = 3 * distance(m * x, m * y).item()
    expected = {"adversarial": adversarial, "l1": l1, "perceptual": perceptual}
    assert terms() == pytest.approx(expected, rel=1e-4)


def test_gs_finetunes_on_whole_images():
    terms, x, y, adversarial = quiet(gs.finetune, distance=distance, l1=0.5)
    expected = {"l1": 0.5 * (x - y).abs().mean().item(), "perceptual": 3 * distance(x, y).item()}
    assert terms() == pytest.approx({"adversarial": adversarial, **expected}, rel=1e-4)


def test_gs_sparsity_is_the_size_of_mean_styles():
    G, T, D = generator(1), frozen(generator(2)), discriminator()
    player, _ = gs.sparsify(G, T, D, adam(G), adam(D), None, mixing=0.0, sparsity=0.5)
    w, total = G.mapping.styles(batch().cond), 0.0
    for name in prune.readers(G):
        layer = G.get_submodule(f"{name}.affine")
        total += layer(w).mean(0).abs().sum().item()
    assert len(prune.readers(G)) == 6
    terms = player.terms(batch())
    assert terms["sparsity"].item() == pytest.approx(0.5 * total, rel=1e-5)
    assert set(terms) == {"adversarial", "l1", "sparsity"}


# StyleKD ------------------------------------------------------------------------------------------


def test_directions_find_what_sways_a_block():
    T = generator()
    u = F.normalize(torch.randn(2, 8), dim=1)
    u[1] = F.normalize(u[1] - (u[1] @ u[0]) * u[0], dim=0)
    with torch.no_grad():
        # 12 rows along u0, 4 along u1, of any length: the eigenvectors are u0 and then u1.
        T.get_parameter("synthesis.b8.conv0.affine.weight").copy_(torch.rand(8, 1) * u[0])
        rows = torch.cat([3 * u[:1].expand(4, -1), -20 * u[1:].expand(4, -1)])
        T.get_parameter("synthesis.b8.conv1.affine.weight").copy_(rows)
    bank = stylekd.directions(T, ["b8"], top=2)
    assert bank.shape == (2, 8)
    swapped = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close((bank @ u.T).abs(), swapped, atol=1e-5, rtol=0)
    assert stylekd.directions(T, ["b8", "b16"]).shape == (10, 8)


def test_shifts_are_a_direction_of_the_bank_times_normal_noise():
    torch.manual_seed(0)
    bank = torch.eye(3)
    found = stylekd.shifts(bank, 3000, strength=5.0)
    assert (found.count_nonzero(1) == 1).all()
    assert found.norm(dim=1).square().mean().item() == pytest.approx(25, rel=0.1)
    assert found.ne(0).float().mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_relation_by_hand():
    eye = torch.eye(2)[:, :, None, None]
    teacher = torch.cat([eye, eye])  # cosines: 1 on the diagonal, 0 off it
    student = torch.cat([eye, torch.ones(2, 2, 1, 1)])  # the same to each: softmax 1/2, 1/2
    p = math.e / (math.e + 1)
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert stylekd.relation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)
    assert stylekd.relation_loss(7 * teacher, teacher).item() == pytest.approx(0, abs=1e-7)
    # Both shifted maps are the first's: rows 1, 1 and 0, 0.
    one = torch.cat([eye, eye[:1], eye[:1]])
    assert stylekd.relation_loss(student, one).item() == pytest.approx(0, abs=1e-7)


def test_without_relation_stylekd_is_cagc():
    masked = {"mask": prune.foreground, "distance": distance}
    bank = torch.eye(8)
    port, *_ = quiet(stylekd.stylekd, **masked, bank=bank, relation=False)
    plain, *_ = quiet(cagc.cagc, **masked)
    assert port() == plain()
    full, *_ = quiet(stylekd.stylekd, **masked, bank=bank, layers=LAYERS)
    terms = full()
    assert terms.pop("relation") > 0  # and the images' terms see the unshifted half alone
    assert terms == pytest.approx(plain(), rel=1e-3)


# ITGC ---------------------------------------------------------------------------------------------


def bowl(x, given):
    """An energy with its minimum at 3 + given."""
    return (x - given - 3).square().flatten(1).sum(1) / 2


def test_langevin_by_hand():
    start = torch.zeros(2, 1, 1, 1, requires_grad=True)
    found = itgc.langevin(bowl, start, steps=3, size=0.5, noise=0.0)
    assert found.flatten().tolist() == pytest.approx([3 * (1 - 0.5**3)] * 2)
    assert not found.requires_grad and start.grad is None
    torch.manual_seed(0)
    flat = lambda x, given: 0 * x.flatten(1).sum(1)  # noqa: E731
    walked = itgc.langevin(flat, torch.zeros(4000, 1, 1, 1), steps=4, noise=0.005)
    assert walked.std().item() == pytest.approx(0.005 * 2, rel=0.1)
    assert torch.equal(itgc.langevin(bowl, start, steps=0), start)


class Bowl(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.7))

    def forward(self, x, given):
        return self.a * (x - 2 * given).flatten(1).square().mean(1)


def itgc_pieces(**how):
    S, T, D, E = generator(1, 0.5), frozen(generator(2)), discriminator(), Bowl()
    nets = S, T, D, E, adam(S), adam(D), adam(E)
    how = {"steps": 1, "size": 0.0, "noise": 0.0, "mixing": 0.0, **how}
    players = itgc.itgc(*nets, prune.everything, None, **how)
    with stored_noise(S), stored_noise(T), torch.no_grad():
        x, y = S(batch().cond), T(batch().cond)
    return {p.name: p for p in players}, S, T, E, x, y


def test_itgc_terms_by_hand():
    players, S, T, _, x, y = itgc_pieces()
    # Langevin stands still, so that its samples are the student's images.
    positive = 0.7 * (y - 2 * x).flatten(1).square().mean(1)
    negative = 0.7 * x.flatten(1).square().mean(1)
    with stored_noise(S), stored_noise(T):
        g, e = players["G"].terms(batch()), players["energy"].terms(batch())
    gap = (positive - negative).mean().item()
    assert g["information"].item() == pytest.approx(0.05 * gap, rel=1e-4)
    assert e["gap"].item() == pytest.approx(gap, rel=1e-4)
    squares = (positive.square() + negative.square()).mean().item()
    assert e["regular"].item() == pytest.approx(0.05 * squares, rel=1e-4)


def test_the_student_learns_from_the_energys_second_argument_alone():
    players, S, T, E, x, y = itgc_pieces()
    seen = {}

    def keep(module, args, energies):
        seen[len(seen)] = args

    handle = E.register_forward_hook(keep)
    with stored_noise(S), stored_noise(T):
        term = players["G"].terms(batch())["information"]
    handle.remove()
    _, (wanted, fake), (sampled, again) = seen.values()  # first Langevin's one step
    assert not wanted.requires_grad and not sampled.requires_grad
    assert fake.requires_grad and again is fake
    (grad,) = torch.autograd.grad(term, fake)
    pixels = x[0].numel() * len(x)
    by_hand = 0.05 * 0.7 * (-4 * (y - 2 * x) + 4 * (x - 2 * x)) / pixels
    torch.testing.assert_close(grad, by_hand, rtol=1e-3, atol=1e-7)


# GCC ----------------------------------------------------------------------------------------------


def gates_of(D, blocks=("b8",)):
    return gcc.Gates(D, blocks, torch.zeros(1, 3, 16, 16))


def gcc_offline(rate=1e-3, **how):
    """A quartet, its gates and adapters, and the players by name."""
    S, T, D, D_T = quartet()
    gates, adapters = gates_of(D), gcc.transfers(S, T, LAYERS)
    opts = adam(S, adapters), adam(D), Adam(gates.parameters(), rate), None
    players = gcc.gcc(S, T, D, D_T, gates, adapters, *opts, **GCC, **how)
    return S, T, D, D_T, gates, adapters, {p.name: p for p in players}


def test_open_gates_change_nothing_and_a_shut_one_silences_its_channel():
    D, x = discriminator(), gan.real(batch())
    gates = gates_of(D, ["b16", "b8"])
    assert [len(n) for n in gates.numbers.values()] == [8, 8]
    judge = gcc.gated(D, gates)
    assert torch.equal(judge(x), D(x))
    with torch.no_grad():
        gates.numbers["b8"][2] = 0.1  # at the threshold: shut
        gates.numbers["b8"][3] = 0.11
    handle = D.get_submodule("b8").register_forward_hook(lambda module, args, maps: zeroed(maps, 2))
    expected = D(x)
    handle.remove()
    assert torch.equal(judge(x), expected) and not torch.allclose(expected, D(x))
    assert not D.get_submodule("b8")._forward_hooks


def zeroed(maps, channel):
    maps = maps.clone()
    maps[:, channel] = 0
    return maps


def test_gradients_go_straight_through_the_gates():
    D, x = discriminator(), gan.real(batch())
    gates = gates_of(D)
    with torch.no_grad():
        gates.numbers["b8"][2] = 0.05
    with taps(D, ["b8"]) as maps:
        logits = gcc.gated(D, gates)(x)
    assert maps["b8"].shape == (4, 8, 4, 4)
    (grad,) = torch.autograd.grad(logits.sum(), gates.numbers["b8"])
    factor = torch.ones(8, requires_grad=True)
    hook = D.get_submodule("b8").register_forward_hook(
        lambda module, args, maps: (
            zeroed(maps, 2) + maps * (factor - factor.detach())[:, None, None]
        )
    )
    (expected,) = torch.autograd.grad(D(x).sum(), factor)
    hook.remove()
    torch.testing.assert_close(grad, expected)
    assert grad[2] != 0  # a shut gate can open again


def test_numbers_are_clipped_after_each_step_and_the_level_follows():
    _, T, _, D_T, gates, _, players = gcc_offline(5.0, decay=0.75)
    with stored_noise(T):
        level = 0.25 * D_T(T(batch().cond)).abs().mean().item()
        train([players["gates"]], lambda step: batch(), 1)
    assert set(gates.numbers["b8"].tolist()) == {0.0, 1.0}  # a step of 5 is clipped to either end
    assert gates.level.item() == pytest.approx(level, rel=1e-4)
    assert "level" in gates.state_dict()


def test_the_gates_hold_d_to_the_teachers_level():
    S, T, D, D_T, _, _, players = gcc_offline(decay=0.5)
    with stored_noise(S), stored_noise(T):
        fake, wanted = S(batch().cond), T(batch().cond)
        with torch.no_grad():
            D.b4.out.bias -= D(fake).mean()
        terms = players["gates"].terms(batch())
    level = 0.5 * D_T(wanted).abs().mean()
    expected = (D(fake).abs() - level).abs().mean()
    assert D(fake).min() < 0 < D(fake).max()
    assert terms["gate"].item() == pytest.approx(expected.item(), rel=1e-4)
    real = gan.real(batch())
    adversarial = losses.d_logistic(D(real), D(fake)).item()
    assert terms["adversarial"].item() == pytest.approx(adversarial, rel=1e-4)


def test_gcc_terms_by_hand():
    S, T, D, D_T, _, adapters, players = gcc_offline(l1=2.0)
    assert [tuple(a.weight.shape) for a in adapters] == [(8, 4, 1, 1)]  # pyright: ignore
    with stored_noise(S), stored_noise(T):
        terms = players["G"].terms(batch())
        with taps(S, LAYERS) as mine, taps(T, LAYERS) as theirs:
            x, y = S(batch().cond), T(batch().cond)
    with taps(D_T, ["b8"]) as seen:
        D_T(x)
        judged = seen["b8"]
        D_T(y)
    pairs = [(adapters[0](mine[LAYERS[0]]), theirs[LAYERS[0]]), (judged, seen["b8"])]
    content = sum(F.mse_loss(a, b).sqrt().item() for a, b in pairs)
    gram = sum(F.mse_loss(gram_of(a), gram_of(b)).sqrt().item() for a, b in pairs)
    expected = {
        "adversarial": F.softplus(-D(x)).mean().item(),
        "content": content,
        "gram": 100 * gram,
        "l1": 2 * (x - y).abs().mean().item(),
    }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(expected, rel=1e-4)


def gram_of(maps):
    return torch.einsum("nahw,nbhw->nab", maps, maps) / maps[0].numel()


def test_equal_maps_have_a_gradient_of_0():
    a = torch.randn(2, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(gcc.rms(a, a.detach()), a)
    assert torch.equal(grad, torch.zeros(2, 3))
    assert gcc.rms(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 6.0])).item() == pytest.approx(
        12.5**0.5
    )


# NICKEL -------------------------------------------------------------------------------------------


def test_haar_of_one_block_by_hand():
    low, high = nickel_dime.haar(torch.tensor([[[[1.0, 2.0], [5.0, 10.0]]]]))
    assert low.flatten().tolist() == [9.0]
    assert high.flatten().tolist() == [-3.0, -6.0, 2.0]


def test_levels_sum_their_means_and_end_with_the_map():
    a, b = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 8, 8)
    total, seen, wanted = 0.0, a, b
    for level in range(3):
        (seen, h), (wanted, k) = nickel_dime.haar(seen), nickel_dime.haar(wanted)
        total += F.mse_loss(h, k).item()
        found = nickel_dime.high_frequency_gap(a, b, level + 1).item()
        assert found == pytest.approx(total, rel=1e-5)
    assert nickel_dime.high_frequency_gap(a, b, 4).item() == pytest.approx(total, rel=1e-5)


def nickel_only(**how):
    S, T, D = generator(1, 0.5), frozen(generator(2)), discriminator(1)
    players = nickel_dime.nickel_dime(S, T, D, None, adam(S), adam(D), None, [], pair=PAIR, **how)
    return {p.name: p for p in players}, S, T, D


def test_nickel_reaches_the_first_two_blocks_of_d_alone():
    S, T = generator(1, 0.5), generator(2).eval()
    D, D_T = discriminator(1), discriminator(2)
    opts = adam(S), adam(D), adam(D_T)
    players = nickel_dime.nickel_dime(S, T, D, D_T, *opts, [], pair=PAIR)
    term = {p.name: p for p in players}["D"].terms(batch())["nickel"]
    term.backward()  # nothing is frozen here: it is the graph that ends
    for net in (S, T, D_T):
        assert all(p.grad is None for p in net.parameters())
    grads = {n: p.grad for n, p in D.named_parameters() if p.grad is not None}
    reached = {n.split(".")[0] for n, grad in grads.items() if grad.any()}
    assert reached == {"fromrgb", "b16", "b8"}


def test_nickel_by_hand():
    players, S, T, D = nickel_only(mixing=0.0)
    with stored_noise(S), stored_noise(T):
        terms = players["D"].terms(batch())
        with taps(T, PAIR[:1]) as wanted:
            shown = T(batch().cond)
        fake = S(batch().cond)
    with taps(D, PAIR[1:]) as seen:
        D(shown)
    gap = nickel_dime.high_frequency_gap(seen["b8"], wanted["synthesis.b4.conv1"])
    assert seen["b8"].shape == (4, 8, 4, 4) and gap > 0
    assert terms["nickel"].item() == pytest.approx(10 * gap.item(), rel=1e-4)
    adversarial = losses.d_logistic(D(gan.real(batch())), D(fake)).item()
    assert terms["adversarial"].item() == pytest.approx(adversarial, rel=1e-4)


def calls(net, act):
    seen = []
    handle = net.get_submodule("synthesis").register_forward_hook(lambda *_: seen.append(1))
    act()
    handle.remove()
    return len(seen)


def test_the_teacher_draws_once_an_iteration():
    def count(kernels, **how):
        S, T, D, D_T = quartet()
        opts = adam(S), adam(D), adam(D_T)
        players = nickel_dime.nickel_dime(S, T, D, D_T, *opts, kernels, pair=PAIR, **how)
        return calls(T, lambda: train(players, lambda step: batch(), 1))

    assert count(KERNELS[:1]) == 1
    assert count(KERNELS[:1], nickel=0.0) == 0
    assert count(KERNELS) == 2  # a target of the batch needs the teacher when G acts, too


# DiME ---------------------------------------------------------------------------------------------


def test_moments_by_hand_and_in_chunks():
    found = nickel_dime.moments(torch.tensor([[1.0, 0.0], [3.0, 2.0]]))
    assert found.first.tolist() == [2.0, 1.0] and found.second.tolist() == [5.0, 2.0]
    x = 100 + torch.randn(50, 7)
    whole = nickel_dime.global_moments([x])
    parts = nickel_dime.global_moments(x.split([20, 5, 25]))
    assert parts.count == 50 and parts.first.dtype == torch.double
    for a, b in [(parts.first, whole.first), (parts.second, whole.second)]:
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
    pair = [nickel_dime.global_moments([part]) for part in x.split([41, 9])]
    torch.testing.assert_close(nickel_dime.merged(pair).second, whole.second, rtol=1e-12, atol=0)


def identity(target=None, weight=20.0):
    return nickel_dime.Kernel("pixels", lambda x: x.flatten(1), weight, target)


def test_dime_by_hand():
    target = nickel_dime.Moments(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0]), 9)
    images = torch.tensor([[1.0, 2.0], [3.0, 0.0]])[:, :, None, None]
    # Moments 2, 1 and 5, 2: off by 1, 1 and by 4, 2.
    l1 = nickel_dime.dime(identity(target, weight=15.0), images)
    assert l1.item() == pytest.approx(15 * ((1 + 1) / 2 + (4 + 2) / 2))
    l2 = nickel_dime.dime(identity(target), images, mode="l2_moments")
    assert l2.item() == pytest.approx(20 * ((1 + 1) / 2 + (16 + 4) / 2))
    # Image by image: moments 1, 2, 1, 4 and 3, 0, 9, 0.
    single = nickel_dime.dime(identity(target), images, moment_batch=1)
    assert single.item() == pytest.approx(20 * ((0 + 2 + 0 + 0) / 2 + (2 + 0 + 8 + 4) / 2) / 2)


@pytest.mark.parametrize("mode", ["l1_moments", "l2_moments", "rbf_mmd"])
def test_equal_sets_are_at_no_distance_and_others_are(mode):
    torch.manual_seed(0)
    fake, shown = torch.randn(12, 3, 2, 2, requires_grad=True), torch.randn(12, 3, 2, 2)
    order = torch.randperm(12)
    kernel = identity()
    zero = nickel_dime.dime(kernel, shown[order], shown, mode=mode)
    assert zero.item() == pytest.approx(0, abs=2e-5)
    away = nickel_dime.dime(kernel, fake + 1, shown, mode=mode)
    assert away.item() > nickel_dime.dime(kernel, fake, shown, mode=mode).item() > 1e-3
    away.backward()
    assert fake.grad is not None and fake.grad.isfinite().all() and fake.grad.any()
    target = shown.flatten(1)
    fixed = nickel_dime.dime(identity(target), fake + 1, mode=mode)
    assert fixed.item() == pytest.approx(away.item(), rel=1e-5)


def test_rbf_mmd_by_hand():
    ours, theirs = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    # One distance within theirs, 2, so the squared width is 4: k(d) = exp(-d^2 / 8).
    k = [math.exp(-d * d / 8) for d in range(3)]
    expected = (1 + k[1]) / 2 + (1 + k[2]) / 2 - 2 * (1 + k[2] + k[1] + k[1]) / 4
    assert nickel_dime.rbf_mmd(ours, theirs).item() == pytest.approx(expected, rel=1e-5)
