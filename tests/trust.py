"""Units and bundles damaged in every way that came to mind, and what becomes of them.

For each kind it must hold: no wrong number is read, no error is longer than a line, nothing is
written outside the folder of runs, and no code of a bundle runs: ``test_trust.py``.
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
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
import toy

from ganzip import data, files
from ganzip.report import tables
from ganzip.units import (
    Damaged,
    Demand,
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
from ganzip.units import plan as plan_module
from ganzip.units.bundles import HEADER, BundleError
from ganzip.units.plan import PAPER_NOTEBOOKS, Request
from ganzip.units.transfer import bundle, merge

GIVEN = Request("smoke", data="faces", papers=("toy",))


def plan() -> list[Unit]:
    """A teacher and two students of it."""
    teacher = toy.unit(steps=4, data="line", preset="smoke")
    students = [
        Unit(
            "toy",
            f"student-seed{seed}",
            {**teacher.config, "steps": 8, "seed": seed, "teacher": True, "betas": (0.5, 0.9)},
            {"teacher": teacher},
        )
        for seed in (1, 2)
    ]
    return [teacher, *students]


@contextlib.contextmanager
def planned(home: Path) -> Iterator[None]:
    """The plan as that of a paper "toy", and the folder of runs."""
    paper = SimpleNamespace(
        prepare=lambda preset, **_: plan(), demand=lambda unit: Demand(unit.config["steps"], 40)
    )
    with (
        mock.patch.object(plan_module, "paper_module", lambda name: paper),
        mock.patch.dict(PAPER_NOTEBOOKS, {"toy": "9_toy"}),
        mock.patch.dict(os.environ, {"GANZIP_RUNS": str(home)}),
    ):
        yield


def drawn(unit: Unit, root: Path) -> Any:
    """What a figure shows of a unit, as the papers have it computed."""
    found = {"bias": torch.arange(3.0)}
    return compute_once(unit, root, "seen", lambda: found | {"w": unit.weights(root)["net.3.bias"]})


def made(root: Path) -> Path:
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


@dataclass
class Outcome:
    """What became of a kind: what was said, wrong numbers, and errors of more than a line."""

    said: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    mended: bool = False


def tried(outcome: Outcome, work: Callable[[], Any], expected: Any = None) -> Any:
    """Do something; what it raises is said, or a traceback if it is none of our errors."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            found = work()
    except (ValueError, OSError, UnitsFailed) as error:
        if type(error) not in OURS or len(str(error).splitlines()) != 1:
            outcome.tracebacks.append(f"{type(error).__name__}: {error}")
        outcome.said.append(str(error))
        return None
    except Exception as error:
        outcome.tracebacks.append(f"{type(error).__name__}: {error}")
        return None
    outcome.said += out.getvalue().splitlines()
    if expected is not None and found != expected:
        outcome.wrong.append(f"{found!r:.200} instead of {expected!r:.200}")
    return found


OURS = (Damaged, BundleError, FileNotFoundError, UnitsFailed, data.DataError)


# Units --------------------------------------------------------------------------------------------

ROWS, HISTORY, WEIGHTS, MANIFEST = "rows.csv", "history.csv", "weights.safetensors", "manifest.json"


def cut(name: str, share: float = 0.5) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return damage


def flip(name: str, at: float = 0.6) -> Callable[[Path, Path], None]:
    """One bit, the lowest of a byte."""

    def damage(folder: Path, _: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(len(content) * at)] ^= 1
        (folder / name).write_bytes(content)

    return damage


def put(name: str, content: bytes) -> Callable[[Path, Path], None]:
    return lambda folder, _: files.write(folder / name, content)


