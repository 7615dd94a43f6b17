"""Real-ESRGAN against published counts, a second reading of the architecture, and its files."""

import struct
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import assets
from ganzip.nets.realesrgan import (
    RRDBNet,
    UNetDiscriminator,
    init_small,
    load_ncnn,
    load_pth,
    start_nearest,
    tiled,
)

TINY = 1 / 32  # 2 channels, growth 1


def tiny(seed: int = 0) -> RRDBNet:
    """A small generator whose blocks matter: their initialisation is ten times the usual."""
    torch.manual_seed(seed)
    net = RRDBNet(width=TINY, blocks=1)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "body." in name and p.ndim == 4:
                p *= 10
            elif p.ndim == 1:
                p.normal_(0, 0.1)
    return net


def images(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


# Networks -----------------------------------------------------------------------------------------


def generator_as_described(p: dict[str, Tensor], x01: Tensor) -> Tensor:
    """The generator in the original's terms, images in [0, 1], one block; from the papers' text."""

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding=1)

    def relu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def dense(name: str, x: Tensor) -> Tensor:
        c1 = relu(conv(f"{name}.conv1", x))
        c2 = relu(conv(f"{name}.conv2", torch.cat([x, c1], 1)))
        c3 = relu(conv(f"{name}.conv3", torch.cat([x, c1, c2], 1)))
        c4 = relu(conv(f"{name}.conv4", torch.cat([x, c1, c2, c3], 1)))
        return 0.2 * conv(f"{name}.conv5", torch.cat([x, c1, c2, c3, c4], 1)) + x

    def doubled(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    first = conv("conv_first", x01)
    inner = dense("body.0.rdb3", dense("body.0.rdb2", dense("body.0.rdb1", first)))
    x = first + conv("conv_body", 0.2 * inner + first)
    x = relu(conv("conv_up1", doubled(x)))
    x = relu(conv("conv_up2", doubled(x)))
    return conv("conv_last", relu(conv("conv_hr", x)))


def test_generator_is_the_one_described_between_two_ranges():
    net, cond = tiny(), images(2, 3, 5, 7)
    expected = generator_as_described(dict(net.named_parameters()), (cond + 1) / 2) * 2 - 1
    assert expected.shape == (2, 3, 20, 28)
    assert torch.allclose(net(cond), expected, atol=1e-5)


def test_dense_blocks_start_at_a_tenth():
    conv = nn.Conv2d(64, 64, 3)
    init_small(conv)
    assert conv.weight.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.02)
    assert conv.bias is not None and not conv.bias.any()
    net = RRDBNet(width=1 / 4, blocks=1)
    # PyTorch's own start, uniform up to 1 / sqrt(fan in), outside of the dense blocks.
    assert net.conv_body.weight.abs().max().item() == pytest.approx(1 / (16 * 9) ** 0.5, rel=0.01)
    conv5 = net.get_submodule("body.0.rdb2.conv5")
    assert conv5.get_parameter("weight").std().item() == pytest.approx(
        0.1 * (2 / (48 * 9)) ** 0.5, rel=0.05
    )


