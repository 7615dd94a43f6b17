"""StyleGAN2's files of every form: images are those of the file's networks, refusals say why."""

import argparse
import math
import os

import numpy as np
import pytest
import torch
from rosinality import LATENT, LAYERS, channels, discriminator_state, draw, held, judge, style_of

from ganzip import export
from ganzip.distil import family
from ganzip.nets import checkpoints, stylegan2
from ganzip.nets.checkpoints import CheckpointError
from ganzip.papers import adapters


def images_of(G, z):
    with torch.no_grad(), stylegan2.stored_noise(G):
        return G(z)


# Read ---------------------------------------------------------------------------------------------


CASES = [(32, 1024, True), (64, 1024, False), (64, 2048, True), (256, 2048, True)]


@pytest.mark.parametrize(("size", "base", "zipped"), CASES)
def test_images_and_logits_are_those_of_the_files_networks(size, base, zipped, tmp_path):
    widths, path = channels(size, base), tmp_path / "550000.pt"
    content = held(widths)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    G, D = checkpoints.load(path)
    assert D is not None and not (G.training or D.training)
    z = torch.randn(4, LATENT)
    expected = draw(content["g_ema"], z)
    assert expected.shape == (4, 3, size, size)
    images = images_of(G, z)
    assert expected.std() > 0.5 and (images - expected).abs().max() < 3e-5
    logits = judge(content["d"], images)
    with torch.no_grad():
        assert (D(images) - logits).abs().max() < 3e-5
    found = checkpoints.sizes(path)
    assert found.channels == found.d_channels == tuple(widths.values())
    assert (found.size, found.latent, found.layers, found.group) == (size, LATENT, LAYERS, 4)


def saved(path, content):
    torch.save(content, path)
    return path


def test_what_a_file_lacks_is_made_the_same_each_time(tmp_path):
    content = held(channels(16, 128))
    mean = torch.randn(LATENT)
    path = saved(tmp_path / "converted.pt", {"g_ema": content["g_ema"], "latent_avg": mean})
    G, D = checkpoints.load(path)
    assert D is None and torch.equal(G.mapping.w_avg, mean)
    old = {name: x for name, x in content["g_ema"].items() if not name.startswith("noises.")}
    path = saved(tmp_path / "old.pt", {"g": old})
    state = torch.get_rng_state()
    (G, _), (again, _) = checkpoints.load(path), checkpoints.load(path)
    assert torch.equal(torch.get_rng_state(), state)
    z = torch.randn(20_000, LATENT)
    expected = style_of(content["g_ema"], z)
    apart = (G.mapping.w_avg - expected.mean(0)) / expected.std(0)
    assert apart.abs().max() < 5 * math.sqrt(1 / 10_000 + 1 / 20_000)
    both = zip(G.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(x, y) for x, y in both)
    noises = [x for name, x in G.state_dict().items() if name.endswith("noise_const")]
    assert all(0.5 < x.std() < 1.5 for x in noises) and len(noises) == 5


def test_the_same_networks_come_in_many_wrappings(tmp_path):
    content = held(channels(16, 128))
    plain = {name: content[name] for name in ("g_ema", "d")}
    wrapped = {
        part: {f"module.{name}": x for name, x in state.items()} for part, state in plain.items()
    }
    halves = {part: {n: x.half() for n, x in state.items()} for part, state in plain.items()}
    G, D = checkpoints.load(saved(tmp_path / "a.pt", plain))
    assert D is not None
    files = [
        saved(tmp_path / "wrapped.pt", wrapped),
        saved(tmp_path / "alone.pt", content["g_ema"]),
        saved(tmp_path / "ours.pt", G.state_dict()),
        tmp_path / "ours.safetensors",
        saved(tmp_path / "both.pkl", {"G_ema": G.state_dict(), "D": D.state_dict()}),
    ]
    card = {"input_shape": (1, LATENT), "arguments": {"size": 16, "channels": [32, 16, 8]}}
    card["arguments"] |= {"latent": LATENT, "layers": LAYERS}
    export.save(files[3], G, export.Card(**card))
    z = torch.randn(4, LATENT)
    for file in files:
        mine, judge_too = checkpoints.load(file)
        assert torch.equal(images_of(mine, z), images_of(G, z)), file
        assert (judge_too is None) == (file.stem in ("alone", "ours"))
    assert checkpoints.sizes(files[0]) == checkpoints.sizes(files[0].with_stem("a"))
    assert checkpoints.sizes(files[2]).digest != checkpoints.sizes(files[0]).digest
    mine, _ = checkpoints.load(saved(tmp_path / "half.pt", halves))
    assert {x.dtype for x in mine.state_dict().values()} == {torch.float32}