def gone(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, _: (folder / name).unlink()


def foreign(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, other: files.write(folder / name, (other / name).read_bytes())


def digit(name: str, after: str) -> Callable[[Path, Path], None]:
    """Another digit, and as many."""

    def damage(folder: Path, _: Path) -> None:
        text = (folder / name).read_text()
        at = next(i for i in range(text.index(after), len(text)) if text[i].isdigit())
        new = str((int(text[at]) + 1) % 10)
        (folder / name).write_text(text[:at] + new + text[at + 1 :])

    return damage


def doubled(folder: Path, _: Path) -> None:
    head, *lines = (folder / ROWS).read_text().splitlines(keepends=True)
    (folder / ROWS).write_text("".join([head, *lines, *lines]))


def as_folder(name: str) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def link(name: str) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("nowhere")

    return damage


def refit(change: Callable[[dict[str, Any]], Any], *, sign: bool = True) -> Callable[..., None]:
    """Another manifest, its own sha256 with it."""

    def damage(folder: Path, _: Path) -> None:
        fields = json.loads((folder / MANIFEST).read_bytes())
        change(fields)
        content = manifests.to_bytes(fields) if sign else json.dumps(fields).encode()
        (folder / MANIFEST).write_bytes(content)

    return damage


def old(folder: Path, _: Path) -> None:
    fields = json.loads((folder / MANIFEST).read_bytes())
    kept = {k: v for k, v in fields.items() if k not in ("format", "files", "sha256")}
    (folder / MANIFEST).write_text(json.dumps(kept))


def first_sample(damage: Callable[[str], Callable[[Path, Path], None]]) -> Callable[..., None]:
    def do(folder: Path, other: Path) -> None:
        name = min((folder / "samples").iterdir()).name
        damage(f"samples/{name}")(folder, other)

    return do


def bare(folder: Path, _: Path) -> None:
    """Pictures without a hash, and others."""
    (folder / "shown/seen.pt").write_bytes(saved((None, {"bias": torch.ones(3)})))


def unfinished(folder: Path, _: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / "error.txt").write_text("")


UNITS: dict[str, Callable[[Path, Path], None]] = {
    "rows cut in a line": cut(ROWS, 0.9),
    "rows cut at the head": cut(ROWS, 0.2),
    "a digit of rows": digit(ROWS, "toy,"),
    "rows empty": put(ROWS, b""),
    "rows missing": gone(ROWS),
    "rows doubled": doubled,
    "rows of another unit": foreign(ROWS),
    "rows a folder": as_folder(ROWS),
    "rows a link to nothing": link(ROWS),
    "history cut": cut(HISTORY),
    "a digit of the history": digit(HISTORY, "square"),
    "history missing": gone(HISTORY),
    "a bit of the weights": flip(WEIGHTS, 0.99),
    "weights cut": cut(WEIGHTS),
    "weights missing": gone(WEIGHTS),
    "weights empty": put(WEIGHTS, b""),
    "weights of another unit": foreign(WEIGHTS),
    "manifest empty": put(MANIFEST, b""),
    "manifest cut": cut(MANIFEST),
    "manifest of another unit": foreign(MANIFEST),
    "a digit of the manifest's seconds": digit(MANIFEST, "cpu_seconds"),
    "manifest null": put(MANIFEST, b"null"),
    "manifest a list": put(MANIFEST, b"[]"),
    "manifest of noise": put(MANIFEST, bytes(range(256))),
    "manifest nested 100,000 deep": put(MANIFEST, b"[" * 100_000),
    "manifest a folder": as_folder(MANIFEST),
    "manifest a link to nothing": link(MANIFEST),
    "manifest missing": gone(MANIFEST),
    "manifest names no files": refit(lambda m: m.update(files={})),
    "manifest names a file outside": refit(
        lambda m: m["files"].update({"../../x": m["files"][ROWS]})
    ),
    "manifest without its sha256": refit(lambda m: m.pop("sha256"), sign=False),
    "manifest of older code": old,
    "samples missing": first_sample(gone),
    "a bit of the samples": first_sample(lambda name: flip(name, 0.9)),
    "pictures cut": cut("shown/seen.pt"),
    "a bit of the pictures": flip("shown/seen.pt"),
    "pictures empty": put("shown/seen.pt", b""),
    "pictures without a hash": bare,
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
    }


def run(root: Path) -> None:
    for unit in plan():
        perform(unit, toy.work, root)


def try_unit(kind: str, base: Path, scratch: Path, index: int = 0) -> Outcome:
    """Damage a unit of the plan; read it in every way, run the plan again, and read it again."""
    root, outcome = scratch / "damaged", Outcome()
    shutil.copytree(base, root)
    unit, other = plan()[index], plan()[2]
    truth = {name: get() for name, get in read(unit, base).items()}
    UNITS[kind](unit.folder(root), other.folder(root))
    tried(outcome, lambda: read_state(unit, root).name)
    for name, get in read(unit, root).items():
        tried(outcome, get, truth[name])
    tried(outcome, lambda: run(root))
    outcome.mended = all(unit.done(root) for unit in plan())
    for name, get in read(unit, root).items():
        if tried(outcome, get, truth[name]) is None:
            outcome.wrong.append(f"{name} stays unreadable")
    shutil.rmtree(root)
    return outcome


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

    def text(self, file: str, change: Callable[[str], str], *, signed: bool = False) -> None:
        """Another text; signed: with all hashes made to fit."""
        self.bytes(file, lambda content: change(content.decode()).encode(), signed=signed)

    def bytes(self, file: str, change: Callable[[Any], Any], *, signed: bool = False) -> None:
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


def head(**change: Any) -> Callable[[Craft], None]:
    return lambda craft: craft.header.update(change)


def headless(name: str) -> Callable[[Craft], None]:
    return lambda craft: craft.header.__delitem__(name)


def raw(content: bytes) -> Callable[[Craft], None]:
    return lambda craft: setattr(craft, "raw", content)


def after(change: Callable[[bytes], bytes]) -> Callable[[Craft], None]:
    return lambda craft: setattr(craft, "after", change)


def text(file: str, change: Callable[[str], str], signed: bool = False) -> Callable[[Craft], None]:
    return lambda craft: craft.text(file, change, signed=signed)


def content(
    file: str, change: Callable[[bytes], bytes], signed: bool = False
) -> Callable[[Craft], None]:
    return lambda craft: craft.bytes(file, change, signed=signed)


def manifest(change: Callable[[dict[str, Any]], Any], signed: bool = True) -> Callable[..., None]:
    return lambda craft: craft.manifest(change, signed=signed)


def drop(file: str, signed: bool = False) -> Callable[[Craft], None]:
    def do(craft: Craft) -> None:
        del craft.entries[craft.of(file)]
        if signed:
            craft.sign()

    return do


def extra(name: str, content: bytes = b"x", signed: bool = True) -> Callable[[Craft], None]:
    """One more entry; {unit} is the folder of a unit."""

    def do(craft: Craft) -> None:
        folder = craft.of(MANIFEST).removesuffix(f"/{MANIFEST}")
        craft.entries[name.replace("{unit}", folder)] = content
        if signed:
            craft.sign(keep=True)

    return do


def how(file: str, **fields: Any) -> Callable[[Craft], None]:
    """An entry of which zip says something else."""

    def do(craft: Craft) -> None:
        def change(info: zipfile.ZipInfo) -> None:
            for name, value in fields.items():
                setattr(info, name, value)

        craft.how[craft.of(file)] = change

    return do


def evil(file: str) -> Callable[[Craft], None]:
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


def swap(file: str) -> Callable[[Craft], None]:
    def do(craft: Craft) -> None:
        other = craft.of(file, "student-seed2")
        craft.bytes(file, lambda _: craft.entries[other])

    return do


def twin(rename: Callable[[str], str]) -> Callable[[Craft], None]:
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


def bomb(file: str, size: int) -> Callable[[Craft], None]:
    return content(file, lambda _: bytes(size), signed=True)


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


def inner_bomb(craft: Craft) -> None:
    """Pictures that are a packed zip."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as out:
        with zipfile.ZipFile(io.BytesIO(saved((None, torch.zeros(1 << 20))))) as plain:
            for name in plain.namelist():
                out.writestr(name, plain.read(name))
    craft.bytes("shown/seen.pt", lambda _: files.seal(buffer.getvalue()), signed=True)


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


def other_columns(text: str) -> str:
    return text.replace("n_images", "images")


LINK = (stat.S_IFLNK | 0o777) << 16
DEEP = b"[" * 200_000
BUNDLES: dict[str, Callable[[Craft], Any]] = {
    "as it was made": lambda craft: None,
    # What zip makes of it.
    "empty": after(lambda _: b""),
    "a text": after(lambda _: b"no zip at all\n" * 50),
    "its first 200 bytes": after(lambda whole: whole[:200]),
    "its first half": after(lambda whole: whole[: len(whole) // 2]),
    "without its last 30 bytes": after(lambda whole: whole[:-30]),
    "a bit of an entry": after(lambda whole: whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]),
    "a bit of the directory": after(
        lambda whole: (
            whole[: (at := whole.index(b"PK\x01\x02") + 16)]
            + bytes([whole[at] ^ 1])
            + whole[at + 1 :]
        )
    ),
    "bytes in front": after(lambda whole: b"#!/bin/sh\n" + whole),
    "a smaller size in the directory": after(lying(3)),
    "a larger size in the directory": after(lying(2_000_000_000)),
    "encrypted": after(encrypted),
    "rows by LZMA": how(ROWS, compress_type=zipfile.ZIP_LZMA),
    "rows by bzip2": how(ROWS, compress_type=zipfile.ZIP_BZIP2),
    "rows twice": twin(lambda name: name),
    "rows twice but for case": twin(lambda name: name.replace(ROWS, "Rows.csv")),
    "rows a link": lambda craft: (
        how(ROWS, external_attr=LINK)(craft),
        craft.bytes(ROWS, lambda _: b"/etc/passwd"),
    ),
    "rows a link, all hashes fitting": lambda craft: (
        how(ROWS, external_attr=LINK)(craft),
        craft.bytes(ROWS, lambda _: b"/etc/passwd", signed=True),
    ),
    "a manifest that is a link": lambda craft: (
        how(MANIFEST, external_attr=LINK)(craft),
        craft.bytes(MANIFEST, lambda _: b"/etc/passwd"),
    ),
    "a device": how(ROWS, external_attr=(stat.S_IFCHR | 0o666) << 16),
    "a folder as an entry": extra("{unit}/samples/"),
    "an absolute path": extra("/tmp/escaped.csv"),
    "a parent path": extra("../escaped.csv"),
    "a parent path in a unit": extra("{unit}/../../../../escaped.csv"),
    "a parent path in known": extra("cache/known/../../../faces.pt"),
    "a path by backslashes": extra("{unit}\\..\\..\\escaped.csv"),
    "a drive": extra("C:/escaped.csv"),
    "NUL in a name": twin(lambda name: name.replace(ROWS, "rows\x00.csv")),
    "code in a unit": extra("{unit}/conftest.py", b"1 / 0"),
    "code among tables": extra("toy/smoke-faces/tables/evil.py", b"1 / 0"),
    "a file at the top": extra("sitecustomize.py", b"1 / 0"),
    "a hidden file": extra("cache/known/.faces.pt"),
    "rows of 400 MB of nothing": bomb(ROWS, 400 << 20),
    "weights of 9 MB of nothing": bomb(WEIGHTS, 9 << 20),
    "a header of 64 MB": raw(b" " * (64 << 20)),
    "pictures that are packed": inner_bomb,
    # The header.
    "no header": lambda craft: craft.how.update(
        {HEADER: lambda info: setattr(info, "filename", "other.json")}
    ),
    "header empty": raw(b""),
    "header no JSON": raw(b"{"),
    "header null": raw(b"null"),
    "header a list": raw(b"[1]"),
    "header a number": raw(b"1e400"),
    "header nested 200,000 deep": raw(DEEP),
    "header of noise": raw(bytes(range(256))),
    **{f"scale {s}": head(scale=s) for s in (1e9, -1, "2", None, float("nan"), [1])},
    **{f"seeds {s}": head(seeds=s) for s in (-1, 10**9, 1.5, "3")},
    **{f"preset {s!r}": head(preset=s) for s in ("os", 3, None, ["smoke"])},
    **{
        f"papers {s!r:.30}": head(papers=s)
        for s in (["os"], [], "toy", [1], ["toy", "toy"], ["../x"], {"toy": 1}, ["toy"] * 10**5)
    },
    **{
        f"data {s!r:.30}": head(data=s)
        for s in ("/etc", "../..", 5, None, "x" * 10**6, "a\nb", "a\0b", ["digits"], "~")
    },
    **{f"format {s!r}": head(format=s) for s in (3, "2", None, 0, 1.5, 10**30)},
    "no format": headless("format"),
    "no preset": headless("preset"),
    "no papers": headless("papers"),
    "format 1, to pass without hashes": aged,
    "no hashes": headless("files"),
    "hashes a list": head(files=[]),
    "hashes of nothing": head(files={}),
    "a hash that is none": head(files={"a": {"size": 1, "sha256": "0"}}),
    "a negative size": head(files={"a": {"size": -1, "sha256": "0" * 64}}),
    "an entry named that is not there": lambda craft: craft.header["files"].update(
        {"toy/smoke-faces/tables/more.csv": facts(b"x")}
    ),
    "a path named that leads out": lambda craft: craft.header["files"].update(
        {"../../x": facts(b"x")}
    ),
    "a device of 10 MB": head(device="x" * 10**7),
    # Rows.
    "rows halved": text(ROWS, lambda text: text[: len(text) // 2]),
    "rows but for the last": text(ROWS, lines(lambda rest: rest[:-1])),
    "rows doubled": text(ROWS, lines(lambda rest: rest * 2)),
    "rows doubled, all hashes fitting": text(ROWS, lines(lambda rest: rest * 2), True),
    "rows all NaN": text(ROWS, cells("value", "nan")),
    "rows all NaN, all hashes fitting": text(ROWS, cells("value", "nan"), True),
    "rows without values, all hashes fitting": text(ROWS, cells("value", ""), True),
    "a digit of rows": text(ROWS, lambda text: text.replace("toy,lines", "toy,lineS")),
    "rows missing": drop(ROWS),
    "rows missing, all hashes fitting": drop(ROWS, True),
    "rows of another unit": swap(ROWS),
    "rows of another seed, all hashes fitting": text(ROWS, cells("seed", "2"), True),
    "rows of another paper, all hashes fitting": text(ROWS, cells("paper", "sdakd"), True),
    "rows of another preset, all hashes fitting": text(ROWS, cells("preset", "paper"), True),
    "rows of other data, all hashes fitting": text(ROWS, cells("dataset", "faces"), True),
    "rows with other columns, all hashes fitting": text(ROWS, other_columns, True),
    "rows with words for numbers, all hashes fitting": text(ROWS, cells("value", "much"), True),
    "rows torn, all hashes fitting": text(ROWS, lambda text: text.rpartition(",")[0], True),
    "rows empty, all hashes fitting": text(ROWS, lambda _: "", True),
    "rows but a head, all hashes fitting": text(ROWS, lines(lambda rest: []), True),
    "rows of noise, all hashes fitting": content(ROWS, lambda _: bytes(range(256)) * 9, True),
    # Histories, manifests, weights, pictures.
    "history cut": text(HISTORY, lambda text: text[:60]),
    "history cut, all hashes fitting": text(HISTORY, lambda text: text[:45], True),
    "history missing": drop(HISTORY),
    "history with other columns, all hashes fitting": text(HISTORY, lambda _: "a,b\n1,2\n", True),
    "manifest cut": text(MANIFEST, lambda text: text[:99]),
    "manifest empty": text(MANIFEST, lambda _: ""),
    "manifest null": text(MANIFEST, lambda _: "null"),
    "manifest nested deep": content(MANIFEST, lambda _: DEEP),
    "manifest missing": drop(MANIFEST),
    "manifest of another unit": swap(MANIFEST),
    "manifest with other seconds": manifest(lambda m: m.update(cpu_seconds=0.5), False),
    "manifest with negative seconds": manifest(lambda m: m.update(cpu_seconds=-1)),
    "manifest with infinite seconds": manifest(lambda m: m.update(cpu_seconds=1e300)),
    "manifest with other steps": manifest(lambda m: m["config"].update(steps=7)),
    "manifest with another key": manifest(lambda m: m.update(key="0" * 12)),
    "manifest that needs another": manifest(lambda m: m["needs"].update(teacher="0" * 12)),
    "manifest of a unit ../x": manifest(lambda m: m.update(unit="../x")),
    "manifest without a configuration": manifest(lambda m: m.pop("config")),
    "manifest whose configuration is a text": manifest(lambda m: m.update(config="steps")),
    "manifest that names no files": manifest(lambda m: m.update(files={})),
    "manifest that names a file outside": manifest(
        lambda m: m["files"].update({"../../x": m["files"][ROWS]})
    ),
    "manifest that stands for another": manifest(lambda m: m.update(stands_for="0" * 12)),
    "a unit in another's folder": renamed,
    "a bit of the weights": content(WEIGHTS, lambda x: x[:-9] + bytes([x[-9] ^ 1]) + x[-8:]),
    "weights of another unit": swap(WEIGHTS),
    "weights cut": content(WEIGHTS, lambda x: x[:50]),
    "weights cut, all hashes fitting": content(WEIGHTS, lambda x: x[:50], True),
    "weights missing": drop(WEIGHTS),
    "weights that are code": evil(WEIGHTS),
    "pictures that are code": evil("shown/seen.pt"),
    "pictures cut": content("shown/seen.pt", lambda x: x[:99]),
    "a bit of the pictures": content("shown/seen.pt", lambda x: x[:-9] + b"x" + x[-8:]),
    "pictures of noise, all hashes fitting": content("shown/seen.pt", lambda _: b"x" * 99, True),
    "samples that are code": evil_samples,
    "a file more in a unit": extra("{unit}/samples/more.npy"),
    # What is known of data, and what notebooks wrote.
    "known that is code": evil_known,
    "known of noise": extra("cache/known/faces-16-None.pt", b"x" * 99),
    "known with other facts": extra("cache/known/faces-16-None.pt", known(fingerprint="0" * 12)),
    "known with large pixels": extra(
        "cache/known/faces-16-None.pt", known(pixels=torch.zeros(9, 1, 8, 8, dtype=torch.uint8))
    ),
    "known of other data": extra("cache/known/mnist-16-None.pt", known()),
    "known parts that are none": extra("cache/known/faces.json", b'[{"photo": 1}]'),
    "known parts nested deep": extra("cache/known/faces.json", DEEP),
    "known altered": extra("cache/known/faces-16-None.pt", known(name="other"), False),
    "a table altered": extra("toy/smoke-faces/tables/main.csv", b"value\n1\n", False),
    "a table of another run": extra("toy/paper/tables/main.csv", b"value\n1\n"),
}


def listing(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def try_bundle(kind: str, base: Path, packed: Path, scratch: Path) -> Outcome:
    """Merge an altered bundle into an empty folder of runs, and hold what came to the original."""
    outside, outcome = scratch / "outside", Outcome()
    home, path = outside / "a" / "b" / "runs", scratch / "altered.zip"
    home.mkdir(parents=True)
    craft = Craft(packed, outside / "bait")
    BUNDLES[kind](craft)
    craft.save(path)
    with planned(home):
        found = tried(outcome, lambda: merge(path))
        if found:
            outcome.said += found[1]
            outcome.mended = len(found[0]) == len(plan())
            if any(len(line.splitlines()) != 1 or len(line) > 500 for line in found[1]):
                outcome.tracebacks.append("a line that is none")
    # What came is bit for bit what was made, but for manifests, and all of it of a finished unit.
    whole, here = listing(base), listing(home)
    for name, got in here.items():
        unit = next((u for u in plan() if f"/{u.name}-{u.key}/" in name), None)
        if unit is not None and (not unit.done(home) or name.endswith(MANIFEST)):
            same = unit.done(home)
        else:
            same = got == whole.get(name)
        if not same:
            outcome.wrong.append(f"{name} is not what was made")
    if found is None and here:
        outcome.wrong.append(f"refused, but there are {', '.join(here)}")
    for unit in plan():
        if unit.done(home):
            own = read_rows([unit], base).drop(columns="cpu_seconds").to_dict("list")
            got = read_rows([unit], home).drop(columns="cpu_seconds").to_dict("list")
            outcome.wrong += [] if own == got else [f"{unit.name} has other rows"]
    inside = {f"a/b/runs/{name}" for name in here}
    strange = [n for n in listing(outside) if n not in inside and not n.endswith("/lock")]
    if strange or (outside / "bait").exists():
        outcome.wrong.append(f"written outside: {strange or 'by code of the bundle'}")
    shutil.rmtree(outside)
    path.unlink()
    return outcome


def prepared(scratch: Path) -> tuple[Path, Path]:
    """The plan, trained, and a bundle of all of it."""
    base, packed = made(scratch / "base"), scratch / "whole.zip"
    with planned(base):
        bundle(GIVEN, base, packed, weights=True)
    return base, packed
