"""A GAN of one's own: any generator, every method, a budget, a target, a table."""

import dataclasses
import functools
import itertools
import math
import os
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import rosinality
import torch
from safetensors.torch import save_file
from torch import nn

from ganzip import export, files, metrics, parameters, slicing
from ganzip.distil import compose, family, views
from ganzip.distil.compose import METHODS
from ganzip.distil.family import Adapter, AdapterError
from ganzip.methods import gan
from ganzip.nets import realesrgan, stylegan2
from ganzip.papers import adapters, matrix
from ganzip.papers import your_own_gan as own
from ganzip.papers import your_own_gan_budget as budget
from ganzip.papers import your_own_gan_data as examples
from ganzip.papers import your_own_gan_rows as measure
from ganzip.train import Player
from ganzip.units import find_units, perform, read_rows
from tests import plans

pytestmark = pytest.mark.usefixtures("small_features")


def painter(width):
    """Noise to grey images of 8 pixels."""
    n = max(1, round(8 * width))
    layers = [nn.Linear(6, 16 * n), nn.ReLU(), nn.Unflatten(1, (n, 4, 4))]
    layers += [nn.Conv2d(n, n, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)]
    return nn.Sequential(*layers, nn.Conv2d(n, n, 3, padding=1), nn.Conv2d(n, 1, 1), nn.Tanh())


def enlarger(width):
    """Images to images of twice their size."""
    n = max(1, round(8 * width))
    layers = [nn.Conv2d(3, n, 3, padding=1), nn.ReLU(), nn.Conv2d(n, n, 3, padding=1)]
    return nn.Sequential(*layers, nn.Conv2d(n, 12, 1), nn.PixelShuffle(2))


NOISE = Adapter(name="painter", generator=painter, size=8, channels=1, latent=6, batch=8)
IMAGE = Adapter(
    name="enlarger", generator=enlarger, size=32, factor=2, batch=4, deeper=enlarger,
    weights=lambda: seeded(enlarger).state_dict(),
)  # fmt: skip
SHORT = dataclasses.replace(
    own.EFFORTS["smoke"], count={"train": 8, "test": 5}, n_images=40, judge_steps=5, cached=16
)


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(1.0)


def planned(adapter, methods=(), seeds=1, width=0.5, n=2):
    seen = own.load_dataset(adapter, SHORT, width, "")
    steps = {"teacher": 3} | dict.fromkeys(own.methods_for(adapter, methods), n)
    return own.plan(adapter, SHORT, seen, steps, seeds)


@pytest.fixture(scope="module", params=["NOISE", "IMAGE"])
def trained(request, tmp_path_factory, small_features):
    """All methods that can serve, on a generator of noise and on one of images."""
    adapter = {"NOISE": NOISE, "IMAGE": IMAGE}[request.param]
    root = tmp_path_factory.mktemp(request.param.lower())
    before = os.environ.get("GANZIP_RUNS")
    os.environ["GANZIP_RUNS"] = str(root)
    units = planned(adapter)
    for unit in units:
        perform(unit, functools.partial(own.work, adapter=adapter), root)
    yield adapter, units, root
    os.environ.pop("GANZIP_RUNS")
    if before:
        os.environ["GANZIP_RUNS"] = before


def test_every_method_that_can_serve_has_finite_rows(trained):
    adapter, units, root = trained
    frame = read_rows(units, root)
    assert np.isfinite(frame["value"]).all()
    served = [m for m in METHODS if m not in compose.refusals(adapter)]
    shown = measure.table(frame)
    first = ["teacher", "start"] if adapter.latent else ["teacher", "input", "start"]
    assert shown["method"].tolist()[: len(first) + 1] == [*first, "control"]
    assert set(shown["method"]) == {*first, *served}
    refused = {True: {"GS", "StyleKD", "OMGD"}, False: {"GS", "StyleKD", "cached"}}
    assert set(compose.refusals(adapter)) == refused[bool(adapter.latent)]


