"""Units and bundles damaged in many ways, and what becomes of them.

For each kind it must hold: no wrong number is read, no error is longer than a line, nothing is
written outside the folder of runs, and no code of a bundle runs.
"""

import contextlib
import io
import json
import os
import pickle
import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import toy
from toy import plan

from ganzip import data, files
from ganzip.report import tables
from ganzip.units import (
    Damaged,
    Unit,
    UnitsFailed,
    compute_once,
    manifests,
    perform,
    read_history,
    read_rows,
    read_samples,
    read_state,
)
from ganzip.units.bundles import HEADER, BundleError
from ganzip.units.plan import Request
from ganzip.units.pool import _find_unfinished
from ganzip.units.transfer import bundle, merge

GIVEN = Request("smoke", data="faces", papers=("toy",))


@contextlib.contextmanager
def planned(home: Path) -> Iterator[None]:
    """The plan as that of a paper "toy", and the folder of runs."""
    with toy.planned(), mock.patch.dict(os.environ, {"GANZIP_RUNS": str(home)}):
        yield


def drawn(unit: Unit, root: Path) -> Any:
    """What a figure shows of a unit, as the papers have it computed."""
    found = {"bias": torch.arange(3.0)}
    return compute_once(unit, root, "seen", lambda: found | {"w": unit.weights(root)["net.3.bias"]})


def train(root: Path) -> Path:
    """The plan, trained, with what figures show, a table, and what is known of its data."""
    for unit in plan():
        perform(unit, toy.work, root)
        drawn(unit, root)
    place = GIVEN.folder("toy", root)
    tables.save(read_rows(plan(), root), place / "tables" / "main.csv")
    files.write(root / "cache/known/faces-16-None.pt", known())
    return root


def known(**change: Any) -> bytes:
    """What a run keeps of a set of images."""
    pixels = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    facts = {"name": "faces", "count": 9, "size": 16, "channels": 1, "classes": 0}
    held = {"name": "faces", "labels": None, "fingerprint": "0123456789ab", "pixels": pixels}
    facts["fingerprint"] = "0123456789ab"
    return saved(held | {"facts": facts} | change)


def saved(value: Any, **how: Any) -> bytes:
    torch.save(value, buffer := io.BytesIO(), **how)
    return buffer.getvalue()


OURS = (Damaged, BundleError, FileNotFoundError, UnitsFailed, data.DataError)


