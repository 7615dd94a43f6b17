"""Image sets: exact pixels from tiny sets in every form, every error, batches, cache."""

import io
import json
import os
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganzip import data
from ganzip.data import (
    DataError,
    batch_indices,
    decoding,
    describe,
    load,
    real_batches,
    to_float,
    to_uint8,
    trees,
)
from tests.sets import idx, noise, png, write_cifar, write_folder, write_mnist, write_zip

pytestmark = pytest.mark.usefixtures("no_data_folder")


def rgb_set(count=20, side=6):
    """Entries of a set and its pixels, (N, C, H, W) in the order of the names."""
    pixels = noise(count, side, side, 3)
    return {f"0/img{i:02d}.png": png(p) for i, p in enumerate(pixels)}, pixels.transpose(0, 3, 1, 2)


def fails(name, *parts, **options):
    """The one-line message of the DataError that loading must raise; it must hold all parts."""
    with pytest.raises(DataError) as caught:
        load(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message
    return message


def json_labels(pairs):
    return json.dumps({"labels": pairs}).encode()


# Digits -------------------------------------------------------------------------------------------


def test_digits_split_has_the_numbers_of_the_protocol():
    train, test = load(), load(split="test")
    assert (len(train), len(test)) == (1500, 297)
    assert train.pixels.shape[1:] == (1, 16, 16)
    assert train.classes == test.classes == 10
    # Pinned: a drift of numpy's random stream would silently change the split.
    assert trees.part(1797, 297, "test")[:5] == [2, 12, 20, 28, 44]
    ours = sorted(trees.part(1797, 297, "train") + trees.part(1797, 297, "test"))
    assert ours == list(range(1797))


def test_digits_at_native_size_are_sklearns_scaled_to_255():
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    chosen = trees.part(1797, 297, "test")
    test = load(size=8, split="test")
    expected = (digits.images[chosen] * 255 / 16).round()
    assert np.array_equal(test.pixels[:, 0].numpy(), expected)
    assert test.labels is not None
    assert test.labels.tolist() == digits.target[chosen].tolist()
    assert int(test.pixels.max()) == 255


# Named sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist/raw", "MNIST", "mnist", ""])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_exact_in_every_layout(tmp_path, folder, zipped):
    images, labels = noise(3, 5, 5), np.array([7, 0, 2], np.uint8)
    write_mnist(tmp_path / folder, images, labels, zipped=zipped)
    write_mnist(tmp_path / folder, images[:1], labels[:1], "t10k", zipped=zipped)
    train, test = load("mnist", root=tmp_path), load("mnist", root=tmp_path, split="test")
    assert np.array_equal(train.pixels[:, 0].numpy(), images)
    assert train.labels is not None and train.labels.tolist() == [7, 0, 2]
    assert (train.name, train.classes, len(test)) == ("mnist", 8, 1)


def test_cifar_falls_back_on_zips_and_takes_each_whole(tmp_path):
    entries, pixels = rgb_set(4)
    write_zip(tmp_path / "cifar10-train.zip", entries)
    train = load("cifar10", root=tmp_path)
    assert np.array_equal(train.pixels.numpy(), pixels)
    assert train.name == "cifar10-train.zip"
    fails("cifar10", "cifar10-test.zip", "download=True", root=tmp_path, split="test")


def test_celeba_crops_178_and_follows_the_partition(tmp_path):
    pixels = noise(3, 218, 178, 3)
    folder = tmp_path / "celeba" / "img_align_celeba"
    write_folder(folder, {f"00000{i}.png": png(p) for i, p in enumerate(pixels)})
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text(
        "000000.png 2\n000001.png 0\n000002.png 1\n"
    )
    train, test = load("celeba", root=tmp_path), load("celeba", root=tmp_path, split="test")
    assert np.array_equal(train.pixels.numpy(), pixels[1:2, 20:198].transpose(0, 3, 1, 2))
    assert np.array_equal(test.pixels.numpy(), pixels[:1, 20:198].transpose(0, 3, 1, 2))
    assert load("celeba", root=tmp_path, size=64).pixels.shape == (1, 3, 64, 64)


# Folders and zips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_folder_and_zip_split_into_disjoint_parts_with_exact_pixels(tmp_path, write):
    entries, pixels = rgb_set(20)
    labels = [[name, i % 3] for i, name in enumerate(entries)]
    path = write(tmp_path / "faces.zip", {**entries, "dataset.json": json_labels(labels)})
    train, test = load(path), load(path, split="test")
    at = {p.tobytes(): i for i, p in enumerate(pixels)}
    seen = [[at[p.numpy().tobytes()] for p in part.pixels] for part in (train, test)]
    assert [len(s) for s in seen] == [18, 2]
    assert sorted(seen[0] + seen[1]) == list(range(20))
    assert train.labels is not None
    assert train.labels.tolist() == [i % 3 for i in seen[0]]
    assert load(path).fingerprint == train.fingerprint != test.fingerprint


def test_paths_start_at_root_or_at_the_working_directory(tmp_path, monkeypatch):
    write_zip(tmp_path / "a.zip", rgb_set()[0])
    assert len(load("a.zip", root=tmp_path)) == 18
    monkeypatch.setenv("GANZIP_DATA", str(tmp_path))
    assert data.named.root() == tmp_path
    assert len(load("a.zip")) == 18
    monkeypatch.delenv("GANZIP_DATA")
    assert data.named.root() is None
    fails("a.zip", "not found", "GANZIP_DATA")
    monkeypatch.chdir(tmp_path)
    assert len(load("a.zip")) == 18


def test_train_and_test_zips_side_by_side_are_the_parts(tmp_path):
    entries, pixels = rgb_set(20)
    names = list(entries)
    write_zip(tmp_path / "x-train.zip", {n: entries[n] for n in names[:12]})
    assert len(load("x-train.zip", root=tmp_path, split="test")) == 1  # alone: 90/10
    write_zip(tmp_path / "x-test.zip", {n: entries[n] for n in names[12:]})
    assert np.array_equal(load("x-train.zip", root=tmp_path).pixels.numpy(), pixels[:12])
    for name in ("x-train.zip", "x-test.zip"):
        test = load(name, root=tmp_path, split="test")
        assert np.array_equal(test.pixels.numpy(), pixels[12:])
        assert test.name == "x-test.zip"
    fails("x-test.zip", "holds test images", "x-train.zip", root=tmp_path)


def test_null_labels_unsafe_names_and_macos_entries(tmp_path):
    entries, _ = rgb_set(2)
    entries = {f"../../{name}": content for name, content in entries.items()}
    rest = {"__MACOSX/0/._img00.png": b"x", "0/._img00.png": b"x", "readme.txt": b"x", "0/": b""}
    path = write_zip(tmp_path / "a.zip", {**entries, **rest, "dataset.json": json_labels(None)})
    images = load(path)
    assert (len(images), images.labels, images.classes) == (1, None, 0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_crop_and_resize_are_centred_and_bicubic(tmp_path):
    wide = noise(8, 20, 3)
    path = write_folder(tmp_path / "a", {"0.png": png(wide), "1.png": png(wide)})
    assert np.array_equal(load(path, size=8).pixels[0].numpy(), wide[:, 6:14].transpose(2, 0, 1))
    expected = Image.fromarray(wide[:, 6:14]).resize((4, 4), Image.Resampling.BICUBIC)
    assert np.array_equal(load(path, size=4).pixels[0].permute(1, 2, 0), np.asarray(expected))
    native = load(path)
    assert native.pixels.shape == (1, 3, 8, 20)
    assert describe(native)["size"] == "8x20"


def test_modes_are_converted_as_documented(tmp_path):
    def pixel(array, mode=None, **options):
        content = array if isinstance(array, bytes) else png(array, mode)
        path = write_folder(tmp_path / "a", {"0.png": content, "1.png": content})
        return load(path, **options).pixels[0, :, 0, 0].tolist()

    palette, file = Image.new("P", (1, 1), 1), io.BytesIO()
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(file, "png")
    assert pixel(file.getvalue()) == [10, 20, 30]
    palette.save(file := io.BytesIO(), "png", transparency=1)
    assert pixel(file.getvalue()) == [255, 255, 255]
    clear_red = np.array([[[255, 0, 0, 51]]], np.uint8)  # 20 % red on white
    assert pixel(clear_red) == [255, 204, 204]
    assert pixel(np.array([[[200, 0, 0]]], np.uint8), channels=1) == [60]  # 0.299 * 200
    assert pixel(np.array([[65535]], np.uint16)) == [255]
    assert pixel(np.array([[60000]], np.uint16)) == [233]
    assert pixel(np.array([[60000]], np.uint16), channels=3) == [233] * 3
    assert pixel(np.array([[9]], np.uint8)) == [9]
    assert pixel(np.array([[255]], np.uint8), "1") == [255]
    assert pixel(np.array([[[100, 0]]], np.uint8)) == [255]  # LA, transparent: white


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16.0, "16", True, 0, -1])
def test_a_size_is_a_positive_whole_number(size):
    fails("digits", f"size={size!r}: expected a positive whole number", size=size)