def test_students_move_and_the_teacher_does_not(trained):
    adapter, units, root = trained
    start = find_units(units, method="common")[0].weights(root)
    states = {}
    for unit in units:
        if unit.config["method"] in METHODS:
            G = own.student_of(unit, root, adapter)
            assert metrics.params(G) == metrics.params(adapter.generator(0.5))
            states[unit.config["method"]] = torch.cat([p.flatten() for p in G.parameters()])
    first = torch.cat([start[f"G.{name}"].flatten() for name, _ in G.named_parameters()])
    assert not any(torch.equal(state, first) for state in states.values())
    # Those that a method alone sets apart are apart.
    apart = [states[n] for n in "control mse CAGC NICKEL DiME SDAKD DCD GCC".split()]
    assert not any(torch.equal(one, other) for one, other in combinations(apart, 2))
    T = examples.teacher_of(units[-1], root, adapter)
    assert metrics.params(T) == metrics.params(adapter.full())
    teacher = find_units(units, method="teacher")[0]
    kept = files.digest(teacher.folder(root) / "weights.safetensors")
    assert kept == teacher.manifest(root)["weights_sha256"]


def test_every_unit_says_what_its_discriminator_says(trained):
    adapter, units, root = trained
    for unit in units:
        if unit.config["method"] in ("mse", "naive (C,C)", "SDAKD", "GCC", "NICKEL & DiME"):
            logits = own.logits(unit, root, adapter)
            assert len(logits["real"]) == len(logits["generated"]) > 0
            assert all(x.ndim == 1 and x.isfinite().all() for x in logits.values())


def test_a_student_is_saved_with_its_card_and_runs_elsewhere(trained, tmp_path):
    adapter, units, root = trained
    (unit,) = find_units(units, method="mse")
    G = own.student_of(unit, root, adapter)
    path = tmp_path / "student.safetensors"
    export.save(path, G, own.card(unit, root, adapter))
    again = export.load(path, constructor=adapter.generator)
    cond = adapter.example(3)
    assert torch.equal(again(cond), G(cond))
    held = export.card(path)
    assert held.width == 0.5 and held.training["method"] == "mse" and held.metrics


def test_a_killed_and_a_whole_run_are_one(trained, tmp_path):
    """The units are deterministic: what a second run of one gives, bit by bit."""
    adapter, units, root = trained
    (unit,) = find_units(units, method="NICKEL & DiME")
    plans.beside(unit, root, tmp_path)
    perform(unit, functools.partial(own.work, adapter=adapter), tmp_path)
    ours, its = unit.weights(tmp_path), unit.weights(root)
    assert all(torch.equal(ours[name], its[name]) for name in its)


# The start ----------------------------------------------------------------------------------------