def test_students_of_odd_widths_are_read_and_cut_further(tmp_path):
    content = held({4: 11, 8: 11, 16: 7})
    G, _ = checkpoints.load(saved(tmp_path / "student.pt", content))
    z = torch.randn(4, LATENT)
    assert (images_of(G, z) - draw(content["g_ema"], z)).abs().max() < 3e-5
    adapter = adapters.load("StyleGAN2", str(tmp_path / "student.pt"))
    S = family.build(adapter, 0.25)
    adapter.starts["content-aware"](G, S)
    assert len(S.get_parameter("synthesis.const")) == 3
    assert images_of(S, z).isfinite().all()


# Refused ------------------------------------------------------------------------------------------


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    with pytest.raises(CheckpointError):
        checkpoints.sizes(path)
    message = str(caught.value)
    assert "\n" not in message and path.name in message
    return message


class Evil:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "was-run"),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_asks_for_more_is_refused_and_not_run(zipped, tmp_path):
    content = held(channels(8, 32)) | {"args": argparse.Namespace(path=Evil(tmp_path))}
    path = tmp_path / "evil.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert "mkdir, which could run any code: refused; save it again" in refusal(path)
    number = {"g_ema": content["g_ema"], "step": np.float64(3)}
    torch.save(number, path, _use_new_zipfile_serialization=zipped)
    assert "scalar, which could run any code: refused" in refusal(path)
    assert not (tmp_path / "was-run").exists()


def test_what_is_wrong_is_named_with_a_remedy(tmp_path):
    path, content = tmp_path / "file.pt", held(channels(16, 128))
    whole = saved(path, content).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated or no file of torch weights: get it again" in refusal(path)
    path.write_bytes(b"GIF89a and more of it")
    assert "starts with b'GIF8', expected a StyleGAN2's .pkl, .pt" in refusal(path)
    path.write_bytes((10**6).to_bytes(8, "little") + b"{")
    assert "truncated or no safetensors" in refusal(path)
    assert "holds ['model', 'epoch'], expected state dicts g_ema and d" in refusal(
        saved(path, {"model": {}, "epoch": 3})
    )
    assert "holds list, expected state dicts" in refusal(saved(path, [1]))
    assert "holds ['conv.weight'], ..., expected a StyleGAN2 generator" in refusal(
        saved(path, {"conv.weight": torch.zeros(3)})
    )
    g, d = content["g_ema"], content["d"]
    torn = {name: x for name, x in g.items() if name != "to_rgbs.1.bias"}
    assert "generator: synthesis.b16.torgb.bias is absent, expected (3,)" in refusal(
        saved(path, {"g_ema": torn})
    )
    assert "generator: extra.weight is (2,), expected absent (1 such tensors)" in refusal(
        saved(path, {"g_ema": g | {"extra.weight": torch.zeros(2)}})
    )
    torn = d | {"final_linear.1.bias": torch.zeros(2)}
    assert "discriminator: b4.out.bias is (2,), expected (1,)" in refusal(
        saved(path, {"g_ema": g, "d": torn})
    )
    smaller = discriminator_state(channels(8, 128))
    assert "of 2 maps, expected 3 as the generator has" in refusal(
        saved(path, {"g_ema": g, "d": smaller})
    )
    with pytest.raises(FileNotFoundError, match=r"none.pt is no file.*assets.require"):
        checkpoints.load(tmp_path / "none.pt")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused(value, tmp_path):
    content = held({4: 4, 8: 4})
    content["g_ema"]["to_rgb1.bias"][0, 1] = value
    torch.save(content, tmp_path / "broken.pt")
    with pytest.raises(CheckpointError, match=r"broken.pt: .*bias of G is NaN or infinite"):
        checkpoints.sizes(tmp_path / "broken.pt")
