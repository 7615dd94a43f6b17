"""StyleGAN2-ADA's files: tensors are read, code is not, and every refusal says why."""

import collections
import dataclasses
import math
import os
import pickle
import re
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from rosinality import held
from torch._utils import _rebuild_tensor_v2

from ganzip import assets, presets
from ganzip.nets import checkpoints, stylegan2
from ganzip.nets.checkpoints import CheckpointError
from ganzip.papers import nickel_dime
from ganzip.units import find_unit, in_order, perform, read_rows


class Persistent:
    """Pickles as a module of the released code does: a function's name, and attributes."""

    def __init__(self, parameters, buffers, modules, **attributes):
        self.attributes = {
            "training": False,
            "_parameters": collections.OrderedDict(parameters),
            "_buffers": collections.OrderedDict(buffers),
            "_non_persistent_buffers_set": set(),
            "_forward_hooks": collections.OrderedDict(),
            "_is_full_backward_hook": None,
            "_modules": collections.OrderedDict(modules),
            "_init_args": (),
            "_init_kwargs": {},
            **attributes,
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

    class EasyDict(dict):
        pass

    for module, thing in ((persistence, _reconstruct_persistent_obj), (util, EasyDict)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
    for module in (ModuleType("torch_utils"), ModuleType("dnnlib"), persistence, util):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return EasyDict


def imitated(net, **attributes):
    """A network as the released files hold it: const and fromrgb in blocks, filters as buffers.

    Its layers keep the gains that they compute by NumPy, which are scalars of it.
    """
    modules = {name: imitated(child) for name, child in net.named_children()}
    parameters, buffers = dict(net._parameters), dict(net._buffers)
    if isinstance(net, stylegan2.Synthesis):
        modules["b4"].attributes["_parameters"]["const"] = parameters.pop("const")
    if isinstance(net, stylegan2.Discriminator):
        fromrgb = modules.pop("fromrgb")
        next(iter(modules.values())).attributes["_modules"]["fromrgb"] = fromrgb
    if isinstance(net, stylegan2.Verdict):
        modules["mbstd"] = Persistent({}, {}, {}, group_size=net.group, num_channels=1)
    if "kernel" in buffers:  # a filter's
        buffers = {"resample_filter": buffers["kernel"]}
    if "weight" in parameters:
        fan_in = parameters["weight"][0].numel()
        attributes |= {"weight_gain": 1 / np.sqrt(fan_in), "act_gain": np.sqrt(2)}
        attributes |= {"activation": "lrelu", "conv_clamp": 256, "use_fp16": True}
    return Persistent(parameters, buffers, modules, **attributes)


SHAPES = {"size": 16, "channels": (8, 6, 5)}


def nets():
    torch.manual_seed(1)
    G = stylegan2.Generator(**SHAPES, latent=7, layers=2)
    return G, stylegan2.Discriminator(**SHAPES, group=2)


def content(easy, **parts):
    """What a file holds: three networks, options and the augmentation, a network too."""
    G, D = nets()
    kwargs = easy(channel_base=np.int64(32768), conv_clamp=256, num_fp16_res=np.int32(4))
    both = {"c_dim": 0, "img_resolution": np.int64(16), "num_fp16_res": 4, "_init_kwargs": kwargs}
    pipe = Persistent({}, {"Hz_geom": torch.ones(12)}, {}, xflip=1.0, noise=np.float32(0.1))
    held = {"G": imitated(G, **both), "D": imitated(D, **both), "G_ema": imitated(G, **both)}
    return held | {"training_set_kwargs": easy(path="x.zip"), "augment_pipe": pipe} | parts


def pickled_by(held, numpy):
    """The pickle as NumPy 1 or 2 wrote it; they differ in the name of a module."""
    module = {1: b"numpy.core.multiarray", 2: b"numpy._core.multiarray"}[numpy]
    found = re.sub(rb"cnumpy\._?core\.multiarray\n", b"c" + module + b"\n", pickle.dumps(held, 3))
    assert module in found
    return found


@pytest.fixture
def file(tmp_path, released):
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps(content(released)))
    return path


@pytest.mark.parametrize("numpy", [1, 2])
def test_networks_are_those_of_the_file_to_the_bit(numpy, released, tmp_path):
    path = tmp_path / "network.pkl"
    path.write_bytes(pickled_by(content(released), numpy))
    (G, D), (mine, judge) = nets(), checkpoints.load(path)
    assert judge is not None and not mine.training
    z = torch.randn(4, 7)
    with stylegan2.stored_noise(G), stylegan2.stored_noise(mine), torch.no_grad():
        images = G(z)
        assert torch.equal(mine(z), images)
        assert torch.equal(judge(images), D(images))
    found = checkpoints.sizes(path)
    assert found.channels == found.d_channels == (8, 6, 5)
    assert (found.size, found.latent, found.layers, found.group) == (16, 7, 2, 2)


def refusal(path, held=None):
    """The one line that says why a file is refused."""
    if held is not None:
        path.write_bytes(held if isinstance(held, bytes) else pickle.dumps(held))
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    return str(caught.value)


class Reduced:
    """Pickles as a call of a function, and perhaps a state that the result is given."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments, state)

    def __reduce__(self):
        return self.call


def test_a_file_that_asks_for_more_is_refused_and_not_run(tmp_path, released):
    path, target = tmp_path / "evil.pkl", tmp_path / "was-run"
    evil = Reduced(os.mkdir, str(target))
    scalar, dtype = np.float64(1).__reduce__()[0], np.dtype
    assert "mkdir, which no network" in refusal(path, {"G_ema": evil})
    assert "mkdir, which" in refusal(path, content(released, augment_pipe=evil))
    assert "mkdir, which" in refusal(path, {"G": Persistent({}, {}, {}, weight_gain=evil)})
    inner = pickle.dumps(evil)  # NumPy itself unpickles the bytes of a scalar of objects
    for kind in ("O", "V8", "S8", "U2", "M8[s]", "c8", "O8", "g", "f8,O"):
        given = Reduced(scalar, Reduced(dtype, kind), inner)
        assert "expected a plain number: refused" in refusal(path, {"G": given}), kind
    names = Reduced(dtype, "f8", state=(3, "<", None, ("a",), {"a": (np.dtype("O"), 0)}, -1, -1, 0))
    assert "refused" in refusal(path, {"G": Reduced(scalar, names, inner)})
    parts = Reduced(dtype, "f8", state=(3, "<", (np.dtype("f4"), (2,)), None, None, -1, -1, 0))
    assert "a NumPy dtype with parts: refused" in refusal(path, {"G": Reduced(scalar, parts, b"")})
    for wrong in ((b"1234", "f8"), (b"", "f8"), (b"1" * 16, "f8")):
        given = Reduced(scalar, Reduced(dtype, wrong[1]), wrong[0])
        assert "damaged or no pickle" in refusal(path, {"G": given})
    assert "no plain number: refused" in refusal(path, {"G": Reduced(scalar, "f8", b"1" * 8)})
    for name in (b"builtins\neval", b"numpy\nload", b"numpy.core.multiarray\n_reconstruct",
                 b"_codecs\nencode", b"copyreg\n_reconstructor", b"torch\nload"):  # fmt: skip
        asked = name.replace(b"\n", b".").decode()
        assert f"asks for {asked}, which" in refusal(path, b"\x80\x02c" + name + b"\n.")
    assert not target.exists()


def test_functions_that_may_be_called_cannot_be_changed(tmp_path):
    before = _rebuild_tensor_v2.__defaults__
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"numpy\ndtype"):
        # The function itself is given a state: attributes, as a pair of dicts.
        bent = b"\x80\x02c" + name + b"\nN}(X\x0c\x00\x00\x00__defaults__N\x85u\x86b."
        assert "sets attributes of a function: refused" in refusal(tmp_path / "bent.pkl", bent)
    assert _rebuild_tensor_v2.__defaults__ == before


def test_networks_of_other_kinds_are_refused_in_a_line_that_says_so(tmp_path, released):
    path = tmp_path / "other.pkl"
    G, D = nets()
    assert "conditional network" in refusal(path, {"G_ema": imitated(G, c_dim=10)})
    assert "conditional" in refusal(path, {"G_ema": imitated(G), "D": imitated(D, c_dim=1)})
    embedding = imitated(G)
    mapping = embedding.attributes["_modules"]["mapping"].attributes["_modules"]
    mapping["embed"] = Persistent({"weight": torch.zeros(7, 10)}, {}, {})
    assert "take a file that was trained without labels" in refusal(path, {"G_ema": embedding})
    layers = {"input": {"weight": torch.ones(2, 2)}, "L0_36_512": {"weight": torch.ones(2)}}
    inner = {name: Persistent(held, {}, {}) for name, held in layers.items()}
    three = {"mapping": imitated(G.mapping), "synthesis": Persistent({}, {}, inner)}
    assert "StyleGAN3's own network" in refusal(path, {"G_ema": Persistent({}, {}, three)})
    tf = b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81}b."
    assert "TensorFlow's StyleGAN, expected PyTorch's: convert it" in refusal(path, tf)


def test_what_is_wrong_is_named(file, tmp_path):
    (tmp_path / "half.pkl").write_bytes(file.read_bytes()[:500])
    assert "half.pkl is damaged or no pickle" in refusal(tmp_path / "half.pkl")
    path = tmp_path / "x.pkl"
    assert "x.pkl holds ['epoch'], expected networks G_ema, D" in refusal(path, {"epoch": 1})
    assert "x.pkl holds list, expected networks G_ema, D" in refusal(path, [1])
    alone = {"D": imitated(nets()[1])}
    assert "holds ['D'], expected a generator G_ema or G" in refusal(path, alone)
    with pytest.raises(FileNotFoundError, match=r"assets.require"):
        checkpoints.load(tmp_path / "absent.pkl")


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for i, x in enumerate(np.random.default_rng(0).integers(40, 255, (40, 16, 16, 3), np.uint8)):
        Image.fromarray(x).save(folder / f"{i}.png")
    return str(folder)


@pytest.mark.parametrize("numpy", [0, 2])
def test_the_released_network_is_the_teacher_at_the_scale_of_the_paper(
    numpy, released, faces, tmp_path, monkeypatch
):
    """From a pickle and, numpy 0, from rosinality's form: students have the file's sizes."""
    monkeypatch.setenv("GANZIP_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    preset = presets.nickel_dime("paper", labels=False)
    small = {"size": 16, "base": 64, "cap": 8}
    few = {"batch": 4, "n_images": 8, "steps": 2, "epoch": 1, "prune_images": 4, "judge_steps": 2}
    preset = dataclasses.replace(
        preset, net=small, ablations={}, scratch={}, seeds={"fine-tune": {0.5: 1}}, **few
    )
    monkeypatch.setattr(presets, "nickel_dime", lambda *_, **__: preset)
    assert nickel_dime.preset_of("paper", faces)[0].net == small
    asset = assets.ASSETS["stylegan2-ffhq256"]
    if numpy:
        path, sizes = tmp_path / asset.file, {"channels": [8, 6, 5], "latent": 7, "group": 2}
        path.write_bytes(pickled_by(content(released), numpy))
    else:
        path, sizes = tmp_path / asset.others[1], {"channels": [7, 7], "latent": 24, "group": 4}
        torch.save(held({4: 7, 8: 7}), path)
    chosen, images = nickel_dime.preset_of("paper", faces)
    assert images.pixels.shape[-1] == chosen.net["size"] == 2 << len(sizes["channels"])
    units = nickel_dime.plan(chosen, images, faces)
    teacher, student = (find_unit(units, n) for n in ("teacher-seed0", "fine-tune-p50-seed0"))
    assert teacher.config["steps"] == 0 and student.needs["teacher"] is teacher
    for unit in (teacher, student):
        assert unit.config["net"] == {"channels": sizes["channels"]}
        assert all(unit.config[name] == sizes[name] for name in ("latent", "group"))
    for unit in in_order([teacher if numpy else student]):
        perform(unit, nickel_dime.work, tmp_path)
    (G, D), kept = checkpoints.load(path), teacher.weights(tmp_path)
    assert D is not None
    for part, net in (("G", G), ("D", D)):
        assert all(torch.equal(kept[f"{part}.{k}"], x) for k, x in net.state_dict().items())
    S = G if numpy else nickel_dime.generator_of(student, tmp_path)
    for r, n in zip((4, 8, 16), sizes["channels"], strict=False):
        left = n if numpy else math.ceil(n / 2)
        assert len(S.get_parameter(f"synthesis.b{r}.conv1.weight")) == left
    assert read_rows([teacher], tmp_path)["value"].notna().all()
    with torch.no_grad():
        D.b4.out.bias.add_(1.0)  # another file under the same name is another teacher
    torch.save({"g_ema": G.state_dict(), "d": D.state_dict()}, path)
    again = find_unit(nickel_dime.plan(chosen, images, faces), "teacher-seed0")
    assert again.key != teacher.key and again.config["net"] == teacher.config["net"]
    torch.save({"g_ema": G.state_dict()}, path)
    with pytest.raises(CheckpointError, match=r"has no discriminator.*take a whole file"):
        nickel_dime.plan(chosen, images, faces)
