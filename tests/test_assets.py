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


def test_missing_says_where_it_goes_how_to_get_it_and_what_stands_in(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    named, cache = folders
    assert not assets.available("inception")
    with pytest.raises(assets.MissingAsset) as caught:
        assets.require("inception")
    said = str(caught.value)
    assert isinstance(caught.value, FileNotFoundError) and "\n" not in said
    asset = assets.ASSETS["inception"]
    for part in (
        asset.file,
        asset.source,
        asset.meanwhile,
        str(named),
        str(cache),
        "GANZIP_WEIGHTS",
    ):
        assert part in said
    monkeypatch.delenv("GANZIP_WEIGHTS")
    with pytest.raises(assets.MissingAsset) as caught:
        assets.require("inception")
    assert f"put it into {cache}" in str(caught.value) and str(named) not in str(caught.value)


def test_the_named_folder_comes_before_the_cache(folders: tuple[Path, Path]):
    named, cache = folders
    in_cache = save(cache / "inception-2015-12-05.pt")
    assert assets.available("inception") and assets.require("inception") == in_cache
    in_named = save(named / "inception-2015-12-05.pt")
    assert assets.require("inception") == in_named


def test_truncated(folders: tuple[Path, Path]):
    path = save(folders[0] / "inception-2015-12-05.pt")
    path.write_bytes(path.read_bytes()[:-40])
    assert assets.available("inception")  # there, and require tells what is wrong with it
    with pytest.raises(
        assets.BrokenAsset, match=r"2015-12-05\.pt is truncated: a zip .* get it again"
    ):
        assets.require("inception")


def test_a_web_page_is_no_file_of_weights(folders: tuple[Path, Path]):
    (folders[0] / "inception-2015-12-05.pt").write_text("<!DOCTYPE html>")
    with pytest.raises(assets.BrokenAsset, match=r"no file of weights: it starts with b'<!DO'"):
        assets.require("inception")
    (folders[0] / "inception-2015-12-05.pt").write_bytes(b"")
    with pytest.raises(assets.BrokenAsset, match=r"no file of weights: it starts with b''"):
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


def test_a_pickle_of_the_old_format_passes(folders: tuple[Path, Path]):
    path = folders[0] / "dino_resnet50_pretrain.pth"
    torch.save({"weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    assert assets.require("dino-rn50") == path


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


def test_unknown_name():
    with pytest.raises(
        ValueError, match="no asset is called 'inceptoin'; expected one of inception, "
    ):
        assets.require("inceptoin")
    with pytest.raises(ValueError, match="no asset is called"):
        assets.available("vgg")


def test_every_hash_is_hexadecimal_and_every_file_has_its_own_name():
    files = [asset.file for asset in assets.ASSETS.values()]
    assert len(set(files)) == len(files)
    for asset in assets.ASSETS.values():
        assert set(asset.sha256 or "") <= set("0123456789abcdef")