def test_damaged_idx_files(tmp_path):
    images, labels = noise(3, 5, 5), np.zeros(3, np.uint8)
    image_file = tmp_path / "MNIST" / "train-images-idx3-ubyte"
    label_file = tmp_path / "MNIST" / "train-labels-idx1-ubyte"
    write_mnist(image_file.parent, images, labels)
    image_file.write_bytes(idx(images)[:-1])
    fails("mnist", image_file, "90 bytes", "expected 91", "(3, 5, 5)", root=tmp_path)
    image_file.write_bytes(idx(labels))
    fails("mnist", image_file, "2049", "expected 2051", root=tmp_path)
    image_file.write_bytes(b"")
    fails("mnist", image_file, "magic number 0", root=tmp_path)
    image_file.write_bytes(idx(images[:0]))
    label_file.write_bytes(idx(labels[:0]))
    fails("mnist", "no images", root=tmp_path)
    image_file.write_bytes(idx(images))
    label_file.write_bytes(idx(labels[:2]))
    fails("mnist", label_file, "2 labels, expected 3", root=tmp_path)
    label_file.unlink()
    fails("mnist", label_file, "absent", root=tmp_path)


def test_damaged_gzip(tmp_path):
    file = tmp_path / "MNIST" / "train-images-idx3-ubyte.gz"
    write_mnist(file.parent, noise(30, 5, 5), np.zeros(30, np.uint8), zipped=True)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"not gzip", whole[:-8] + bytes(8)):
        file.write_bytes(content)
        fails("mnist", file, "damaged", root=tmp_path)


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_cifar_pickles_run_no_code_and_must_be_sound(tmp_path):
    folder, bait = tmp_path / "cifar-10-batches-py", tmp_path / "bait"
    write_cifar(folder)
    batch = folder / "data_batch_3"
    whole = batch.read_bytes()
    batch.write_bytes(pickle.dumps({"data": Evil(str(bait)), "labels": []}))
    fails("cifar10", batch, "mkdir is neither an array", root=tmp_path)
    assert not bait.exists()
    batch.write_bytes(whole[:100])
    fails("cifar10", batch, "damaged", root=tmp_path)
    batch.write_bytes(pickle.dumps({"data": noise(2, 3072), "labels": [1]}))
    fails("cifar10", batch, "1 labels, expected 2", root=tmp_path)
    batch.unlink()
    fails("cifar10", batch, "absent", root=tmp_path)


