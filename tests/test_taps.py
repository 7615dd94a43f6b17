import pytest
import torch
from torch import nn

from ganzip.taps import taps


def test_outputs_by_name_with_their_graph():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    with taps(net, ["0", "2"]) as seen:
        y = net(x)
    assert torch.equal(seen["2"], y)
    assert torch.equal(seen["0"], net[0](x))
    seen["0"].sum().backward()
    assert net[0].weight.grad is not None


def test_hooks_are_gone_afterwards_even_after_an_error():
    net = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(RuntimeError), taps(net, ["0"]):
        net(torch.randn(1, 9))
    assert not net[0]._forward_hooks


def test_unknown_name_says_what_there_is():
    with pytest.raises(KeyError, match=r"Sequential has no module 'conv'; it has \['0'\]"):
        with taps(nn.Sequential(nn.ReLU()), ["conv"]):
            pass
