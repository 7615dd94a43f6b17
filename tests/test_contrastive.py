"""The label-free encoder: its loss by hand, its views, and that it learns."""

import math

import pytest
import torch
from torch import nn
from torch.optim import Adam

from ganzip.methods import contrastive
from ganzip.metrics import params
from ganzip.nets.encoder import Encoder
from ganzip.train import Batch, train


def test_the_loss_by_hand():
    # Two images, four views in a plane: 1 and 3 are one image's, 2 and 4 the other's.
    features = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, -1.0]])
    e = math.exp(1 / 0.5)
    ones = -math.log(e / (e + 2))  # cosines 1 with the partner, 0 with both others
    others = -math.log(1 / e / (1 / e + 2))  # and -1
    expected = (2 * ones + 2 * others) / 4
    assert contrastive.nt_xent(features, 0.5).item() == pytest.approx(expected, rel=1e-6)


def test_views_turn_and_shift_as_far_as_they_may():
    image = torch.full((64, 1, 17, 17), -1.0)
    image[:, :, 8, 8] = 1.0
    torch.manual_seed(0)
    seen = contrastive.view(image, rotation=0, scale=0, shift=2 / 17, noise=0)
    row, column = torch.meshgrid(torch.arange(17.0), torch.arange(17.0), indexing="ij")
    weight = (seen[:, 0] + 1) / (seen[:, 0] + 1).sum((1, 2), keepdim=True)
    moved = torch.stack([(weight * at).sum((1, 2)) - 8 for at in (row, column)])
    assert moved.abs().max() <= 2.01 and moved.abs().max() > 1.5
    assert (moved[:, :-1] - moved[:, 1:]).abs().max() > 0.5  # each image its own


def test_the_encoder_learns_to_tell_images_apart_and_alone_moves():
    torch.manual_seed(0)
    net, head, bystander = Encoder(), nn.Linear(128, 16), nn.Linear(1, 1)
    assert params(net) == 93_472
    assert [m.shape[-1] for m in net.maps(torch.zeros(1, 3, 16, 16))] == [16, 8, 4]
    assert net(torch.zeros(2, 3, 20, 12)).shape == (2, 128)
    adam = Adam([*net.parameters(), *head.parameters()], 3e-3)
    images, kept, losses = torch.rand(12, 3, 8, 8) * 2 - 1, bystander.weight.clone(), []
    train(
        contrastive.contrastive(net, head, adam),
        lambda step: Batch(images, images),
        15,
        after=lambda step, terms: losses.append(terms["encoder/contrast"].item()),
    )
    assert losses[-1] < 0.7 * losses[0] and losses[0] > 0.5 * math.log(23)
    assert torch.equal(bystander.weight, kept)
