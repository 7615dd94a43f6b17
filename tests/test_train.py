import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from ganzip.train import (
    Batch,
    Player,
    averaged,
    cosine,
    every,
    frozen,
    lazy,
    memory,
    train,
)


def noise(step):
    return Batch(torch.randn(4, 3))


def square(net):
    return lambda b: {"square": net(b.cond).square().mean()}


def test_one_step_is_hand_computed_descent():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 2.0)
    player = Player("a", SGD(net.parameters(), 0.1), lambda b: {"loss": 3 * net(b.cond).sum()})
    train([player], lambda step: Batch(torch.ones(1, 1)), 1)
    assert net.weight.item() == pytest.approx(2.0 - 0.1 * 3)


def test_randomness_is_a_function_of_seed_and_step():
    def run(seed, start=0, net=None):
        torch.manual_seed(5)
        net = net or nn.Linear(3, 1)
        player = Player("a", SGD(net.parameters(), 0.1), square(net))
        train([player], noise, 6 if start else 3, seed=seed, start=start)
        return net

    torch.manual_seed(5)
    whole = nn.Linear(3, 1)
    train([Player("a", SGD(whole.parameters(), 0.1), square(whole))], noise, 6, seed=1)
    halves = run(1, start=3, net=run(1))
    assert torch.equal(whole.weight, halves.weight)
    assert not torch.equal(run(1).weight, run(2).weight)


def test_others_are_frozen_while_one_acts():
    a, b = nn.Linear(3, 3), nn.Linear(3, 1)
    seen = {}

    def terms(name):
        def f(batch):
            seen[name] = [p.requires_grad for p in (*a.parameters(), *b.parameters())]
            return {"loss": b(a(batch.cond)).square().mean()}

        return f

    players = [Player(k, Adam(net.parameters()), terms(k)) for k, net in (("a", a), ("b", b))]
    train(players, noise, 1)
    assert seen == {"a": [True, True, False, False], "b": [False, False, True, True]}


def test_two_players_share_one_optimiser_state():
    net = nn.Linear(3, 1)
    adam = Adam(net.parameters())
    players = [Player("D", adam, square(net)), Player("D lazy", adam, square(net), every(4))]
    acted = []
    train(players, noise, 8, after=lambda step, terms: acted.append(len(terms)))
    assert acted == [2, 1, 1, 1, 2, 1, 1, 1]
    assert adam.state[net.weight]["step"].item() == 10


def test_learning_rate_follows_its_schedule():
    net = nn.Linear(3, 1)
    sgd = SGD(net.parameters(), 1.0)
    rates = []
    player = Player("a", sgd, square(net), lr=cosine(0.5, 4))
    train([player], noise, 4, after=lambda step, terms: rates.append(sgd.param_groups[0]["lr"]))
    assert rates == pytest.approx([0.5, 0.25 * (1 + 0.5**0.5), 0.25, 0.25 * (1 - 0.5**0.5)])


def test_frozen_keeps_batch_statistics():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    frozen(net)(torch.randn(8, 3))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(p.requires_grad for p in net.parameters())


def test_the_average_follows_the_network_after_each_step():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(net[0].weight, 2.0)  # pyright: ignore
    optimiser = SGD(net[0].parameters(), 0.1)
    average = averaged(net, optimiser, decay=0.75)
    player = Player(
        "a", optimiser, lambda b: {"loss": net[0](b.cond).sum() + 0 * net(b.cond).sum()}
    )
    train([player], lambda step: Batch(torch.ones(2, 1)), 2)
    # weights 2, 1.8, 1.6: 0.75 * (0.75 * 2 + 0.25 * 1.8) + 0.25 * 1.6
    assert average[0].weight.item() == pytest.approx(0.75 * 1.95 + 0.4)  # pyright: ignore
    assert average[1].num_batches_tracked == net[1].num_batches_tracked == 2  # pyright: ignore
    assert not average.training and not any(p.requires_grad for p in average.parameters())
    with pytest.raises(ValueError, match="decay is 1"):
        averaged(net, optimiser, decay=1)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.98, 0.999, 0.5 ** (16 / 20_000)])
@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6, 35, 45, 105, 320, 10**6])
def test_little_of_the_start_is_left_in_an_average_however_few_the_steps(decay, steps):
    assert memory(decay, steps) ** steps < 0.05
    assert memory(decay, 10**9) == decay


def test_an_average_that_knows_its_steps_leaves_its_start():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 0.0)
    optimiser = SGD(net.parameters(), 1.0)
    short, long = (averaged(net, optimiser, 0.98, steps=n) for n in (45, None))
    player = Player("a", optimiser, lambda b: {"loss": 0.5 * (net.weight - 1).square().sum()})
    train([player], noise, 45)  # the network is at 1 from the first step on
    left = [1 - average.weight.item() for average in (short, long)]  # pyright: ignore
    assert left[0] < 0.05 and left[1] == pytest.approx(0.98**45)


def test_lazy_settings_are_those_of_stylegan2():
    lr, betas = lazy(0.0025, (0.0, 0.99), 4)
    assert (lr, *betas) == pytest.approx((0.0020, 0.0, 0.99199), abs=5e-6)
    lr, betas = lazy(0.0025, (0.0, 0.99), 16)
    assert (lr, *betas) == pytest.approx((0.0023529, 0.0, 0.99059), abs=5e-6)
