"""Image sets as people have them: class folders, tools' layouts, the cache's ways, devices."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from ganzip import data, degrade
from ganzip.data import DataError, decoding, load, named, trees
from tests.sets import noise, png, write_cifar, write_folder, write_zip

pytestmark = pytest.mark.usefixtures("no_data_folder")


def write(path, names, **more):
    """A folder or a zip of small images of these names; of more files by name and content."""
    entries = {name: png(noise(4, 4, 3, seed=i)) for i, name in enumerate(names)} | more
    return (write_zip if path.suffix == ".zip" else write_folder)(path, entries)


def labels_of(path):
    """Labels by name of an image, of both splits."""
    found = {}
    for split in ("train", "test"):
        source = named.find(str(path), split, None)
        content = source.read()
        images = load(path, split=split)
        if content.labels is None:
            assert images.labels is None
            return None
        assert images.labels is not None and images.labels.tolist() == content.labels.tolist()
        found |= dict(zip(content.keys, content.labels.tolist(), strict=True))
    return found


# Labels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", ".zip"])
@pytest.mark.parametrize("above", ["", "animals/", "data/animals/"])
def test_class_folders_are_labels_as_torchvision_numbers_them(tmp_path, capsys, end, above):
    names = [f"{above}{kind}/{i}.png" for kind in ("dog", "Cat", "emu") for i in range(4)]
    names += [f"{above}dog/more/9.png"]
    path = write(tmp_path / f"set{end}", names)
    assert labels_of(path) == {n: ["Cat", "dog", "emu"].index(n[len(above) :][:3]) for n in names}
    assert f"set{end}: 3 classes, a folder each: Cat, dog, emu" in capsys.readouterr().out
    assert load(path).classes == load(path, split="test").classes == 3


@pytest.mark.parametrize("labels", [None, [["cat/0.png", 1], ["dog/0.png", 0], ["dog/1.png", 0]]])
def test_dataset_json_wins_over_class_folders(tmp_path, labels):
    index = json.dumps({"labels": labels}).encode()
    path = write(tmp_path / "a", ["cat/0.png", "dog/0.png", "dog/1.png"], **{"dataset.json": index})
    assert labels_of(path) == (None if labels is None else dict(labels))


@pytest.mark.parametrize("end", ["", ".zip"])
def test_folders_of_train_and_test_images_are_the_splits(tmp_path, end):
    names = [f"train/{kind}/{i}.png" for kind in ("cat", "dog") for i in range(3)]
    names += ["val/dog/7.png", "val/emu/8.png", "test/emu/9.png"]
    kept = [n for n in names if not n.startswith("test/")]
    for listed, held in ((kept, "val/"), (names, "test/")):
        path = write(tmp_path / f"a{held[0]}{end}", listed)
        content = {s: named.find(str(path), s, None).read() for s in ("train", "test")}
        assert content["train"].keys == names[:6]
        assert content["test"].keys == [n for n in listed if n.startswith(held)]
        wanted = {n: ["cat", "dog", "emu"].index(n.split("/")[1]) for n in listed}
        assert labels_of(path) == {n: c for n, c in wanted.items() if n[:5] == "train" or held in n}


@pytest.mark.parametrize("end", ["", ".zip"])
@pytest.mark.parametrize("above", ["", "animals/"])
@pytest.mark.parametrize("stray", ["preview.png", "extra/cat/1.png", "animals/new/1.png"])
def test_images_beside_train_and_test_are_refused_not_trained_on(tmp_path, end, above, stray):
    names = [f"{above}{part}/{c}/0.png" for part in ("train", "test") for c in ("cat", "dog")]
    path = write(tmp_path / f"good{end}", names, **{"notes.txt": b"x"})
    assert labels_of(path) == {name: i % 2 for i, name in enumerate(names)}
    path = write(tmp_path / f"a{end}", [*names, stray])
    for split in ("train", "test"):
        with pytest.raises(DataError, match=f"{stray} is neither in {above}train/ nor .* away"):
            load(path, split=split)


def test_a_refused_folder_is_not_taken_from_the_cache(tmp_path, monkeypatch):
    path = write(tmp_path / "a", ["train/cat/0.png", "test/cat/1.png", "preview.png"])
    with monkeypatch.context() as patch:
        patch.setattr(trees, "_check_parts", lambda *_: None)  # as of an earlier version
        load(path, cache=tmp_path / "c")
    with pytest.raises(DataError, match="preview.png is neither"):
        load(path, cache=tmp_path / "c")


def test_two_zips_number_their_classes_alike(tmp_path):
    write(tmp_path / "x-train.zip", ["cat/0.png", "dog/0.png", "emu/0.png"])
    write(tmp_path / "x-test.zip", ["emu/0.png", "dog/0.png"])
    test = load(tmp_path / "x-train.zip", split="test")
    assert test.labels is not None and test.labels.tolist() == [1, 2]
    write(tmp_path / "x-test.zip", ["emu/0.png", "fox/0.png"])
    with pytest.raises(DataError, match="class folder fox is not among .* cat, dog, emu; rename"):
        load(tmp_path / "x-train.zip", split="test")


# What of a folder or zip is read ------------------------------------------------------------------


def test_links_to_folders_and_files_are_followed(tmp_path):
    away = write(tmp_path / "away", ["0.png", "1.png", "deep/2.png"])
    path = write(tmp_path / "a", ["cat/0.png", "dog/0.png"])
    (path / "horse").symlink_to(away)
    (path / "pony").symlink_to(away)  # the same once more is no loop
    (path / "cat" / "1.png").symlink_to(away / "1.png")
    classes = {"cat": ["0", "1"], "dog": ["0"], "horse": ["0", "1", "deep/2"]}
    classes["pony"] = classes["horse"]
    wanted = {f"{c}/{n}.png": i for i, c in enumerate(classes) for n in classes[c]}
    assert labels_of(path) == wanted
    before = load(path, cache=tmp_path / "c").fingerprint
    write(away, ["3.png"])
    assert load(path, cache=tmp_path / "c").fingerprint != before


@pytest.mark.parametrize("target", ["gone", ".", "..", "../odd"])
def test_links_that_lead_nowhere_or_round_are_named(tmp_path, target):
    path = write(tmp_path / "a", ["cat/0.png", "cat/1.png"])
    (path / "cat" / "odd").symlink_to(target)
    if target == "../odd":
        (path / "odd").symlink_to("cat/odd")
    with pytest.raises(DataError, match=r"a/(cat/)?odd: .* expected a file.* remove it"):
        load(path)


@pytest.mark.parametrize("end", ["", ".zip"])
def test_what_is_hidden_is_no_class_and_no_image(tmp_path, end):
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(2)]
    extra = [".thumbnails/0.png", "cat/.ipynb_checkpoints/0-checkpoint.png", "cat/.x/y/0.png"]
    path = write(tmp_path / ".sets" / f"a{end}" if not end else tmp_path / f"a{end}", names + extra)
    assert labels_of(path) == {name: int(name[0] == "d") for name in names}
    assert len(data.photos(path)) == 4


@pytest.mark.parametrize("end", ["", ".zip"])
def test_other_formats_are_read_and_what_is_not_is_told(tmp_path, capsys, end):
    colour = noise(4, 4, 3)
    more = {f"0/{i}.{suffix}": b"x" for suffix in ("HEIC", "heic", "txt") for i in range(2)}
    more |= {"LICENSE": b"x", "0/.x.heic": b"x", "dataset.json": b'{"labels": null}'}
    for suffix, kind in {"tif": "tiff", "tiff": "tiff", "gif": "gif", "jfif": "jpeg"}.items():
        Image.fromarray(colour).save(file := io.BytesIO(), kind)
        more[f"0/b.{suffix.upper()}"] = more[f"0/c.{suffix}"] = file.getvalue()
    path = write(tmp_path / f"a{end}", ["0/a.png"], **more)
    assert len(load(path)) + len(load(path, split="test")) == len(data.photos(path)) == 9
    assert np.array_equal(data.photos(path)["0/c.tif"].permute(1, 2, 0), colour)
    line = f"a{end}: left out are 4 .heic, 2 .txt, 1 without suffix; read are .png"
    assert capsys.readouterr().out.count(line) == 4


@pytest.mark.parametrize("odd", [np.float32(0.5), np.int32(70000), np.int32(-1)])
def test_pixels_of_more_than_16_bits_are_refused_not_clipped(tmp_path, odd):
    Image.fromarray(np.full((4, 4), odd)).save(file := io.BytesIO(), "tiff")
    path = write(tmp_path / "a", [], **{"0.tif": file.getvalue(), "1.tif": file.getvalue()})
    with pytest.raises(DataError, match=r"image .\.tif cannot be decoded .*expected"):
        load(path)


@pytest.mark.parametrize("end", ["", ".zip"])
@pytest.mark.parametrize("above", ["top/", "top/00000/"])
def test_dataset_json_is_found_below_the_common_folder(tmp_path, end, above):
    names = [f"top/00000/img{i}.png" for i in range(4)]
    wanted = {name: i % 2 for i, name in enumerate(names)}
    index = json.dumps({"labels": [[n.removeprefix(above), c] for n, c in wanted.items()]})
    path = write(tmp_path / f"a{end}", names, **{f"{above}dataset.json": index.encode()})
    assert labels_of(path) == wanted
    load(path, cache=tmp_path / "c")
    write(tmp_path / f"a{end}", names, **{f"{above}dataset.json": b'{"labels": [["no.png", 0]]}'})
    with pytest.raises(DataError, match=f"{above}dataset.json: .*; correct it"):
        load(path, cache=tmp_path / "c")


# Layouts of other tools ---------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "CIFAR10", "cifar10", "cifar-10"])
@pytest.mark.parametrize(("packed", "protocol"), [(False, 2), (True, 2), (False, 5)])
def test_cifar_before_and_after_extraction(tmp_path, folder, packed, protocol):
    place = tmp_path / "data" / folder
    place.mkdir(parents=True)
    batches = (tmp_path if packed else place) / "cifar-10-batches-py"
    write_cifar(batches, protocol)
    if packed:
        with tarfile.open(place / "cifar-10-python.tar.gz", "w:gz") as archive:
            archive.add(batches, "cifar-10-batches-py")
    train, test = (load("cifar10", root=tmp_path / "data", split=s) for s in ("train", "test"))
    assert train.labels is not None and train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert np.array_equal(test.pixels.numpy(), noise(2, 3072, seed=5).reshape(2, 3, 32, 32))
    assert train.name == test.name == "cifar10"


def test_a_damaged_archive_is_named(tmp_path):
    write_cifar(tmp_path / "a")
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "a" / "data_batch_1", "cifar-10-batches-py/data_batch_1")
    with pytest.raises(DataError, match=r"tar.gz/data_batch_2: absent .* get it again"):
        load("cifar10", root=tmp_path)
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(DataError, match="tar.gz: damaged .* get it again"):
        load("cifar10", root=tmp_path)


@pytest.mark.parametrize("folder", ["", "celeba", "CelebA"])
@pytest.mark.parametrize("form", ["img_align_celeba", "img_align_celeba.zip"])
@pytest.mark.parametrize("parts", [False, True])
def test_celeba_before_and_after_extraction(tmp_path, folder, form, parts):
    names = [f"{i:06}.png" for i in range(10)]
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    zipped = form.endswith(".zip")
    write(place / form, [f"img_align_celeba/{n}" if zipped else n for n in names])
    if parts:
        lines = [f"{n} {2 if i > 6 else 0}" for i, n in enumerate(names)]
        (place / "list_eval_partition.txt").write_text("\n".join(lines))
    train, test = (load("celeba", root=tmp_path, size=4, split=s) for s in ("train", "test"))
    assert (len(train), len(test)) == ((7, 3) if parts else (9, 1))
    assert train.labels is None


# The cache ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["pixel", "torn", "note", "labels", "moved in time"])
def test_what_is_torn_or_altered_in_the_cache_is_decoded_again(tmp_path, harm):
    path = write(tmp_path / "a", [f"{k}/{i}.png" for k in "ab" for i in range(9)])
    plain = load(path)
    load(path, cache=tmp_path / "c")
    (note,) = (tmp_path / "c").glob("*.json")
    pixels = note.with_suffix(".npy")
    content = bytearray(pixels.read_bytes())
    if harm == "pixel":
        content[-1] ^= 1
        pixels.write_bytes(content)
        os.utime(pixels, ns=(1, 1))
    elif harm == "torn":
        pixels.write_bytes(content[:-9])
    elif harm == "note":
        note.write_text("{")
    elif harm == "labels":
        note.with_suffix(".labels.npy").unlink()
    else:
        os.utime(pixels, ns=(1, 1))
    again = load(path, cache=tmp_path / "c")
    assert torch.equal(again.pixels, plain.pixels) and again.fingerprint == plain.fingerprint
    assert (pixels.stat().st_mtime_ns == 1) == (harm == "moved in time")


def test_a_killed_decoding_goes_on_and_ends_in_the_same_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK", 2)
    monkeypatch.setattr(decoding, "SAVED", 4)
    path = write(tmp_path / "a", [f"{i:02}.png" for i in range(20)])
    prepare, seen = decoding.prepare, []

    def killed(image, *how):
        if len(seen) > 12:
            raise KeyboardInterrupt
        seen.append(image)
        return prepare(image, *how)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(decoding, "prepare", killed)
        patch.setattr(decoding, "cpu_count", lambda: 1)  # of two, one may overtake the other
        load(path, cache=tmp_path / "c")
    (rows,) = (tmp_path / "c").glob("*.rows")
    done = int(rows.read_text())
    assert 4 <= done <= 12
    asked = []
    monkeypatch.setattr(decoding, "prepare", lambda *a: asked.append(a) or prepare(*a))
    images = load(path, cache=tmp_path / "c")
    assert len(asked) == 1 + 18 - done  # the first tells the size
    plain = load(path)
    assert torch.equal(images.pixels, plain.pixels) and images.fingerprint == plain.fingerprint
    left = {f.suffix for f in (tmp_path / "c").iterdir()}
    assert left == {".json", ".npy", ".sha256", ".lock"}


# Batches on a device ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["host", "device", "ahead", None])
def test_batches_are_the_same_wherever_rows_are_kept(tmp_path, place):
    array, indices = noise(23, 2, 4), data.batch_indices(23, 5, seed=1)
    np.save(tmp_path / "rows.npy", array)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="c")
    for rows in map(torch.from_numpy, (array, mapped, mapped.view(np.float16))):
        found = data.batches_of(rows, indices, "cpu", place)
        for step in (0, 1, 2, 9, 4, 5, 0, 0):
            wanted = np.asarray(rows)[indices(step).numpy()]
            batch = found(step).numpy()
            assert batch.dtype == wanted.dtype and batch.tobytes() == wanted.tobytes()


def test_what_fails_ahead_is_raised_when_it_is_asked_for():
    found = data.batches_of(torch.arange(3), lambda step: torch.tensor([2 + step]), place="ahead")
    assert found(0).item() == 2
    with pytest.raises(IndexError):
        found(1)


def test_degraded_batches_ask_the_device_nothing():
    config = degrade.sized(80, 32, 8)
    pool, draws = degrade.Pool(config).to("meta"), torch.default_generator
    for step in range(20):  # both kinds of noise, and a pool that is full
        torch.manual_seed(step)
        patches = torch.zeros(4, 3, 80, 80, device="meta")
        batch = degrade.training_batch(patches, pool, draws, config)
        assert batch.cond.is_meta and batch.real is not None and batch.real.is_meta