def test_slicing_takes_the_right_channels_of_a_dense_block():
    """Where the channels that go are silent and unheard, the narrow network answers alike."""
    torch.manual_seed(0)
    wide, narrow = realesrgan.RRDBNet(blocks=1), realesrgan.RRDBNet(blocks=1, width=0.5)
    with torch.no_grad():
        for name, conv in wide.named_modules():
            if isinstance(conv, nn.Conv2d) and name != "conv_last":
                mute = torch.randperm(conv.out_channels)[: conv.out_channels // 2]
                if name.endswith("conv5") or name in ("conv_first", "conv_body"):
                    mute = torch.arange(0, 64, 2)  # the trunk is one
                conv.weight[mute], conv.bias[mute] = 0, 0  # pyright: ignore
    slicing.rrdb(wide, narrow)
    cond = torch.rand(1, 3, 8, 8) * 2 - 1
    assert torch.allclose(wide(cond), narrow(cond), atol=1e-5)


def test_the_best_start_of_a_trial_is_taken(tmp_path, monkeypatch):
    def perfect(wide, narrow):
        narrow.load_state_dict(wide.state_dict())

    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    adapter = dataclasses.replace(IMAGE, starts={"perfect": perfect}, lr=1e-9)
    units = [u for u in planned(adapter, ("mse",), width=1.0) if u.config["method"] == "common"]
    perform(units[0], functools.partial(own.work, adapter=adapter), tmp_path)
    frame = read_rows(units, tmp_path).set_index(["method", "metric"])["value"]
    assert frame["start", "error after the trial, perfect"] < 1e-6
    assert frame["start", "error after the trial, random"] > 1e-4
    kept, T = units[0].weights(tmp_path), seeded(enlarger).state_dict()
    assert all(torch.equal(kept[f"G.{name}"], value) for name, value in T.items())


def test_a_trained_student_of_the_width_asked_for_is_a_start(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    files = {f"sdakd/{name}": tmp_path / f"{name}.safetensors" for name in ("twin", "half")}
    twin = seeded(enlarger)
    save_file({key: x.half() for key, x in twin.state_dict().items()}, files["sdakd/twin"])
    save_file(enlarger(0.5).state_dict(), files["sdakd/half"])
    adapter = dataclasses.replace(IMAGE, starts={}, students=files, lr=1e-9)
    assert family.fingerprint(adapter) != family.fingerprint(IMAGE)
    units = [u for u in planned(adapter, ("mse",), width=1.0) if u.config["method"] == "common"]
    perform(units[0], functools.partial(own.work, adapter=adapter), tmp_path)
    frame = read_rows(units, tmp_path)
    assert measure.first_weights(frame) == "sdakd/twin"
    assert not frame["metric"].str.contains("half").any()  # of another width
    start = units[0].weights(tmp_path)
    wanted = {key: x.half().float() for key, x in twin.state_dict().items()}
    assert all(torch.equal(start[f"G.{key}"], x) for key, x in wanted.items())


# Target and budget --------------------------------------------------------------------------------


def test_the_largest_width_that_fits_is_found_by_counting():
    width = own.fit_width(IMAGE, {"parameters": 0.5})
    full = metrics.params(enlarger(1.0))
    assert metrics.params(enlarger(width)) <= full / 2
    assert metrics.params(enlarger(width + 1 / budget.GRID)) > full / 2 or width == 1
    absolute = own.fit_width(IMAGE, {"parameters": metrics.params(enlarger(width))})
    assert absolute == width
    assert own.fit_width(IMAGE, {"width": 0.25}) == 0.25
    assert 0 < own.fit_width(IMAGE, {"multiply-adds": 0.4}) < 1


def test_a_width_by_latency_is_measured_once(tmp_path, monkeypatch):
    """Its limit is in milliseconds, as tables show them, or a share of the teacher's."""

    def seconds(nets, cond, count):
        return {key: metrics.params(G) * next(noise) / 1e5 for key, G in nets.items()}

    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    monkeypatch.setattr(budget.cost, "pass_seconds", seconds)
    noise = itertools.repeat(1.0)
    limit = metrics.params(enlarger(0.5)) / 99
    found = [own.fit_width(IMAGE, {"latency": x}) for x in (limit, 0.5)]
    assert metrics.params(enlarger(found[0])) == metrics.params(enlarger(0.5))
    noise = itertools.repeat(3.0)  # the machine is busy
    assert [own.fit_width(IMAGE, {"latency": x}) for x in (limit, 0.5)] == found
    assert own.fit_width(dataclasses.replace(IMAGE, lr=1.0), {"latency": limit}) < found[0]


def test_an_impossible_target_names_the_smallest_reachable():
    least = metrics.params(enlarger(1 / 64))
    with pytest.raises(AdapterError, match=f"smallest reachable is {least}") as error:
        own.fit_width(IMAGE, {"parameters": 10})
    assert "\n" not in str(error.value)
    with pytest.raises(AdapterError, match="expected one of width, parameters"):
        own.fit_width(IMAGE, {"size": 1})


def test_a_budget_is_divided_by_measured_time():
    measured = {"teacher": 0.1, "answer": 0.01, "control": 0.2, "mse": 0.1}
    args = (IMAGE, SHORT, measured, ["control", "mse"], 1)
    steps = own.divide(*args, 400.0, given=True, jobs=3)
    assert steps["mse"] == pytest.approx(2 * steps["control"], abs=1)
    spent = sum(steps[m] * measured[m] for m in ("control", "mse"))
    assert 0.5 * 400 * budget.MARGIN * 3 < spent < 400 * 3 * budget.MARGIN
    with pytest.raises(AdapterError, match=r"a budget of 0.1 minutes leaves .* take [\d.]+"):
        own.divide(*args, 6.0, given=True, jobs=3)


def test_what_a_notebook_says_is_read():
    assert parameters.target_of("multiply-adds 0.1") == {"multiply-adds": 0.1}
    for text in ("width", "0.25", "parameters few"):
        with pytest.raises(ValueError, match="expected one of"):
            parameters.target_of(text)
    assert own.parse_methods("mse, naive (C,C), NICKEL & DiME") == [
        "mse", "naive (C,C)", "NICKEL & DiME"
    ]  # fmt: skip
    assert own.parse_methods("naive (C,1),mse") == ["naive (C,1)", "mse"]
    assert own.parse_methods("all") == own.parse_methods("") == []


# What cannot work is said in one line -------------------------------------------------------------


def said_of(adapter):
    with pytest.raises(AdapterError) as error:
        family.check(adapter)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_shapes_that_do_not_match_are_named():
    assert "gives (2, 3, 16, 16)" in said_of(dataclasses.replace(IMAGE, factor=4))
    assert "cannot be given (2, 5)" in said_of(dataclasses.replace(NOISE, latent=5))
    assert "multiple of factor" in said_of(dataclasses.replace(IMAGE, size=33))
    assert "neither latent, factor" in said_of(dataclasses.replace(IMAGE, factor=0))
    assert "no layers ['nonesuch']" in said_of(dataclasses.replace(IMAGE, layers=["nonesuch"]))
    odd = dataclasses.replace(IMAGE, size=24)
    assert "power of two" in said_of(odd) and "give discriminator=" in said_of(odd)


def test_a_stylegan2_of_any_file_is_a_teacher_of_its_own_sizes(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    path, content = tmp_path / "256px_full_size.pt", rosinality.held({4: 7, 8: 5})
    torch.save(content, path)
    adapter = adapters.load("StyleGAN2", str(path))
    family.check(adapter)
    assert (adapter.size, adapter.latent, adapter.styles) == (8, rosinality.LATENT, True)
    units = planned(adapter, ["mse"], width=0.4)
    for unit in units:
        perform(unit, functools.partial(own.work, adapter=adapter), tmp_path)
    z = adapter.example(4)
    with stylegan2.stored_noise(T := own.teacher_of(units[-1], tmp_path, adapter)):
        assert (T(z) - rosinality.draw(content["g_ema"], z)).abs().max() < 3e-5
    (teacher,), (student,) = find_units(units, method="teacher"), find_units(units, method="mse")
    D = own.critic_of(teacher, tmp_path, adapter).get_parameter("b4.fc.weight")
    moved = (D - content["d"]["final_linear.0.weight"]).abs()
    assert 0 < moved.max() < 0.1  # it went on from the file's
    G = own.student_of(student, tmp_path, adapter)
    assert [len(G.get_parameter(f"synthesis.b{r}.conv1.weight")) for r in (4, 8)] == [3, 2]
    kept = tmp_path / "student.safetensors"
    export.save(kept, G, own.card(student, tmp_path, adapter))
    smaller = adapters.load("StyleGAN2", str(kept))  # a teacher in its turn, without D
    assert metrics.params(smaller.full()) == metrics.params(G) and smaller.d_weights is None
    before = family.fingerprint(adapter)
    content["d"]["final_linear.1.bias"] += 1
    torch.save(content, path)
    assert family.fingerprint(adapter) != before
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(AdapterError, match=r"^StyleGAN2: weights .*truncated.*again$"):
        adapters.load("StyleGAN2", str(path))


def broken(value):
    state = {name: tensor.clone() for name, tensor in enlarger(1.0).state_dict().items()}
    state["2.weight"][0, 0, 0, 0] = value
    return state


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_are_checked_when_planning(suffix, tmp_path, monkeypatch):
    """Foreign ones, numbers that are none, and files that hold something else."""
    monkeypatch.setattr(own, "load_dataset", None)  # loads data
    path = tmp_path / f"w{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    contents = {
        "NaN or infinite in 2.weight": [broken(float("nan")), broken(float("inf"))],
        "do not fit": [enlarger(0.5).state_dict(), painter(1.0).state_dict(), {}],
    }
    if suffix != ".safetensors":
        nested = {"params": enlarger(1.0).state_dict()}
        contents["holds"] = [nested, [1, 2], torch.zeros(3), {"0.weight": 1.0}]
    adapter = dataclasses.replace(IMAGE, weights=str(path))
    for what, states in contents.items():
        for state in states:
            save(state, path)
            with pytest.raises(AdapterError, match=what):
                own.prepare("smoke", adapter=adapter)
    save(enlarger(1.0).state_dict(), path)
    family.check(adapter)
    for content in (b"", b"torn", path.read_bytes()[:100]):
        path.write_bytes(content)
        assert "no state dict, or truncated" in said_of(adapter)
    path.unlink()
    assert "is no file" in said_of(adapter)


def test_maps_that_are_none_are_named():
    linear = dataclasses.replace(NOISE, layers=["0", "3"])
    assert "layer 0 gives (2, 128); expected maps" in said_of(linear)

    class Both(nn.Module):
        """An image, and something beside."""

        def __init__(self, width):
            super().__init__()
            self.draw = painter(width)

        def forward(self, z):
            return self.draw(z), z

    assert "gives a tuple" in said_of(dataclasses.replace(NOISE, generator=Both))

    def perceptron(width):
        hidden = nn.Linear(6, n := round(8 * width))
        return nn.Sequential(hidden, nn.ReLU(), nn.Linear(n, 64), nn.Unflatten(1, (1, 8, 8)))

    assert "no convolution but" in said_of(dataclasses.replace(NOISE, generator=perceptron))

    def judge(width):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))

    refused = compose.refusals(dataclasses.replace(NOISE, discriminator=judge))
    lacking = {name for name, why in refused.items() if "d_layers=" in why}
    assert lacking == {"DCD", "DCD modified", "GCC", "NICKEL", "NICKEL & DiME"}


