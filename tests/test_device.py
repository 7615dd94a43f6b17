from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from ganzip import degrade, device, losses, parallel
from ganzip.methods import gan
from ganzip.nets import dcgan, gcfsr, realesrgan, stylegan2
from ganzip.taps import taps
from ganzip.train import Batch, act

NETS = {
    "DCGAN": lambda: (dcgan.Generator(8), dcgan.Discriminator(8), torch.randn(8, 100)),
    "StyleGAN2": lambda: (
        stylegan2.Generator(16, base=256, cap=32, latent=32, layers=2),
        stylegan2.Discriminator(16, base=256, cap=32, group=4),
        torch.randn(8, 32),
    ),
    "GCFSR": lambda: (
        gcfsr.Generator(size=32, base=1024, cap=32, latent=32),
        gcfsr.Discriminator(size=32, base=1024, cap=32),
        torch.rand(8, 4, 32, 32),
    ),
    "RealESRGAN": lambda: (
        realesrgan.RRDBNet(blocks=2, width=1 / 4),
        realesrgan.UNetDiscriminator(width=1 / 8),
        torch.rand(4, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("family", NETS)
def test_terms_in_bfloat16_are_those_of_single_precision(family):
    torch.manual_seed(0)
    G, D, cond = NETS[family]()
    with torch.no_grad():
        real = G(cond).flip(0) * 0.9
    d, g = torch.optim.Adam(D.parameters(), 0.0), torch.optim.Adam(G.parameters(), 0.0)
    players, mean = [*gan.gan(G, D, g, d), gan.r1(D, d)], gan.PathMean()
    if family == "StyleGAN2":
        players.append(gan.path_length(G, g, mean, mixing=0.0))
    everyone = {p for player in players for p in player.parameters()}
    for player in players:
        found = []
        for lower in (False, True):
            torch.manual_seed(1)
            mean.value = torch.zeros(())
            with device.autocast("cpu") if lower else device.full_precision():
                terms = act(player, everyone, Batch(cond, real), 0)
            found.append({name: term.item() for name, term in terms.items()})
            assert all(term.dtype == torch.float32 for term in terms.values())
            assert all(p.grad.isfinite().all() for p in player.parameters() if p.grad is not None)
            assert any(p.grad is not None for p in player.parameters())
        for name, value in found[0].items():
            assert found[1][name] == pytest.approx(value, rel=0.02), (player.name, name)
            if name in ("r1", "path_length"):  # they are single precision in both
                assert found[1][name] == pytest.approx(value, rel=1e-3)


def test_networks_answer_in_single_precision_and_what_is_between_them_is_not_touched():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)), torch.randn(4, 64)
    inside = {}
    net[0].register_forward_hook(lambda module, args, answer: inside.update(dtype=answer.dtype))
    whole = net(x)
    with device.autocast("cpu"), taps(net, ["0"]) as seen:
        lower = net(x)
        assert (x @ x.T).dtype == torch.float32
        with device.full_precision():
            assert torch.equal(net(x), whole)
            assert inside["dtype"] == torch.float32
        lower = net(x)
    assert inside["dtype"] == torch.bfloat16 and seen["0"].dtype == lower.dtype == torch.float32
    assert not torch.equal(lower, whole) and torch.allclose(lower, whole, atol=0.02)
    assert torch.equal(net(x), whole)


def settings():
    cudnn: Any = torch.backends.cudnn
    return torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.benchmark


@pytest.mark.parametrize("precision", device.PRECISIONS)
def test_cuda_is_set_inside_the_block_and_put_back_after_it(precision):
    before, wanted = settings(), "ieee" if precision == "fp32" else "tf32"
    with device.computing("cuda", precision):
        assert settings() == (wanted, wanted, True)
        with device.computing("cuda"):
            assert settings() == ("ieee", "ieee", True)
        assert settings() == (wanted, wanted, True)
    assert settings() == before
    with device.computing("cpu", precision):
        assert settings() == before


def test_losses_that_hold_a_gradient_take_networks_in_single_precision():
    seen = []

    def D(images):
        seen.append(device._lower)
        return images.square().flatten(1).sum(1)

    x = torch.randn(2, 1, 4, 4)
    with device.autocast("cpu"):
        losses.r1_penalty(D, x)
        losses.gradient_penalty(D, x, -x)
        D(x)
    assert seen == [False, False, True]


def test_seeds_are_those_of_torch_on_every_device_in_use(monkeypatch):
    device.seed(7)
    ours = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(ours, torch.rand(3))
    seeds = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    device.seed(8)
    assert seeds == [8]


def test_units_side_by_side_are_one_a_gpu_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.default_jobs("cpu") == device.cpu_count()
    assert device.default_jobs("cuda") == 2
    monkeypatch.setenv("GANZIP_GPU_JOBS", "3")
    assert device.default_jobs("cuda") == 6 and device.default_jobs("cuda:1") == 3


def test_more_processes_than_gpus_are_refused_before_any_begins(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(parallel, "end_together", lambda: None)
    with pytest.raises(ValueError, match="more than 1, the GPUs here"):
        with parallel.processes("cuda"):
            pass


def test_what_needs_single_precision_asks_for_it(monkeypatch):
    asked = []

    @contextmanager
    def computing(where, precision="fp32"):
        asked.append(precision)
        yield

    monkeypatch.setattr(losses, "computing", computing)
    monkeypatch.setattr(degrade, "computing", computing)
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    losses.ssim(images, images)
    degrade.degrade(images, torch.Generator().manual_seed(0), degrade.sized(64, 64))
    assert asked == ["fp32"] * 2
