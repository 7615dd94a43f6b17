"""Networks as files: what comes back is what was saved, and what is exported answers alike."""

import json
import re
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import ganzip
from ganzip import export
from ganzip.export import Card
from ganzip.nets import dcgan, gcfsr, realesrgan, stylegan2


class Doubled(nn.Module):
    """A network of somebody's own."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, 1, 1)

    def forward(self, x):
        return self.conv(x).tanh()


def cond(n, seed=0):
    """Four-channel inputs of GCFSR."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 3, 32, 32, generator=rng) * 2 - 1
    return gcfsr.condition(images, torch.rand(n, generator=rng))


def noise(n, latent, seed=0):
    return torch.randn(n, latent, generator=torch.Generator().manual_seed(seed))


FAMILIES = {
    "dcgan": (dcgan.Generator, {"d": 4, "size": 16, "latent": 8}, noise(32, 8)),
    "stylegan2": (
        stylegan2.Generator,
        {"size": 8, "base": 128, "cap": 16, "latent": 16, "layers": 2, "width": 0.5},
        noise(32, 16),
    ),
    "gcfsr": (gcfsr.Generator, {"size": 32, "base": 256, "cap": 8, "latent": 8}, cond(4)),
    "realesrgan": (
        realesrgan.RRDBNet,
        {"width": 0.25, "blocks": 1},
        torch.rand(4, 3, 8, 10, generator=torch.Generator().manual_seed(0)) * 2 - 1,
    ),
}


def built(family):
    """A network as if trained: nothing in it is a 0 or 1 that hides a mistake."""
    constructor, arguments, example = FAMILIES[family]
    net = constructor(**arguments)
    with torch.no_grad():
        for value in [*net.parameters(), *net.buffers()]:
            if value.is_floating_point() and value.ndim < 2:
                value += 0.1 * torch.rand(value.shape)
            elif family == "dcgan":
                value *= 5
    return net, Card(arguments=arguments, input_shape=example.shape, width=0.5), example


@pytest.fixture
def saved(tmp_path):
    net, card, _ = built("dcgan")
    path = tmp_path / "student.safetensors"
    export.save(path, net, card)
    return path


def rewritten(path, **changes):
    """The file with other entries in its card."""
    card = json.loads(metadata(path)) | changes
    save_file(load_file(path), path, {export.KEY: json.dumps(card)})


def metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()[export.KEY]


# One file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_round_trip_keeps_every_bit(family, tmp_path):
    net, card, example = built(family)
    path = tmp_path / "student.safetensors"
    written = export.save(path, net, card)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = ganzip.load(path)
    assert torch.get_rng_state().equal(before)
    assert type(again) is type(net) and not again.training
    assert not any(p.requires_grad for p in again.parameters())
    assert again.state_dict().keys() == net.state_dict().keys()
    assert all(value.equal(again.state_dict()[k]) for k, value in net.state_dict().items())
    with torch.no_grad(), stylegan2.stored_noise(net), stylegan2.stored_noise(again):
        assert net.eval()(example).equal(again(example))
    assert export.card(path) == written
    assert written.architecture == f"ganzip.nets.{family}.{type(net).__name__}"
    assert written.provenance["torch"] == version("torch")


def test_a_card_survives_unicode_and_numbers_of_numpy(tmp_path):
    net, card, _ = built("dcgan")
    told = {"data": "Zürich 写真 \udcff", "method": 'MSE "student"\n', "seed": np.int64(3)}
    rows = [{"metric": "FD", "value": np.float32(0.5)}, {"metric": "FD", "value": float("nan")}]
    path = tmp_path / "é 学生.safetensors"
    export.save(path, net, replace(card, training=told, metrics=rows))
    found = export.card(path)
    assert found.training == told and [row["value"] for row in found.metrics] == [0.5, None]
    assert found.input_shape == (32, 8) and found.output_range == (-1.0, 1.0)
    json.loads(metadata(path), parse_constant=pytest.fail)  # NaN is no JSON