@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize(
    ("index", "parts"),
    [
        (
            json_labels([["0/img00.png", 1], ["0/img01.png", 0], ["no.png", 0]]),
            ["no.png is listed"],
        ),
        (json_labels([["0/img00.png", 1]]), ["0/img01.png is without a label"]),
        (json_labels([["0/img00.png", 10**8], ["0/img01.png", 1]]), ["is 100000000, expected 0"]),
        (json_labels([["0/img00.png", 0], ["0/img01.png", -1]]), ["0/img01.png is -1, expected"]),
        (json_labels([["0/img00.png", 0.5], ["0/img01.png", 1]]), ["TypeError"]),
        (b"{}", ["KeyError", '{"labels": null}']),
        (b"{", ["JSONDecodeError"]),
    ],
)
def test_label_files_must_fit_the_images(tmp_path, write, index, parts):
    path = write(tmp_path / "a.zip", {**rgb_set(2)[0], "dataset.json": index})
    fails(path, path, "dataset.json", *parts)


@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("damage", [b"not an image", png(noise(40, 40, 3))[:600], b""])
def test_a_corrupt_image_is_named(tmp_path, write, damage):
    entries, _ = rgb_set(20)
    name = list(entries)[trees.part(20, 2, "train")[5]]
    path = write(tmp_path / "a.zip", {**entries, name: damage})
    fails(path, path, f"image {name} cannot be decoded", size=4)


