"""Tiny image sets in the forms that tools leave, for the tests of reading them."""

import gzip
import io
import pickle
import struct
import zipfile

import numpy as np
from PIL import Image


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(array, mode=None):
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, "png")
    return file.getvalue()


def write_zip(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def write_folder(path, entries):
    for name, content in entries.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def idx(array):
    magic = 2048 + array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def write_mnist(folder, images, labels, part="train", zipped=False):
    """MNIST's files of a part as it is downloaded, or unpacked."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        file = folder / f"{part}-{kind}-ubyte{'.gz' if zipped else ''}"
        file.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))


def write_cifar(folder, protocol=2):
    """CIFAR-10's six batches, two images each: batch i has the labels i and 9 - i."""
    folder.mkdir(parents=True)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        batch = {"data": noise(2, 3072, seed=i), "labels": [i, 9 - i]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