@pytest.mark.parametrize("size", [28, 48, 96])
def test_what_a_size_that_is_no_power_of_two_forbids_is_refused(size, tmp_path, monkeypatch):
    """And a step of all other methods can be taken."""
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))

    def drawer(width):
        n = max(1, round(8 * width))
        layers = [nn.Linear(6, n * (size // 4) ** 2), nn.Unflatten(1, (n, size // 4, size // 4))]
        for _ in range(2):
            layers += [nn.Conv2d(n, n, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)]
        return nn.Sequential(*layers, nn.Conv2d(n, 1, 1), nn.Tanh())

    def judge(width):
        layers = [nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 4, 2, 1), nn.ReLU()]
        return nn.Sequential(*layers, nn.Conv2d(8, 1, size // 4))

    adapter = dataclasses.replace(NOISE, generator=drawer, discriminator=judge, size=size, batch=2)
    refused = compose.refusals(adapter)
    assert {"ITGC", "NICKEL", "NICKEL & DiME"} == set(refused) - set(compose.refusals(NOISE))
    assert f"gives {size // 4}x{size // 4}" in refused["NICKEL"] and str(size) in refused["ITGC"]
    config = own.load_dataset(adapter, SHORT, 0.5, "").config
    served = own.methods_for(adapter, ())
    assert set(served) <= set(own.rates(adapter, config, served, "cpu"))


def test_a_method_asks_for_the_teachers_answer_by_its_entry(tmp_path, monkeypatch):
    """The example in CONTRIBUTING, on a generator of noise."""

    def mean_image(cast):
        g = cast.learner(cast.setup.student())

        def terms(batch):
            return {"mean": (cast.G(batch.cond).mean(0) - gan.target(batch).mean(0)).square().sum()}

        return [Player("G", g, terms)]

    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    monkeypatch.setitem(METHODS, "mean image", compose.Method("", mean_image, by_answer=True))
    for unit in planned(NOISE, ("mean image",)):
        perform(unit, functools.partial(own.work, adapter=NOISE), tmp_path)
    assert {n for n, method in METHODS.items() if method.by_answer} == {
        "mse", "cached", "joint", "SDAKD", "mean image"
    }  # fmt: skip


def test_a_file_of_ones_own_is_found_and_faults_are_named(tmp_path):
    family.check(adapters.load("my_gan.py:adapter"))
    (tmp_path / "bad.py").write_text("1 / 0")
    faults = {"nonesuch.py:adapter": "expected one of DCGAN", "my_gan.py:other": "no adapter"}
    for name, said in (faults | {f"{tmp_path / 'bad.py'}:adapter": "ZeroDivisionError"}).items():
        with pytest.raises(AdapterError, match=said):
            adapters.load(name)


MINE = """
import torch
from torch import nn
from ganzip.distil.family import Adapter

STRENGTH = 0.5

def soften(images):
    return images * STRENGTH

class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = nn.Conv2d(n, n, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x)

def generator(width):
    n = round(8 * width)
    return nn.Sequential(nn.Conv2d(3, n, 1), Block(n), nn.Conv2d(n, 3, 1))

adapter = Adapter(name="mine", generator=generator, size=8, inputs=lambda x, _: soften(x))
"""
CHANGES = {"x + self": "x - self", "images *": "images +", "= 0.5": "= 0.7", "soften(x))": "x)"}


def test_a_changed_file_of_ones_own_is_read_anew_and_its_units_are_others(tmp_path):
    """Each change has the length of a line that could be edited within a second."""
    path, seen = tmp_path / "mine.py", set()
    for old, new in {"": "", **CHANGES}.items():
        path.write_text(MINE.replace(old, new) if old else MINE)
        adapter = adapters.load(f"{path}:adapter")
        assert adapters.load(f"{path}:adapter") is adapter
        seen.add(family.fingerprint(adapter))
    assert len(seen) == 1 + len(CHANGES)
    path.write_text(f"# a remark\n\n{MINE}")
    assert family.fingerprint(adapters.load(f"{path}:adapter")) in seen


def test_the_code_of_an_adapter_made_in_a_notebook_decides_its_units():
    def adapter(by, start=slicing.leading):
        inputs = functools.partial(lambda images, draws, by: images / by, by=by)
        return dataclasses.replace(IMAGE, inputs=inputs, starts={"mine": start})

    one, again, other = (family.fingerprint(adapter(by)) for by in (2, 2, 3))
    assert one == again != other
    assert family.fingerprint(adapter(2, lambda wide, narrow: None)) != one


# How methods see a generator ----------------------------------------------------------------------


def test_a_generator_without_styles_is_drawn_as_one_with():
    for adapter in (NOISE, IMAGE):
        G, cond = adapter.generator(1.0), adapter.example(3)
        view = views.view(adapter, G)
        assert torch.equal(gan.draw(view, gan.latents(view, cond, 0.0)), G(cond))
        assert torch.equal(view(cond), G(cond))
        assert not adapter.styles
    assert adapters.stylegan2_adapter({"size": 8, "base": 32, "cap": 4}, 4).styles


def test_a_discriminator_shows_its_map_in_the_teachers_shape():
    D = IMAGE.critic()
    images = torch.rand(2, 3, 32, 32)
    name, other = views.judge_layers(IMAGE)[:2]
    talking = views.WithMap(D, name, images, torch.Size([2, 5, 7, 7]))
    (shape,) = views.shapes(talking, images, ["map"])
    assert shape == (2, 5, 7, 7)
    D.eval()
    assert torch.equal(talking.eval()(images), D(images))
    assert other in dict(D.named_modules())


# Conclusions --------------------------------------------------------------------------------------


def frame_of(**scores):
    lines = []
    for method, values in scores.items():
        for seed, value in enumerate(values):
            lines.append({"method": method, "metric": "KID-efflite2", "value": value, "seed": seed})
    for method, n in (("teacher", 800.0), ("student", 100.0)):
        for metric in measure.SIZES:
            lines.append({"method": method, "metric": metric, "value": n, "seed": 0})
    lines.append({"method": "teacher", "metric": "PSNR", "value": 20.0, "seed": 0})
    return pd.DataFrame(lines).assign(steps=10)


def test_a_recommendation_rests_on_the_rows():
    said = measure.recommendation(
        frame_of(teacher=[1.0], start=[9.0], control=[5.0, 5.1], mse=[2.0, 2.1], DiME=[2.0, 2.2])
    )
    assert said[0].startswith("Take mse") and "8.0 times fewer" in said[0]
    assert "against 5.05" in said[1] and said[1].endswith("better.")
    assert "next, DiME" in said[2] and "inconclusive" in said[2]
    assert not any("one seed" in line.lower() for line in said)


def test_of_inconclusive_differences_the_nearest_to_the_teacher_is_taken():
    frame = frame_of(teacher=[1.0], control=[9.0, 9.1], DiME=[2.8, 3.2], mse=[3.0, 3.1])
    near = [("DiME", 19.0), ("mse", 23.0), ("control", 25.0)]
    lines = [{"method": m, "metric": measure.LIKENESS, "value": x} for m, x in near]
    both = pd.concat([frame, pd.DataFrame(lines)], ignore_index=True).fillna({"seed": 0})
    assert measure.choice(both) == ("mse", ["DiME", "mse"])  # the control differs
    said = measure.recommendation(both)
    assert said[0].startswith("Take mse: 23.0 dB from the teacher's images")
    assert "Not significantly worse than DiME, the lowest mean: mse." in said
    assert measure.choice(frame)[0] == "DiME"
    # Where all began from a trained student, what ends worse than that is not taken.
    start = {"method": "start", "metric": "KID-efflite2", "value": 3.02, "seed": 0}
    trial = {"method": "start", "metric": measure.TRIAL + "sdakd/kept", "value": 0.1, "seed": 0}
    begun = pd.concat([both, pd.DataFrame([start, trial])], ignore_index=True)
    assert measure.choice(begun) == ("DiME", ["DiME", "mse"])


def test_one_seed_tells_nothing_and_a_worse_student_is_not_praised():
    said = measure.recommendation(
        frame_of(teacher=[1.0], start=[3.0], input=[2.0], control=[5.0], mse=[4.0])
    )
    assert said[0].startswith(
        "None is ready: mse (4.00) has come no nearer from the enlarged input"
    )
    assert "inconclusive" in said[2]
    assert any("One seed" in line for line in said)
    assert said[-1] == "Beside the enlarged input: KID-efflite2 4.00 against 2.00, worse."


def test_a_student_is_ready_from_half_of_the_way_to_the_teacher():
    for teacher, mse, lack in ((1.0, 5.0, ""), (1.0, 5.1, "49% of the way"), (9.0, 5.0, "9.00")):
        means = {"teacher": teacher, "start": 9.0, "input": 9.5, "mse": mse}
        assert bool(found := measure.shortfall(means, "mse")) == bool(lack) and lack in found


def test_a_trained_start_is_not_what_costs_nothing_and_is_told_beside_the_best():
    trial = {"method": "start", "metric": measure.TRIAL + "sdakd/kept", "value": 0.1, "seed": 0}

    def conclude(mse):
        frame = frame_of(teacher=[1.0], start=[3.0], input=[9.0], control=[8.0, 8.1], mse=mse)
        whole = pd.concat([frame, pd.DataFrame([trial])], ignore_index=True)
        return measure.taken(whole), measure.recommendation(whole)

    (taken, better), (left, worse) = conclude([2.0, 2.1]), conclude([4.0, 4.1])
    assert (taken, left) == ("mse", "start")
    assert better[0].startswith("Take mse")
    assert worse[0].startswith('Take ganzip.load("sdakd/kept")') and " mse" in worse[1]
    for lines in (better, worse):
        assert lines[-1].startswith("All began from sdakd/kept")


# The matrix ---------------------------------------------------------------------------------------


def test_the_matrix_has_every_method_on_every_family_that_it_can_serve(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    units = [unit for unit in matrix.prepare("smoke") if unit.paper == matrix.PAPER]
    planned = {(u.config["adapter"], u.config["method"]) for u in units if "networks" in u.config}
    refused = matrix.footnotes("smoke")
    dashes = set(zip(refused["family"], refused["method"], strict=True))
    wanted = {(name, method) for name in matrix.FAMILIES for method in METHODS}
    students = {(name, method) for name, method in planned if method in METHODS}
    assert students == wanted - dashes and len(dashes) == 10
    for unit in units:
        if unit.config["method"] in METHODS:
            assert unit.needs["teacher"].paper in matrix.PAPERS
    steps = {(u.config["adapter"], u.config["steps"]) for u in units if u.config.get("ema") and
             u.config["method"] in METHODS}  # fmt: skip
    assert len(steps) == len(matrix.FAMILIES)


def test_the_matrix_is_laid_out_with_spreads_and_dashes():
    parts = []
    for i, name in enumerate(matrix.FAMILIES):
        rows = frame_of(teacher=[1.0], start=[9.0], control=[5.0, 5.0 + i], mse=[2.0, 2.5])
        if i < 2:
            rows = rows[rows["metric"] != "PSNR"].replace("KID-efflite2", "FD-digits")
        parts.append(rows.assign(network=name))
    shown = matrix.table(pd.concat(parts)).set_index("method")
    assert shown.index[:3].tolist() == ["teacher", "start", "control"]
    column = next(c for c in shown.columns if c.startswith("RealESRGAN, KID-efflite2, 2 seeds"))
    assert shown.loc["mse", column] == f"2.25 ± {math.sqrt(0.125):.2f}"
    assert shown.loc["GS", column] == matrix.DASH
    told = matrix.against_control(pd.concat(parts)).set_index("method")
    assert told.loc["mse", "DCGAN"] == "supported" and told.loc["GS", "DCGAN"] == matrix.DASH