def test_corrupt_zips(tmp_path):
    path = write_zip(tmp_path / "a.zip", rgb_set(4)[0])
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    fails(path, path, "BadZipFile", "intact .zip")
    key = trees.part(4, 1, "train")[0]
    at = content.find(b"IDAT", content.find(f"0/img0{key}.png".encode()))
    content[at + 8] ^= 255
    path.write_bytes(content)
    fails(path, path, f"image 0/img0{key}.png cannot be decoded", "CRC")
    (tmp_path / "a.png").write_bytes(png(noise(4, 4)))
    fails(tmp_path / "a.png", "a folder or an intact .zip")


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("grey", [["0/img00.png", "0/img01.png"], ["0/img03.png"]])
def test_grey_and_colour_images_become_rgb(tmp_path, capsys, grey, cache):
    entries = rgb_set(5, side=9)[0] | {name: png(noise(9, 9)) for name in grey}
    path, folder = write_folder(tmp_path / "a", entries), tmp_path / "c" if cache else None
    mixed = load(path, size=4, cache=folder)
    assert "a: grey and colour images, all brought to RGB" in capsys.readouterr().out
    rgb = load(path, size=4, channels=3)
    assert torch.equal(mixed.pixels, rgb.pixels) and mixed.fingerprint == rgb.fingerprint
    assert capsys.readouterr().out == ""
    for name in entries:
        (path / name).write_bytes(png(noise(9, 9)))
    assert load(path, size=4, cache=folder).pixels.shape == (4, 1, 4, 4)


# Fingerprint and cache ----------------------------------------------------------------------------


def test_fingerprint_depends_on_every_pixel_and_label(tmp_path):
    images, labels = noise(3, 5, 5), np.array([1, 2, 3], np.uint8)

    def mark(images, labels):
        write_mnist(tmp_path / "MNIST", images, labels)
        return load("mnist", root=tmp_path).fingerprint

    first = mark(images, labels)
    assert mark(images, labels) == first
    touched = images.copy()
    touched[2, 4, 4] ^= 1
    assert mark(touched, labels) != first
    assert mark(images, labels[::-1].copy()) != first
    assert mark(images.reshape(3, 25, 1), labels) != first


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_cached_equals_uncached_and_notices_a_change(tmp_path, write, monkeypatch):
    entries, _ = rgb_set(20)
    entries["dataset.json"] = json_labels([[n, i] for i, n in enumerate(entries)])
    path, cache = write(tmp_path / "a.zip", entries), tmp_path / "cache"
    plain, written = load(path, size=4), load(path, size=4, cache=cache)
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded again"))
        cached = load(path, size=4, cache=cache)
    for images in (written, cached):
        assert torch.equal(images.pixels, plain.pixels)
        assert torch.equal(torch.as_tensor(images.labels), torch.as_tensor(plain.labels))
        assert images.fingerprint == plain.fingerprint
    assert load(path, size=4, channels=1, cache=cache).pixels.shape[1] == 1
    assert len(load(path, size=4, split="test", cache=cache)) == 2
    kinds = (".npy", ".labels.npy", ".json", ".sha256", ".lock")
    assert [len(list(cache.glob(f"*{kind}"))) for kind in kinds] == [6, 3, 3, 3, 3], "three sets"

    write(path, {**entries, "0/img01.png": entries["0/img00.png"]})
    changed = load(path, size=4, cache=cache)
    assert changed.fingerprint == load(path, size=4).fingerprint != plain.fingerprint


def test_a_failed_or_lost_cache_leaves_nothing_and_is_made_again(tmp_path):
    entries, _ = rgb_set(20)
    path, cache = tmp_path / "a.zip", tmp_path / "cache"
    name = list(entries)[trees.part(20, 2, "train")[5]]
    write_zip(path, {**entries, name: b"broken"})
    fails(path, name, cache=cache)
    assert [f.suffix for f in cache.iterdir()] == [".lock"]
    write_zip(path, entries)
    load(path, cache=cache)
    next(cache.glob("*.npy")).unlink()
    assert load(path, cache=cache).fingerprint == load(path).fingerprint


# Ranges and batches -------------------------------------------------------------------------------


def test_float_and_uint8_are_inverse():
    levels = torch.arange(256, dtype=torch.uint8)
    floats = to_float(levels)
    assert (floats[0], floats[-1], floats.dtype) == (-1, 1, torch.float32)
    assert torch.equal(to_uint8(floats), levels)
    assert to_uint8(torch.tensor([-1.5, -0.9972, 0.0, 1.5])).tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize(("n", "batch"), [(10, 5), (10, 4), (7, 20), (3, 1), (5, 5)])
def test_every_epoch_holds_each_index_once(n, batch):
    indices = batch_indices(n, batch, seed=3)
    walk = torch.cat([indices(step) for step in range(4 * n)])
    assert len(walk) == 4 * n * batch
    epochs = walk.reshape(-1, n)
    assert torch.equal(epochs.sort(1).values, torch.arange(n).expand_as(epochs))
    if n > 3:
        assert not torch.equal(epochs[0], epochs[1])


