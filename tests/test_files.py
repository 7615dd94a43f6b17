"""Files whole or not at all, what a dead process left, and caches that are made again."""

import os
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from ganzip import data, files
from ganzip.papers import super_resolution as sr
from ganzip.report import figures, tables


def test_what_dead_processes_left_goes_when_a_folder_is_used(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    other, here = "elsewhere", files.HOST
    stale = [f".a.csv.{here}.{dead.pid}", f".b.{other}.7"]
    living = [f".c.{here}.{os.getppid()}", f".d.{other}.8", ".hidden", "plain.1", ".git.x"]
    for name in (*stale, *living):
        (tmp_path / name).write_text("x")
    long_ago = time.time() - 2 * files.FOREIGN_SECONDS
    os.utime(tmp_path / stale[1], (long_ago, long_ago))
    files.write(tmp_path / "new", b"1")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*living, "new"])


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tables.save(pd.DataFrame({"a": [1]}), tmp_path / "t.csv")
    old = path.read_bytes()
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    figure = Figure()
    monkeypatch.setattr(figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        figures.save(figure, tmp_path, "f")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"] and path.read_bytes() == old


def test_seal_and_digest(tmp_path):
    sealed = files.seal(b"body")
    assert files.unseal(sealed) == b"body"
    for torn in (sealed[:-1], b"", sealed[:10], b"x" + sealed[1:]):
        with pytest.raises(ValueError, match="sha256 does not match"):
            files.unseal(torn)
    files.write(tmp_path / "a", b"one")
    assert files.digest(tmp_path / "a") == files.sha256(b"one")
    files.write(tmp_path / "a", b"two")
    assert files.digest(tmp_path / "a") == files.sha256(b"two")


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A folder of 20 images."""
    monkeypatch.setenv("GANZIP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "data" / "faces"
    folder.mkdir(parents=True)
    for i in range(20):
        Image.new("RGB", (9, 9), (i, 2 * i, 0)).save(folder / f"{i:02}.png")
    return folder


@pytest.mark.parametrize("damage", ["torn", "empty", "code", "foreign"])
def test_what_is_known_of_data_is_made_again_where_it_is_unreadable(faces, tmp_path, damage):
    cache = tmp_path / "runs" / "cache"
    first = data.load_or_recall("faces", size=8, cache=cache)
    (note,) = (cache / "known").iterdir()
    whole = note.read_bytes()
    contents = {"torn": whole[:99], "empty": b"", "code": b"cos\nsystem\n(S'exit'\ntR."}
    if damage == "foreign":
        torch.save({"facts": 1}, note)
    else:
        note.write_bytes(contents[damage])
    assert data.load_or_recall("faces", size=8, cache=cache).fingerprint == first.fingerprint
    assert note.read_bytes() == whole
    faces.rename(faces.with_name("gone"))
    assert data.load_or_recall("faces", size=8, cache=cache).facts == data.describe(first)
    note.write_bytes(whole[:99])
    with pytest.raises(data.DataAbsent, match="faces"):
        data.load_or_recall("faces", size=8, cache=cache)


def test_what_is_known_of_photos_is_made_again_where_it_is_unreadable(faces):
    sr.load_pieces.cache_clear()
    first = sr.find_pieces("faces").manifest
    note = files.runs_folder() / "cache/known/faces.json"
    note.write_text("[")
    assert sr.find_pieces("faces").manifest == first
    sr.load_pieces.cache_clear()
    faces.rename(faces.with_name("gone"))
    assert sr.find_pieces("faces").manifest == first
    for torn in ("[", "null", "{}", '[{"photo": 1}]', "[" * 100_000):
        note.write_text(torn)
        with pytest.raises(data.DataAbsent, match="faces"):
            sr.find_pieces("faces")
