import pytest
import torch
from torch import nn

from ganzip.nets.energy import Energy, SpectralNorm


def singular(weight):
    return torch.linalg.svdvals(weight.detach().flatten(1))[0].item()


def layers(net):
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_no_layer_stretches_by_more_than_1():
    torch.manual_seed(0)
    E = Energy(16, channels=4)
    with torch.no_grad():
        for block in E.blocks:
            block.conv1.parametrizations.weight.original.normal_()  # as training may have left it  # pyright: ignore
    for _ in range(300):
        E(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))
    sigmas = [singular(layer.weight) for layer in layers(E)]
    assert len(sigmas) == 1 + 2 * 3 + 2 + 1
    assert max(sigmas) <= 1 + 1e-3 and min(sigmas) >= 1 - 1e-3


def test_a_bounded_weight_below_1_is_left_alone_and_one_above_is_normalised():
    weight = torch.randn(4, 3, 3, 3)
    small = 1e-10 * weight
    assert torch.equal(SpectralNorm(small, bounded=True)(small), small)
    norm = SpectralNorm(weight, bounded=True)
    for _ in range(200):
        bounded = norm(weight)
    torch.testing.assert_close(bounded, weight / singular(weight), rtol=1e-4, atol=1e-5)
    plain = SpectralNorm(small, bounded=False)
    assert singular(plain(small)) == pytest.approx(1, abs=0.05)


def test_one_power_iteration_a_call_and_none_in_eval_mode():
    torch.manual_seed(0)
    weight = torch.randn(6, 5)
    norm = SpectralNorm(weight, bounded=False)
    norm.u = u = nn.functional.normalize(torch.ones(6), dim=0)
    norm(weight)
    v = weight.T @ u
    expected = weight @ v / (weight @ v).norm()
    torch.testing.assert_close(norm.u, expected)
    norm.eval()(weight)
    assert torch.equal(norm.u, expected) or torch.allclose(norm.u, expected)
    kept = norm.u.clone()
    norm(weight)
    assert torch.equal(norm.u, kept)