def test_batches_depend_on_seed_and_step_alone():
    forwards = batch_indices(50, 8, seed=1)
    steps = {step: forwards(step) for step in range(30)}
    backwards = batch_indices(50, 8, seed=1)
    assert all(torch.equal(backwards(step), steps[step]) for step in (29, 1000 % 30, 6, 7, 0))
    assert not torch.equal(batch_indices(50, 8, seed=2)(0), steps[0])


def test_real_batches_are_the_images_of_the_indices():
    images = load()
    at = batch_indices(len(images), 32, seed=5)(1000)
    batch = real_batches(images, 32, seed=5)(1000)
    assert torch.equal(batch, to_float(images.pixels[at]))
    assert batch.min() >= -1 and batch.max() <= 1


# Photos -------------------------------------------------------------------------------------------


def test_embedded_photos_are_seven_rgb_tensors():
    from skimage.data import chelsea

    photos = data.photos()
    names = ["china", "flower", "astronaut", "chelsea", "coffee", "stereo_motorcycle", "rocket"]
    assert list(photos) == names
    assert all(p.dtype == torch.uint8 and p.shape[0] == 3 for p in photos.values())
    assert min(min(p.shape[1:]) for p in photos.values()) == 300
    assert np.array_equal(photos["chelsea"].permute(1, 2, 0), chelsea())


def test_photos_of_a_folder_keep_their_sizes_and_become_rgb(tmp_path):
    grey, rgba, wide = noise(4, 5), noise(6, 3, 4), noise(3, 3).astype(np.uint16) * 257
    rgba[0, 0] = (10, 20, 30, 0)
    entries = {"a.png": png(grey), "b.png": png(rgba), "c.png": png(wide)}
    photos = data.photos(write_folder(tmp_path / "mixed", entries))
    assert [tuple(p.shape) for p in photos.values()] == [(3, 4, 5), (3, 6, 3), (3, 3, 3)]
    assert np.array_equal(photos["a.png"][2], grey)
    assert photos["b.png"][:, 0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(photos["c.png"][0], wide // 257)
    (tmp_path / "mixed" / "b.png").write_bytes(b"no image")
    photos = data.photos("mixed", root=tmp_path)  # decoded one by one, so that the others are there
    assert len(photos) == 3 and photos["a.png"].shape == (3, 4, 5)
    with pytest.raises(DataError, match="mixed: image b.png cannot be decoded.*replace or remove"):
        photos["b.png"]
    with pytest.raises(KeyError):
        photos["d.png"]
    with pytest.raises(DataError, match="absent: not found, looked for a folder or zip"):
        data.photos("absent", root=tmp_path)


def test_parts_of_photos_are_disjoint_with_a_gap():
    photos = {"wide": torch.arange(116).expand(3, 50, 116), "tall": torch.zeros(3, 216, 100)}
    photos = {name: photo.to(torch.uint8) for name, photo in photos.items()}
    manifest = data.split_photos(photos)
    boxes = {(e["photo"], e["part"]): (e["top"], e["left"], e["height"], e["width"])
             for e in manifest}  # fmt: skip
    # 116 = 50 + 8 + 25 + 8 + 25 and 216 = 100 + 8 + 50 + 8 + 50
    assert boxes["wide", "train"] == (0, 0, 50, 50)
    assert boxes["wide", "validation"] == (0, 58, 50, 25)
    assert boxes["wide", "test"] == (0, 91, 50, 25)
    assert boxes["tall", "test"] == (166, 0, 50, 100)
    assert json.loads(json.dumps(manifest)) == manifest
    wide, tall = data.cut_photos(photos, manifest, "validation")
    assert wide[0, 0].tolist() == list(range(58, 83)) and tall.shape == (3, 50, 100)
    with pytest.raises(DataError, match="part='val': not in the manifest"):
        data.cut_photos(photos, manifest, "val")


def test_photos_are_dealt_whole_by_name_and_seed_alone():
    photos = {f"{i:02}": torch.full((3, 4, 5), i, dtype=torch.uint8) for i in range(12)}
    manifest = data.deal_photos(photos)
    parts = [entry["part"] for entry in manifest]
    assert {part: parts.count(part) for part in parts} == {"train": 8, "validation": 2, "test": 2}
    backwards = data.deal_photos(dict(reversed(photos.items())))
    assert sorted(map(str, backwards)) == sorted(map(str, manifest))
    (first, *_), held = data.cut_photos(photos, manifest, "test"), manifest[parts.index("test")]
    assert first.shape == (3, 4, 5) and first[0, 0, 0] == int(str(held["photo"]))
    with pytest.raises(DataError, match="4 photos, expected five or more"):
        data.deal_photos(dict(list(photos.items())[:4]))