class OriginalDiscriminator(nn.Module):
    """The discriminator in the original's terms: images in [0, 1], torch's older spectral norm."""

    def __init__(self, n: int):
        super().__init__()
        norm = nn.utils.spectral_norm
        self.conv0 = nn.Conv2d(3, n, 3, padding=1)
        for i, (a, b) in enumerate([(n, 2 * n), (2 * n, 4 * n), (4 * n, 8 * n)], 1):
            setattr(self, f"conv{i}", norm(nn.Conv2d(a, b, 4, 2, 1, bias=False)))
        pairs = [(8 * n, 4 * n), (4 * n, 2 * n), (2 * n, n), (n, n), (n, n)]
        for i, (a, b) in enumerate(pairs, 4):
            setattr(self, f"conv{i}", norm(nn.Conv2d(a, b, 3, padding=1, bias=False)))
        self.conv9 = nn.Conv2d(n, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        def conv(i: int, x: Tensor) -> Tensor:
            return F.leaky_relu(self.get_submodule(f"conv{i}")(x), 0.2)

        up = nn.Upsample(scale_factor=2, mode="bilinear")
        x0 = conv(0, x)
        x1 = conv(1, x0)
        x2 = conv(2, x1)
        x4 = conv(4, up(conv(3, x2))) + x2
        x5 = conv(5, up(x4)) + x1
        x6 = conv(6, up(x5)) + x0
        return self.conv9(conv(8, conv(7, x6)))


def test_released_discriminator_loads_and_answers_alike(tmp_path: Path):
    original, shown = OriginalDiscriminator(2), images(2, 3, 16, 24)
    original((shown + 1) / 2)  # a power iteration: u and v are not those of the start
    torch.save({"params": original.state_dict()}, tmp_path / "netD.pth")
    D = UNetDiscriminator(width=TINY)
    load_pth(D, tmp_path / "netD.pth")
    logits = D.eval()(shown)
    assert logits.shape == (2, 1, 16, 24)
    assert torch.allclose(logits, original.eval()((shown + 1) / 2), atol=1e-5)
    assert logits.std() > 1e-3


def test_spectral_norms_are_one():
    D = UNetDiscriminator(width=1 / 8)
    for _ in range(60):
        D(images(1, 3, 8, 8))
    weights = [cast(nn.Conv2d, D.get_submodule(f"conv{i}")).weight for i in range(10)]
    norms = [torch.linalg.matrix_norm(weight.flatten(1), 2).item() for weight in weights]
    assert norms[1:9] == pytest.approx([1.0] * 8, abs=0.05)
    assert all(abs(norms[i] - 1) > 0.1 for i in (0, 9))


# Tiles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "tile"), [(50, 37, 16), (21, 64, 20), (9, 5, 100)])
def test_tiles_that_see_far_enough_give_the_whole(height: int, width: int, tile: int):
    net, cond = tiny(), images(2, 3, height, width)
    with torch.no_grad():
        whole = net(cond)
    # One block reaches 1 + 15 + 1 pixels, the convolutions behind the upsampling 2 more.
    assert (tiled(net, cond, tile, overlap=19) - whole).abs().max() < 1e-5


# Files --------------------------------------------------------------------------------------------


def ncnn(net: RRDBNet) -> bytes:
    """The file that ncnn's tools write of a network in half precision."""
    blocks = [f"body.{i}.rdb{j}.conv{k}" for i in range(1) for j in (1, 2, 3) for k in range(1, 6)]
    ends = ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    parts, p = [], dict(net.named_parameters())
    for name in ["conv_first", *blocks, *ends]:
        half = p[f"{name}.weight"].detach().numpy().astype("<f2").tobytes()
        half += bytes(-len(half) % 4)
        bias = p[f"{name}.bias"].detach().numpy().astype("<f4").tobytes()
        parts.append(struct.pack("<I", 0x01306B47) + half + bias)
    return b"".join(parts)


def test_ncnn_file_loads_to_the_last_bit_of_half_precision(tmp_path: Path):
    theirs, ours, path = tiny(1), tiny(2), tmp_path / "net.bin"
    path.write_bytes(ncnn(theirs))
    load_ncnn(ours, path)
    p = dict(ours.named_parameters())
    for name, value in theirs.named_parameters():
        expected = value.half().float() if value.ndim == 4 else value
        assert torch.equal(p[name], expected), name
        assert p[name].dtype == torch.float32


def test_ncnn_file_of_another_length_or_precision_is_refused_and_not_loaded(tmp_path: Path):
    net, data, path = tiny(), ncnn(tiny(1)), tmp_path / "net.bin"
    before = {name: p.clone() for name, p in net.named_parameters()}
    second = 4 + 2 * 54 + 4 * 2  # behind conv_first: mark, 54 weights, 2 biases
    other = data[:second] + bytes(4) + data[second + 4 :]
    for content, said in (
        (data[:-1], f"holds {len(data) - 1:,} bytes, expected {len(data):,} for the 21 convol"),
        (data + bytes(4), f"holds {len(data) + 4:,} bytes"),
        (other, "convolution 2 of 21, body.0.rdb1.conv1, starts with 0x00000000, expected 0x0130"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            load_ncnn(net, path)
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())


def test_pth_prefers_the_averaged_weights(tmp_path: Path):
    raw, averaged, ours, path = tiny(1), tiny(2), tiny(3), tmp_path / "net.pth"
    torch.save({"params": raw.state_dict(), "params_ema": averaged.state_dict()}, path)
    load_pth(ours, path)
    assert torch.equal(ours.conv_hr.weight, averaged.conv_hr.weight)
    torch.save({"params": raw.state_dict()}, path)
    load_pth(ours, path)
    assert torch.equal(ours.conv_hr.weight, raw.conv_hr.weight)


def test_pth_of_another_network_is_refused(tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save({"params_ema": RRDBNet(width=1 / 16, blocks=1).state_dict()}, path)
    said = r"RRDBNet: conv_first.weight is \(4, 3, 3, 3\), expected \(2, 3, 3, 3\) \(41 such"
    with pytest.raises(ValueError, match=said):
        load_pth(tiny(), path)
    with pytest.raises(ValueError, match=r"conv0.weight is absent, expected \(2, 3, 3, 3\)"):
        load_pth(UNetDiscriminator(width=TINY), path)


def test_broken_and_foreign_pth_are_refused(tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save({"params": tiny().state_dict()}, path)
    whole = path.read_bytes()
    noise = np.random.default_rng(0).bytes(300)
    for data in (whole[: len(whole) // 2], b"<!DOCTYPE html>", b"", noise, b"\x80\x02" + noise):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="is truncated or no file of torch weights") as caught:
            load_pth(tiny(), path)
        assert "\n" not in str(caught.value)


# The released generator ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released() -> RRDBNet:
    try:
        path = assets.require("realesrgan-x4plus")
    except assets.MissingAsset as missing:
        pytest.skip(str(missing))
    net = RRDBNet()
    load_ncnn(net, path)
    return net


def astronaut(rows: slice, columns: slice) -> Tensor:
    from skimage.data import astronaut

    return torch.from_numpy(astronaut()[rows, columns]).permute(2, 0, 1)[None] / 127.5 - 1


def test_released_generator_is_sharper_than_bicubic_and_keeps_colours(released: RRDBNet):
    photo = astronaut(slice(60, 188), slice(160, 288))
    cond = F.interpolate(photo, scale_factor=1 / 4, mode="bicubic", antialias=True)
    bicubic = F.interpolate(cond, scale_factor=4.0, mode="bicubic")
    with torch.no_grad():
        out = released(cond)
    assert (out - photo).mean((0, 2, 3)).abs().max() < 0.05  # RGB in, RGB out, in the same range

    def edges(x: Tensor) -> float:
        return x.diff(dim=-1).abs().mean().item()

    assert edges(bicubic) * 1.2 < edges(out) < edges(photo) * 1.5


def test_a_nearest_start_enlarges_by_nearest_neighbour_and_can_learn():
    net = RRDBNet(width=1 / 8, blocks=2)
    start_nearest(net)
    cond = torch.rand(2, 3, 6, 5) * 2 - 1
    torch.testing.assert_close(net(cond), F.interpolate(cond, scale_factor=4.0))
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):  # the trunk hears of the loss once the layers after it have moved
        optimiser.zero_grad()
        (net(cond) - 0.5).square().mean().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
