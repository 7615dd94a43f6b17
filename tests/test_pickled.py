"""StyleGAN2-ADA's files: tensors are read, code is not, and every refusal says why."""

import dataclasses
import os
import pickle
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganzip import assets, data, presets, runs
from ganzip.nets import stylegan2
from ganzip.nets.pickled import PickleError, load_pkl
from ganzip.papers import nickel_dime


class Persistent:
    """Pickles as a module of the released code does: a function's name, and attributes."""

    def __init__(self, parameters, buffers, modules):
        self.attributes = {
            "training": False,
            "_parameters": parameters,
            "_buffers": buffers,
            "_modules": modules,
            "_non_persistent_buffers_set": set(),
            "activation": "lrelu",
        }

    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "X"}
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (
            {**meta, "state": self.attributes},
        )


@pytest.fixture
def released(monkeypatch):
    """Modules under the names of the released code, so that its files can be imitated."""
    persistence, util = ModuleType("torch_utils.persistence"), ModuleType("dnnlib.util")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("code of the file was run")

    _reconstruct_persistent_obj.__module__ = persistence.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj  # pyright: ignore
    for module in (ModuleType("torch_utils"), ModuleType("dnnlib"), persistence, util):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def imitated(net):
    """A network as the released files hold it: const and fromrgb in blocks, filters as buffers."""
    modules = {name: imitated(child) for name, child in net.named_children()}
    parameters, buffers = dict(net._parameters), dict(net._buffers)
    if isinstance(net, stylegan2.Synthesis):
        modules["b4"].attributes["_parameters"]["const"] = parameters.pop("const")
    if isinstance(net, stylegan2.Discriminator):
        fromrgb = modules.pop("fromrgb")
        next(iter(modules.values())).attributes["_modules"]["fromrgb"] = fromrgb
    if "kernel" in buffers:  # a filter's
        buffers = {"resample_filter": buffers["kernel"]}
    return Persistent(parameters, buffers, modules)


def nets():
    torch.manual_seed(1)
    G = stylegan2.Generator(16, base=64, cap=8, latent=8, layers=2)
    return G, stylegan2.Discriminator(16, base=64, cap=8, group=4)


@pytest.fixture
def file(tmp_path, released):
    G, D = nets()
    path = tmp_path / "network.pkl"
    held = {"G": imitated(G), "D": imitated(D), "G_ema": imitated(G), "training_set_kwargs": {}}
    path.write_bytes(pickle.dumps(held))
    return path


def test_networks_are_those_of_the_file_to_the_bit(file):
    G, D = nets()
    torch.manual_seed(2)
    mine, judge = stylegan2.Generator(16, base=64, cap=8, latent=8, layers=2), nets()[1]
    for p in (*mine.parameters(), *judge.parameters()):
        nn.init.zeros_(p)
    load_pkl(mine, file, "G_ema")
    load_pkl(judge, file, "D")
    z = torch.randn(4, 8)
    with stylegan2.stored_noise(G), stylegan2.stored_noise(mine), torch.no_grad():
        images = G(z)
        assert torch.equal(mine(z), images)
        assert torch.equal(judge(images), D(images))


def test_a_file_that_asks_for_more_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was-run"),)

    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"G_ema": Evil()}))
    with pytest.raises(PickleError, match=r"evil.pkl: asks for \w+.mkdir.*refused"):
        load_pkl(nets()[0], path, "G_ema")
    assert not (tmp_path / "was-run").exists()


def test_what_is_wrong_is_named_and_the_network_stays(file, tmp_path):
    G, _ = nets()
    before = {k: v.clone() for k, v in G.state_dict().items()}
    wide = stylegan2.Generator(16, base=128, cap=16, latent=8, layers=2)
    with pytest.raises(PickleError, match=r"synthesis.const is \(8, 4, 4\), expected \(16, 4, 4\)"):
        load_pkl(wide, file, "G_ema")
    with pytest.raises(PickleError, match=r"holds \['G_ema', 'G', 'D'\], expected a network 'E'"):
        load_pkl(G, file, "E")
    (tmp_path / "half.pkl").write_bytes(file.read_bytes()[:500])
    with pytest.raises(PickleError, match="half.pkl is damaged or no pickle"):
        load_pkl(G, tmp_path / "half.pkl", "G_ema")
    with pytest.raises(FileNotFoundError, match="assets.require"):
        load_pkl(G, tmp_path / "absent.pkl", "G_ema")
    assert all(torch.equal(v, before[k]) for k, v in G.state_dict().items())


def test_the_released_network_is_the_teacher_at_the_scale_of_the_paper(file, tmp_path, monkeypatch):
    faces = tmp_path / "faces"
    faces.mkdir()
    for i, x in enumerate(np.random.default_rng(0).integers(40, 255, (40, 16, 16, 3), np.uint8)):
        Image.fromarray(x).save(faces / f"{i}.png")
    images = data.load(faces, size=16, channels=3)
    preset = dataclasses.replace(
        presets.nickel_dime("paper"), net={"size": 16, "base": 64, "cap": 8}, latent=8, layers=2,
        group=4, batch=4, n_images=8, teacher_steps=8, steps=8, seeds={"fine-tune": {0.5: 1}},
        ablations={}, scratch={},
    )  # fmt: skip
    without = runs.by_name(nickel_dime.plan(preset, images, str(faces)), "teacher-seed0")
    monkeypatch.setenv("GANZIP_WEIGHTS", str(tmp_path))
    file.rename(tmp_path / assets.ASSETS["stylegan2-ffhq256"].file)
    units = nickel_dime.plan(preset, images, str(faces))
    teacher = runs.by_name(units, "teacher-seed0")
    assert (without.config["steps"], teacher.config["steps"]) == (8, 0)
    smoke = dataclasses.replace(preset, name="smoke")  # where every file is ignored
    assert "weights" not in nickel_dime.plan(smoke, images, str(faces))[2].config
    runs.perform(teacher, nickel_dime.work, tmp_path)
    held, kept = nets()[0].state_dict(), teacher.weights(tmp_path)
    assert all(torch.equal(kept[f"G.{name}"], tensor) for name, tensor in held.items())
    scores = runs.frame([teacher], tmp_path).set_index("metric")["value"]
    assert {"FD-efflite2", "fake logit of D", "parameters"} <= set(scores.index)
    assert scores.notna().all()