def test_a_network_of_ones_own_is_built_by_what_is_handed_over(tmp_path):
    net, path = Doubled(2), tmp_path / "own.safetensors"
    export.save(path, net, Card(arguments={"channels": 2}, input_shape=(1, 3, 8, 8)))
    with pytest.raises(export.StudentError, match=r"own\.safe.*Doubled.*constructor="):
        export.load(path)
    again = export.load(path, constructor=Doubled)
    assert again.get_parameter("conv.weight").equal(net.conv.weight)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(2)}, path, {"format": "pt"})
    with pytest.raises(
        export.StudentError, match=r"foreign.*no card \(its metadata: format\).*expected"
    ):
        ganzip.load(path)
    for text in ("{", "[]", "{}", '{"format": 1, "colour": "red"}'):
        save_file({"x": torch.zeros(2)}, path, {export.KEY: text})
        with pytest.raises(export.StudentError, match=r"foreign.*get it again"):
            ganzip.load(path)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_torn_file_is_seen(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(export.StudentError, match=r"student.*bytes, is torn.*get it again"):
        ganzip.load(saved)


CODE = ["os.system", "ganzip.units.run.perform", "ganzip.nets.gone.Generator"]
# What a module imports, no network, another module's.
CODE += [f"ganzip.nets.{name}" for name in ("dcgan.nn", "dcgan.stage_widths", "gcfsr.Conv")]


@pytest.mark.parametrize("name", CODE)
def test_a_file_decides_about_no_code(saved, name):
    rewritten(saved, architecture=name, arguments={"command": "true"})
    with pytest.raises(export.StudentError, match=rf"student.*{re.escape(name)}"):
        ganzip.load(saved)


def test_weights_that_do_not_fit(saved):
    rewritten(saved, arguments={"d": 5, "size": 16, "latent": 8})
    with pytest.raises(
        export.StudentError,
        match=r"student.*stages\.0\.0\.weight: .*\[8, 8, 4, 4\].*\[8, 10,",
    ):
        ganzip.load(saved)
    rewritten(saved, arguments={"deep": 1})
    with pytest.raises(export.StudentError, match=r"refuses the card's arguments \{'deep': 1\}"):
        ganzip.load(saved)


def test_a_card_that_is_wrong_is_not_written(tmp_path):
    net, card, _ = built("dcgan")
    path = tmp_path / "x"
    with pytest.raises(export.StudentError, match="weights do not fit"):
        export.save(path, net, replace(card, arguments={"d": 3, "size": 16, "latent": 8}))
    with pytest.raises(ValueError, match="more than JSON values"):
        export.save(path, net, replace(card, training={"teacher": net}))
    assert not path.exists()


# ONNX -------------------------------------------------------------------------------------------


# Their layers are those of the others.
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("dcgan", "gcfsr")]


def answer(path, x):
    """As somebody without ganzip runs a file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return torch.from_numpy(session.run(None, {"input": x.numpy()})[0]), session


def unseen(family):
    """Inputs of a shape that neither the export nor its own check has seen."""
    if family == "realesrgan":
        return torch.rand(7, 3, 5, 21) * 2 - 1
    return cond(7, seed=1) if family == "gcfsr" else noise(7, FAMILIES[family][2].shape[1], 1)


@pytest.fixture(scope="module", params=["stylegan2", "realesrgan", *OTHERS])
def measured(request, tmp_path_factory):
    """Everything about a family once: its network, folder and table."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    net, _, example = built(request.param)
    state = torch.get_rng_state()
    frame = export.variants(net, example, folder, name="student", passes=3)
    return request.param, net, folder, frame, state.equal(torch.get_rng_state())


def test_an_onnx_file_answers_as_pytorch_does(measured):
    family, net, folder, _, _ = measured
    x = unseen(family)
    with torch.no_grad(), stylegan2.stored_noise(net):
        expected = net.eval()(x)
    found, session = answer(folder / "student.onnx", x)
    assert found.shape == expected.shape and expected.std() > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    free = ["batch", 3, "height", "width"] if family == "realesrgan" else ["batch", *x.shape[1:]]
    assert session.get_inputs()[0].shape == free and session.get_outputs()[0].name == "image"
    assert found.equal(answer(folder / "student.onnx", x)[0])