def tried(work: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What doing something gives and says; one of our errors, of one line, gives None."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            return work(), out.getvalue().splitlines()
    except OURS as error:
        assert len(str(error).splitlines()) == 1
        return None, [str(error)]


# Units --------------------------------------------------------------------------------------------

ROWS, HISTORY, WEIGHTS, MANIFEST = "rows.csv", "history.csv", "weights.safetensors", "manifest.json"


Damage = Callable[[Path, Path], Any]


def edit(name: str, change: Callable[[bytes], bytes]) -> Damage:
    return lambda folder, _: files.write(folder / name, change((folder / name).read_bytes()))


def cut(name: str, share: float = 0.5) -> Damage:
    return edit(name, lambda content: content[: int(len(content) * share)])


def flipped(content: bytes, at: int) -> bytes:
    """With another lowest bit of a byte."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def flip(name: str, at: float = 0.6) -> Damage:
    return edit(name, lambda content: flipped(content, int(len(content) * at)))


def put(name: str, content: bytes) -> Damage:
    return edit(name, lambda _: content)


def gone(name: str) -> Damage:
    return lambda folder, _: (folder / name).unlink()


def foreign(name: str) -> Damage:
    return lambda folder, other: files.write(folder / name, (other / name).read_bytes())


def digit(name: str, after: str) -> Damage:
    """Another digit, and as many."""

    def change(content: bytes) -> bytes:
        text = content.decode()
        at = next(i for i in range(text.index(after), len(text)) if text[i].isdigit())
        return f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}".encode()

    return edit(name, change)


def refit(change: Callable[[dict[str, Any]], Any], *, sign: bool = True) -> Damage:
    """Another manifest, its own sha256 with it."""

    def changed(content: bytes) -> bytes:
        fields = json.loads(content)
        change(fields)
        return manifests.to_bytes(fields) if sign else json.dumps(fields).encode()

    return edit(MANIFEST, changed)


def as_folder(folder: Path, _: Path) -> None:
    (folder / ROWS).unlink()
    (folder / ROWS).mkdir()


def unfinished(folder: Path, _: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / "error.txt").write_text("")


UNITS: dict[str, Damage] = {
    "rows cut in a line": cut(ROWS, 0.9),
    "a digit of rows": digit(ROWS, "toy,"),
    "rows empty": put(ROWS, b""),
    "rows missing": gone(ROWS),
    "rows doubled": edit(ROWS, lambda content: content + content.partition(b"\n")[2]),
    "rows of another unit": foreign(ROWS),
    "rows a folder": as_folder,
    "a digit of the history": digit(HISTORY, "square"),
    "a bit of the weights": flip(WEIGHTS, 0.99),
    "weights cut": cut(WEIGHTS),
    "weights missing": gone(WEIGHTS),
    "weights of another unit": foreign(WEIGHTS),
    "manifest cut": cut(MANIFEST),
    "manifest of another unit": foreign(MANIFEST),
    "a digit of the manifest's seconds": digit(MANIFEST, "cpu_seconds"),
    "manifest a list": put(MANIFEST, b"[]"),
    "manifest nested 100,000 deep": put(MANIFEST, b"[" * 100_000),
    "manifest missing": gone(MANIFEST),
    "manifest names no files": refit(lambda m: m.update(files={})),
    "manifest names a file outside": refit(
        lambda m: m["files"].update({"../../x": m["files"][ROWS]})
    ),
    "manifest without its sha256": refit(lambda m: m.pop("sha256"), sign=False),
    "a bit of the samples": lambda folder, other: flip(
        f"samples/{min((folder / 'samples').iterdir()).name}", 0.9
    )(folder, other),
    "a bit of the pictures": flip("shown/seen.pt"),
    "pictures without a hash": put("shown/seen.pt", saved((None, {"bias": torch.ones(3)}))),
    "pictures that are code": put("shown/seen.pt", pickle.dumps(print)),
    "an empty error, no manifest": unfinished,
}


def read(unit: Unit, root: Path) -> dict[str, Callable[[], Any]]:
    """All ways in which a unit is read, comparable."""

    def tensors(found: Any) -> Any:
        return {k: v.tolist() for k, v in found.items()}

    return {
        "rows": lambda: read_rows([unit], root).drop(columns="cpu_seconds").to_dict("list"),
        "history": lambda: read_history(unit, root).to_dict("list"),
        "weights": lambda: tensors(unit.weights(root)),
        "samples": lambda: tensors(read_samples(unit, root)),
        "shown": lambda: tensors(drawn(unit, root)),
        "key": lambda: unit.manifest(root)["key"],
        "seconds": lambda: unit.manifest(root)["cpu_seconds"],
    }


# Bundles ------------------------------------------------------------------------------------------


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, bait: Path):
        self.bait = bait

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.bait),)


class Craft:
    """A bundle to be altered: entries by name, header, and what zip says of an entry."""

    def __init__(self, path: Path, bait: Path):
        with zipfile.ZipFile(path) as held:
            self.entries = {name: held.read(name) for name in held.namelist()}
        self.header = json.loads(self.entries.pop(HEADER))
        self.raw: bytes | None = None  # in the place of the header
        self.how: dict[str, Callable[[zipfile.ZipInfo], Any]] = {}
        self.after: Callable[[bytes], bytes] = bytes
        self.more: list[tuple[str, bytes]] = []
        self.bait = bait

    def of(self, file: str, unit: str = "student-seed1") -> str:
        """The entry of a unit's file."""
        return next(n for n in self.entries if f"/{unit}-" in n and n.endswith(f"/{file}"))

    def bytes(self, file: str, change: Callable[[Any], Any], *, signed: bool = False) -> None:
        """Another content; signed: with all hashes made to fit."""
        entry = self.of(file)
        self.entries[entry] = change(self.entries[entry])
        if signed:
            self.sign()

    def manifest(self, change: Callable[[dict[str, Any]], Any], *, signed: bool = True) -> None:
        """Another manifest, with its own sha256 and the header's made to fit."""
        entry = self.of(MANIFEST)
        fields = json.loads(self.entries[entry])
        change(fields)
        self.entries[entry] = manifests.to_bytes(fields)
        if signed:
            self.sign(keep=True)

    def sign(self, keep: bool = False) -> None:
        """All hashes of manifests (but for ``keep``) and header as they are to be."""
        for entry in [n for n in self.entries if n.endswith(MANIFEST)]:
            fields, folder = json.loads(self.entries[entry]), entry.removesuffix(MANIFEST)
            for name in () if keep else fields["files"]:
                if folder + name in self.entries:
                    fields["files"][name] = facts(self.entries[folder + name])
                    if name == WEIGHTS:
                        fields["weights_sha256"] = fields["files"][name]["sha256"]
            if not keep:
                self.entries[entry] = manifests.to_bytes(fields)
        self.header["files"] = {name: facts(content) for name, content in self.entries.items()}

    def save(self, path: Path) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
            head = self.raw if self.raw is not None else json.dumps(self.header).encode()
            for name, content in [*self.entries.items(), (HEADER, head), *self.more]:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                self.how.get(name, lambda info: None)(info)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of twins
                    out.writestr(info, content, info.compress_type)
        path.write_bytes(self.after(buffer.getvalue()))


def facts(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": files.sha256(content)}


Change = Callable[[Craft], Any]


def head(**change: Any) -> Change:
    return lambda craft: craft.header.update(change)


def named(name: str) -> Change:
    """The header names one more entry."""
    return lambda craft: craft.header["files"].update({name: facts(b"x")})


def raw(content: bytes) -> Change:
    return lambda craft: setattr(craft, "raw", content)


def after(change: Callable[[bytes], bytes]) -> Change:
    return lambda craft: setattr(craft, "after", change)


def content(file: str, change: Callable[[bytes], bytes], signed: bool = False) -> Change:
    return lambda craft: craft.bytes(file, change, signed=signed)


def text(file: str, change: Callable[[str], str], signed: bool = False) -> Change:
    return content(file, lambda found: change(found.decode()).encode(), signed)


def manifest(change: Callable[[dict[str, Any]], Any], signed: bool = True) -> Change:
    return lambda craft: craft.manifest(change, signed=signed)


def drop(craft: Craft) -> None:
    del craft.entries[craft.of(ROWS)]
    craft.sign()


def extra(name: str, content: bytes = b"x", signed: bool = True) -> Change:
    """One more entry; {unit} is the folder of a unit."""

    def do(craft: Craft) -> None:
        folder = craft.of(MANIFEST).removesuffix(f"/{MANIFEST}")
        craft.entries[name.replace("{unit}", folder)] = content
        if signed:
            craft.sign(keep=True)

    return do


def link(craft: Craft) -> None:
    """Rows that are a link, all hashes fitting."""
    mode = (stat.S_IFLNK | 0o777) << 16
    craft.how[craft.of(ROWS)] = lambda info: setattr(info, "external_attr", mode)
    craft.bytes(ROWS, lambda _: b"/etc/passwd", signed=True)


def evil(file: str) -> Change:
    """A pickle that makes a file, all hashes fitting."""

    def do(craft: Craft) -> None:
        code = saved((None, Evil(craft.bait)))
        code = files.seal(code) if file.endswith(".pt") else code
        craft.bytes(file, lambda _: code, signed=True)

    return do


def evil_known(craft: Craft) -> None:
    craft.entries["cache/known/faces-16-None.pt"] = saved(Evil(craft.bait))
    craft.sign(keep=True)


def evil_samples(craft: Craft) -> None:
    entry = next(name for name in craft.entries if "/samples/" in name)
    np.save(buffer := io.BytesIO(), np.array([Evil(craft.bait)], dtype=object))
    craft.entries[entry] = buffer.getvalue()
    craft.sign()


def swap(file: str) -> Change:
    def do(craft: Craft) -> None:
        other = craft.of(file, "student-seed2")
        craft.bytes(file, lambda _: craft.entries[other])

    return do


def twin(rename: Callable[[str], str]) -> Change:
    def do(craft: Craft) -> None:
        name = craft.of(ROWS)
        craft.more.append((rename(name), craft.entries[name]))

    return do


def renamed(craft: Craft) -> None:
    """A unit in the folder of another, all hashes fitting."""
    one, two = (craft.of(ROWS, f"student-seed{i}").split("/")[2] for i in (1, 2))
    craft.entries = {
        name.replace(one, two): content
        for name, content in craft.entries.items()
        if two not in name
    }
    craft.sign(keep=True)


def aged(craft: Craft) -> None:
    """As older code wrote it, with no hashes."""
    craft.header = {k: v for k, v in craft.header.items() if k != "files"} | {"format": 1}
    for entry in [n for n in craft.entries if n.endswith(MANIFEST)]:
        fields = json.loads(craft.entries[entry])
        kept = {k: v for k, v in fields.items() if k not in ("format", "files", "sha256")}
        craft.entries[entry] = json.dumps(kept).encode()
        shown = entry.replace(MANIFEST, "shown/seen.pt")
        craft.entries[shown] = files.unseal(craft.entries[shown])


def lying(size: int) -> Callable[[bytes], bytes]:
    """The directory of the zip names another size of the first entry."""

    def change(whole: bytes) -> bytes:
        at = whole.index(b"PK\x01\x02") + 24
        return whole[:at] + size.to_bytes(4, "little") + whole[at + 4 :]

    return change


def encrypted(whole: bytes) -> bytes:
    """Every entry says that it is, before its content and in the directory."""
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = whole.split(mark)
        at = offset - 4
        marked = [p[:at] + bytes([p[at] | 1]) + p[at + 1 :] for p in parts[1:]]
        whole = mark.join([parts[0], *marked])
    return whole


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    """A text whose lines, but for the first, are others."""

    def do(text: str) -> str:
        first, *rest = text.splitlines(keepends=True)
        return "".join([first, *change(rest)])

    return do


def cells(column: str, value: str) -> Callable[[str], str]:
    """Rows with one value in a column."""
    at = tables.ROW.index(column)

    def one(line: str) -> str:
        found = line.rstrip("\n").split(",")
        return ",".join([*found[:at], value, *found[at + 1 :]]) + "\n"

    return lines(lambda rest: [one(line) for line in rest])


DEEP = b"[" * 200_000
BUNDLES: dict[str, Change] = {
    "as it was made": lambda craft: None,
    # What zip makes of it.
    "its first half": after(lambda whole: whole[: len(whole) // 2]),
    "a bit of an entry": after(lambda whole: flipped(whole, 300)),
    "a larger size in the directory": after(lying(2_000_000_000)),
    "encrypted": after(encrypted),
    "rows twice": twin(lambda name: name),
    "rows twice but for case": twin(lambda name: name.replace(ROWS, "Rows.csv")),
    "rows a link, all hashes fitting": link,
    "an absolute path": extra("/tmp/escaped.csv"),
    "a parent path in a unit": extra("{unit}/../../../../escaped.csv"),
    "a parent path in known": extra("cache/known/../../../faces.pt"),
    "a path by backslashes": extra("{unit}\\..\\..\\escaped.csv"),
    "NUL in a name": twin(lambda name: name.replace(ROWS, "rows\x00.csv")),
    "code in a unit": extra("{unit}/conftest.py", b"1 / 0"),
    "a file at the top": extra("sitecustomize.py", b"1 / 0"),
    "weights of 9 MB of nothing": content(WEIGHTS, lambda _: bytes(9 << 20), signed=True),
    # The header.
    "header no JSON": raw(b"{"),
    "header a list": raw(b"[1]"),
    "header nested 200,000 deep": raw(DEEP),
    **{f"scale {s}": head(scale=s) for s in (1e9, "2", float("nan"))},
    **{f"preset {s!r}": head(preset=s) for s in ("os", None)},
    **{f"papers {s!r:.30}": head(papers=s) for s in (["os"], ["../x"], ["toy"] * 10**5)},
    **{f"data {s!r:.30}": head(data=s) for s in ("/etc", "../..", "x" * 10**6, "a\0b")},
    **{f"format {s!r}": head(format=s) for s in (3, None)},
    "format 1, to pass without hashes": aged,
    "no hashes": lambda craft: craft.header.pop("files"),
    "a negative size": head(files={"a": {"size": -1, "sha256": "0" * 64}}),
    "an entry named that is not there": named("toy/smoke-faces/tables/more.csv"),
    "an entry named that leads out": named("../../x"),
    # Rows.
    "rows halved": text(ROWS, lambda text: text[: len(text) // 2]),
    "rows of another unit": swap(ROWS),
    "rows missing, all hashes fitting": drop,
    "rows doubled, all hashes fitting": text(ROWS, lines(lambda rest: rest * 2), True),
    "rows all NaN, all hashes fitting": text(ROWS, cells("value", "nan"), True),
    "rows of another seed, all hashes fitting": text(ROWS, cells("seed", "2"), True),
    "rows of another paper, all hashes fitting": text(ROWS, cells("paper", "sdakd"), True),
    "rows of other data, all hashes fitting": text(ROWS, cells("dataset", "faces"), True),
    "rows with words for numbers, all hashes fitting": text(ROWS, cells("value", "much"), True),
    "rows torn, all hashes fitting": text(ROWS, lambda text: text.rpartition(",")[0], True),
    "rows of noise, all hashes fitting": content(ROWS, lambda _: bytes(range(256)) * 9, True),
    # Histories, manifests, weights, pictures.
    "history cut": text(HISTORY, lambda text: text[:60]),
    "history with other columns, all hashes fitting": text(HISTORY, lambda _: "a,b\n1,2\n", True),
    "history with an open quote, all hashes fitting": text(HISTORY, lambda its: its + '"', True),
    "manifest nested deep": content(MANIFEST, lambda _: DEEP),
    "manifest of another unit": swap(MANIFEST),
    "manifest with other seconds": manifest(lambda m: m.update(cpu_seconds=0.5), False),
    "manifest with negative seconds": manifest(lambda m: m.update(cpu_seconds=-1)),
    "manifest with other steps": manifest(lambda m: m["config"].update(steps=7)),
    "manifest that needs another": manifest(lambda m: m["needs"].update(teacher="0" * 12)),
    "manifest of a unit ../x": manifest(lambda m: m.update(unit="../x")),
    "manifest without a configuration": manifest(lambda m: m.pop("config")),
    "manifest that names a file outside": manifest(
        lambda m: m["files"].update({"../../x": m["files"][ROWS]})
    ),
    "a unit in another's folder": renamed,
    "a bit of the weights": content(WEIGHTS, lambda x: flipped(x, len(x) - 9)),
    "weights cut, all hashes fitting": content(WEIGHTS, lambda x: x[:50], True),
    "weights that are code": evil(WEIGHTS),
    "pictures that are code": evil("shown/seen.pt"),
    "samples that are code": evil_samples,
    # What is known of data, and what notebooks wrote.
    "known that is code": evil_known,
    "known with other facts": extra("cache/known/faces-16-None.pt", known(fingerprint="0" * 12)),
    "known parts nested deep": extra("cache/known/faces.json", DEEP),
    "a table altered": extra("toy/smoke-faces/tables/main.csv", b"value\n1\n", False),
    "a table of another run": extra("toy/paper/tables/main.csv", b"value\n1\n"),
}


def listing(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


# Tests --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The plan, trained, and a bundle of all of it."""
    scratch = tmp_path_factory.mktemp("trust")
    base, packed = train(scratch / "base"), scratch / "whole.zip"
    with planned(base):
        bundle(GIVEN, base, packed, weights=True)
    return base, packed


@pytest.mark.parametrize("kind", UNITS)
def test_a_damaged_unit_gives_no_wrong_number_and_is_trained_anew(kind, made, tmp_path):
    shutil.copytree(made[0], root := tmp_path / "runs")
    unit, other = plan()[len(kind) % 2], plan()[2]
    truth = {name: get() for name, get in read(unit, made[0]).items()}
    UNITS[kind](unit.folder(root), other.folder(root))
    tried(lambda: read_state(unit, root).name)
    for name, get in read(unit, root).items():
        assert tried(get)[0] in (None, truth[name]), name
    tried(lambda: [perform(each, toy.work, root) for each in plan()])
    assert all(each.done(root) for each in plan())
    again = {name: get() for name, get in read(unit, root).items()}
    assert again | {"seconds": truth["seconds"]} == truth  # a new training takes its own time


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_damaged_bundle_brings_no_wrong_number_and_writes_nowhere_else(kind, made, tmp_path):
    base, packed = made
    outside = tmp_path / "outside"
    home, path = outside / "a" / "b" / "runs", tmp_path / "altered.zip"
    home.mkdir(parents=True)
    craft = Craft(packed, outside / "bait")
    BUNDLES[kind](craft)
    craft.save(path)
    with planned(home):
        found, said = tried(lambda: merge(path))
    taken, refused = found or ([], [])
    assert all(len(line.splitlines()) == 1 and len(line) < 500 for line in refused)
    whole = kind in ("as it was made", "a table of another run")
    assert (len(taken) == len(plan())) == whole != bool(said + refused)
    # What came is bit for bit what was made, but for manifests, and all of it of a finished unit.
    there, here = listing(base), listing(home)
    for name, content in here.items():
        unit = next((u for u in plan() if f"/{u.name}-{u.key}/" in name), None)
        assert unit is None or unit.done(home), name
        assert content == there.get(name) or (unit and name.endswith(MANIFEST)), name
    assert found is not None or not here
    for unit in plan():
        if unit.done(home):
            assert read(unit, home)["rows"]() == read(unit, base)["rows"]()
    inside = {f"a/b/runs/{name}" for name in here}
    assert not [n for n in listing(outside) if n not in inside and not n.endswith("/lock")]
    assert not (outside / "bait").exists()


def test_a_damaged_unit_is_named_and_its_files_are_kept(made, tmp_path):
    shutil.copytree(made[0], root := tmp_path / "runs")
    teacher, student, _ = plan()
    folder = student.folder(root)
    (folder / "rows.csv").write_text("torn")
    state = read_state(student, root)
    assert state.name == "failed" and "rows.csv has 4 bytes" in state.error
    assert "run again: it is trained anew" in state.error
    with pytest.raises(Damaged, match="student-seed1: rows.csv has 4 bytes, "):
        read_rows([teacher, student], root)
    aside = folder.with_name(f"{folder.name}.damaged-1")
    assert (aside / "rows.csv").read_text() == "torn" and (aside / "weights.safetensors").exists()
    perform(student, toy.work, root)
    (folder / "weights.safetensors").write_bytes(b"torn")
    (teacher.folder(root) / "history.csv").write_text("torn")
    found = _find_unfinished(plan(), root)
    assert [unit.name for unit in found] == [teacher.name, student.name]
    assert folder.with_name(f"{folder.name}.damaged-2").exists()
    assert aside.exists()


def test_the_weights_of_what_a_unit_needs_are_checked_before_it_is_trained(made, tmp_path, capsys):
    shutil.copytree(made[0], root := tmp_path / "runs")
    teacher, student, _ = plan()
    flip("weights.safetensors", 0.99)(teacher.folder(root), root)
    shutil.rmtree(student.folder(root))
    perform(student, toy.work, root)
    assert "line-seed0: weights.safetensors was altered" in capsys.readouterr().out
    for unit in (teacher, student):
        assert unit.read(root, "rows.csv") == unit.read(made[0], "rows.csv")


def test_a_bundle_leaves_what_is_here_as_it_is(made, tmp_path):
    _, packed = made
    root = tmp_path / "runs"
    known, table = root / "cache/known/faces-16-None.pt", root / "toy/smoke-faces/tables/main.csv"
    for path in (known, table):
        files.write(path, b"mine")
    with planned(root):
        assert len(merge(packed)[0]) == 3
        assert merge(packed) == ([], [])
    assert known.read_bytes() == table.read_bytes() == b"mine"


def test_tables_come_only_with_every_unit_of_their_paper(made, tmp_path):
    def one_less(craft):
        folder = craft.of("rows.csv").removesuffix("rows.csv")
        craft.entries = {k: v for k, v in craft.entries.items() if not k.startswith(folder)}
        craft.sign(keep=True)

    craft = Craft(made[1], tmp_path / "bait")
    one_less(craft)
    craft.save(tmp_path / "less.zip")
    with planned(root := tmp_path / "runs"):
        assert len(merge(tmp_path / "less.zip")[0]) == 2
        assert not list(root.rglob("main.csv"))
        assert len(merge(made[1])[0]) == 1
        assert list(root.rglob("main.csv"))
