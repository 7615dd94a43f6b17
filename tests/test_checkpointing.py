"""Activations computed again: the same numbers, less memory."""

import copy

import pytest
import torch
from torch import nn

from benchmarks.checkpointing import checkpointed
from benchmarks.measure import kept_per_image
from ganzip.losses import path_lengths
from ganzip.nets.stylegan2 import Discriminator, Generator, stored_noise
from ganzip.taps import taps

BLOCKS = ["synthesis.b8", "synthesis.b16", "synthesis.b32"]


def generator() -> Generator:
    torch.manual_seed(0)
    G = Generator(32, base=256, cap=8, latent=6, layers=2)
    with torch.no_grad():
        for p in G.parameters():
            p.add_(0.1 * torch.randn_like(p))  # or noise would have no strength
    return G


def gradients(G, *, second_order=False):
    torch.manual_seed(1)  # fresh noise in every block
    ws = G.mapping(torch.randn(2, 6))[:, None].repeat(1, G.synthesis.num_ws, 1)
    images = G.synthesis(ws)
    loss = path_lengths(images, ws).mean() if second_order else images.square().mean()
    every = list(G.parameters())
    grads = torch.autograd.grad(loss, every, allow_unused=True, materialize_grads=True)
    return [images.detach(), *grads]


@pytest.mark.parametrize("second_order", [False, True])
def test_outputs_and_gradients_are_the_same_with_fresh_noise(second_order):
    G = generator()
    plain = gradients(G, second_order=second_order)
    with checkpointed(G, BLOCKS):
        again = gradients(G, second_order=second_order)
    for a, b in zip(plain, again, strict=True):
        assert torch.equal(a, b)
    assert sum(x.abs().sum().item() > 0 for x in plain) > 20


def test_noise_matters_to_these_gradients():
    G = generator()
    with stored_noise(G):
        still = gradients(G)
    assert not torch.equal(still[0], gradients(G)[0])


def test_a_discriminator_keeps_its_r1():
    torch.manual_seed(0)
    D = Discriminator(32, base=256, cap=8, group=2)
    real = torch.randn(4, 3, 32, 32, requires_grad=True)

    def r1():
        (grad,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
        penalty = grad.square().sum()
        return torch.autograd.grad(penalty, list(D.parameters()), materialize_grads=True)

    plain = r1()
    with checkpointed(D, ["b32", "b16"]):
        again = r1()
    for a, b in zip(plain, again, strict=True):
        assert torch.equal(a, b)


def test_backward_keeps_a_third_or_less():
    G = generator()

    def forward(n: int):
        return G(torch.randn(n, 6))

    plain = kept_per_image(forward)
    with checkpointed(G, BLOCKS):
        less = kept_per_image(forward)
    assert 0 < less < plain / 3
    assert kept_per_image(forward) == plain  # and as before behind the block


def test_networks_leave_as_they_came_even_copies_and_nested():
    G = generator()
    with checkpointed(G, BLOCKS), checkpointed(G, BLOCKS[:1]):
        twin = copy.deepcopy(G)
        plain = gradients(twin)
    assert all("forward" not in m.__dict__ for m in G.modules())
    for a, b in zip(plain, gradients(G), strict=True):
        assert torch.equal(a, b)


def test_an_inner_block_ends_and_the_outer_one_holds():
    G = generator()
    with checkpointed(G, BLOCKS):
        outer = G.get_submodule(BLOCKS[0]).forward
        with checkpointed(G, BLOCKS[:1]):
            assert G.get_submodule(BLOCKS[0]).forward is not outer
        assert G.get_submodule(BLOCKS[0]).forward is outer


def test_taps_still_see_the_map():
    G = generator()
    with checkpointed(G, BLOCKS), taps(G, ["synthesis.b16.conv1"]) as seen:
        G(torch.randn(2, 6))
    assert seen["synthesis.b16.conv1"].shape == (2, 8, 16, 16)


def test_an_unknown_name_is_refused_before_anything_changes():
    net = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(KeyError, match="Sequential has no module 'b4'; it has"):
        with checkpointed(net, ["0", "b4"]):
            pass
    assert "forward" not in net[0].__dict__