def test_every_variant_is_made_and_measured(measured):
    family, _, folder, frame, _ = measured
    assert list(frame.columns) == export.COLUMNS
    assert [*frame["precision"]] == ["fp32", "fp32", "fp16", "int8"]
    assert [*frame["note"]] == [""] * 4
    assert [*frame["file"]] == ["", "student.onnx", "student.fp16.onnx", "student.int8.onnx"]
    _, exact, half, quantised = frame.itertuples()
    for row in (exact, half, quantised):
        assert (folder / row.file).stat().st_size == row.bytes
        assert 0 <= row.mean_difference <= row.max_difference < 1 and row.psnr > 25
    assert exact.max_difference < 1e-4 < quantised.max_difference
    assert exact.max_difference < half.max_difference < quantised.max_difference
    assert half.bytes < exact.bytes and (frame["latency_ms"] > 0).all()
    assert (frame["threads"] == 1).all()
    if family == "realesrgan":
        assert quantised.bytes < exact.bytes / 1.5


def test_a_file_that_answers_otherwise_is_not_left(tmp_path):
    with pytest.raises(export.OnnxError, match=r"y\.onnx: at an input of .* expected -1 at most"):
        export.to_onnx(Doubled(2), torch.rand(1, 3, 8, 8), tmp_path / "y.onnx", tolerance=-1)
    assert not (tmp_path / "y.onnx").exists()


class Even(nn.Module):
    """Takes even sizes alone."""

    def forward(self, x):
        if x.shape[2] % 2 or x.shape[3] % 2:
            raise ValueError("odd")
        return nn.functional.avg_pool2d(x, 2)


class Branching(nn.Module):
    """What no exporter can follow."""

    def forward(self, x):
        return x * 2 if x.sum().item() > 0 else x


def test_sizes_are_free_where_the_network_leaves_them_so(tmp_path):
    path, x = tmp_path / "x.onnx", torch.rand(4, 3, 12, 6)
    found, session = answer(export.to_onnx(Even(), torch.rand(1, 3, 8, 8), path).path, x)
    assert found.allclose(Even()(x)) and session.get_inputs()[0].shape[2:] == ["height", "width"]


def test_a_variant_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    frame = export.variants(Branching(), torch.rand(2, 3, 8, 8), tmp_path, passes=1)
    assert [note.split(":")[0] for note in frame["note"]] == [
        "", "OnnxError", "FileNotFoundError", "FileNotFoundError"
    ]  # fmt: skip

    def fail(path):
        raise RuntimeError("no kernel\nand more")

    monkeypatch.setattr(export, "half", fail)
    frame = export.variants(Doubled(8), torch.rand(2, 3, 8, 8), tmp_path, passes=1)
    assert [*frame["note"]] == ["", "", "RuntimeError: no kernel", ""]
    assert frame["latency_ms"].isna().tolist() == [False, False, True, False]
    with pytest.raises(ValueError, match="1 inputs; expected 2"):
        export.variants(Doubled(8), torch.rand(1, 3, 8, 8), tmp_path)


def test_eight_bits_cost_what_they_should(tmp_path):
    """One wide convolution: the error is that of rounding, and its bytes are a quarter."""
    net = nn.Sequential(nn.Conv2d(64, 64, 3, bias=False)).eval()
    x = torch.rand(8, 64, 6, 6) * 2 - 1
    exact = export.to_onnx(net, x, tmp_path / "x.onnx")
    path = export.quantise(exact.path, x)
    assert path.name == "x.int8.onnx" and path.stat().st_size < 0.3 * exact.bytes
    with torch.no_grad():
        expected = net(x)
    # A step of weights is max / 127, one of activations 2 / 255, and each rounds by a sqrt(1 / 12).
    weight = net.get_parameter("0.weight").detach()
    fine = weight.abs().amax((1, 2, 3)).mean() / 127
    inputs = 576 * (fine**2 / 3 + weight.var() * (2 / 255) ** 2) / 12
    noise_power = inputs + ((expected.max() - expected.min()) / 255) ** 2 / 12
    found = (answer(path, x)[0] - expected).square().mean()
    assert 0.5 * noise_power < found < 2 * noise_power
