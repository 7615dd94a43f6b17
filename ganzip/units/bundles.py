"""Bundles as files: what may be in one, and all of it checked before anything is taken out.

A bundle is a zip with ``ganzip-bundle.json``, which says what was reproduced and names every other
entry with size and sha256. The hashes tell an accident, not a forger: who writes new rows and new
hashes to them is believed. No entry is code, and none leads out of the folder of runs.
"""

import csv
import io
import json
import math
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors

from ganzip import data, files
from ganzip.parameters import Preset
from ganzip.report import tables
from ganzip.units import manifests
from ganzip.units.manifests import HISTORY, ROWS, WEIGHTS, File, Manifest
from ganzip.units.unit import read_figure_data, unit_key

FORMAT = 2
HEADER = "ganzip-bundle.json"
NOTES = "cache/known"  # what stays known of data sets that are not here
MAX_ENTRIES = 100_000
MAX_RATIO = 300  # of unpacked to packed bytes; weights, rows and pictures stay far below
USER_FILE = r"[^\W_][^/\\:*?\"<>|\x00-\x1f]{0,199}"  # a file that a user named
KINDS = {  # of entries, with the most MiB of one
    r"\w+/units/[\w.+-]+/manifest\.json": 4,
    r"\w+/units/[\w.+-]+/(rows|history)\.csv": 256,
    r"\w+/units/[\w.+-]+/(shown/[\w-]+\.pt|samples/[\w-]+\.npy)": 1024,
    r"\w+/units/[\w.+-]+/weights\.safetensors": 32768,
    rf"{NOTES}/{USER_FILE}\.(pt|json)": 64,
    rf"\w+/{USER_FILE}/((tables|figures)/[\w-]+\.(csv|json|png|pdf)|[\w-]+\.ipynb)": 256,
}
HEADER_MIB = 32
SYSTEM_FOLDERS = ("dev", "proc", "sys")  # folders that hold no data, and do not end

Text = Annotated[str, StringConstraints(max_length=300)]


def set_names(names: str) -> list[str]:
    """The names under which a run's data sets, with commas between, stay known."""
    return [data.set_name(name) for name in names.split(",") if name]


class BundleError(ValueError):
    """No bundle of ours, or a damaged one."""


class Header(BaseModel):
    """What a bundle says of itself.

    preset, data, scale, papers, seeds: what was reproduced. device ... numpy: where. files: all
    entries.
    """

    model_config = ConfigDict(defer_build=True, strict=True, frozen=True, allow_inf_nan=False)

    format: Annotated[int, Field(ge=1)]
    preset: Preset
    data: str
    scale: Annotated[float, Field(gt=0, le=1000)]
    papers: Annotated[tuple[Annotated[str, StringConstraints(pattern=r"^\w+$")], ...], Field(
        min_length=1, max_length=20)]  # fmt: skip
    seeds: Annotated[int, Field(ge=0, le=100)] = 0
    device: Text = ""
    processor: Text = ""
    python: Text = ""
    ganzip: Text = ""
    torch: Text = ""
    numpy: Text = ""
    files: Annotated[dict[str, File], Field(max_length=MAX_ENTRIES)] = {}

    @field_validator("data")
    @classmethod
    def _data(cls, names: str) -> str:
        for name in names.split(",") if names else ():
            parts = PurePosixPath(name.strip()).parts
            system = parts == ("/",) or parts[:2] in {("/", each) for each in SYSTEM_FOLDERS}
            odd = not parts or ".." in parts or parts[0].startswith("~") or "\\" in name
            if system or odd or len(name) > 1000 or not name.isprintable():
                raise ValueError(f"expected names of data sets, or paths, found {names[:40]!a}")
        return names

    @field_validator("papers")
    @classmethod
    def _papers(cls, papers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(papers)) < len(papers):
            raise ValueError("names a paper twice")
        return papers


class Row(BaseModel):
    """The cells of a row of ``rows.csv`` that are numbers; a run that diverged leaves no value."""

    model_config = ConfigDict(defer_build=True)

    value: float | Literal[""]
    steps: int
    n_images: int
    seed: int


@dataclass(frozen=True)
class BundleUnit:
    """A unit in a bundle: its entries by file, and its fault in words, or "" for none."""

    paper: str
    name: str
    manifest: Manifest | None
    entries: Mapping[str, str]
    fault: str


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read through: what it holds, checked.

    data_notes: files of ``cache/known`` by entry. outputs: entries that notebooks wrote.
    size: bytes of all of it.
    """

    archive: zipfile.ZipFile
    header: Header
    units: list[BundleUnit]
    data_notes: Mapping[str, bytes]
    outputs: list[str]
    size: int


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """A bundle, read through and checked; raises BundleError, in one line."""
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            bundle = _read_bundle(archive, path)
        except BundleError:
            raise
        except FileNotFoundError:
            raise BundleError(f"{path}: no such file; give the path of a bundle") from None
        except (*UNREADABLE, OSError) as error:
            reason = (str(error).strip("'\" \n").splitlines() or [type(error).__name__])[0]
            raise BundleError(
                f"{path} is no bundle, or truncated ({reason:.120}); get it again"
            ) from error
        yield bundle


# What zipfile raises for what is no zip, torn, encrypted or packed in an unknown way; and csv.
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError,
    ValueError, KeyError, OverflowError, csv.Error,
)  # fmt: skip


def read_header(archive: zipfile.ZipFile, path: Path) -> Header:
    """What a bundle says of itself; raises BundleError."""
    try:
        header = manifests.parse_json(Header, archive.read(HEADER))
    except (ValueError, KeyError) as error:
        raise BundleError(f"{path}: {HEADER}: {error}; get the bundle again") from error
    if header.format != FORMAT:
        found = f"is of format {header.format}, expected {FORMAT}"
        raise BundleError(f"{path} {found}: make it with the ganzip that reads it")
    return header


def _read_bundle(archive: zipfile.ZipFile, path: Path) -> Bundle:
    _check_entries(archive, path)
    header = read_header(archive, path)
    entries = {name for name in archive.namelist() if name != HEADER}
    units: dict[str, dict[str, str]] = {}
    faults: dict[str, str] = {}
    notes, outputs = {}, []
    for entry in sorted({*entries, *header.files}):
        if not _mib_limit(entry):
            raise BundleError(f"{path}: {entry!a:.80} is nothing that a bundle holds")
        content = archive.read(entry) if entry in entries else None
        fault = _find_difference(header, entry, content)
        paper, in_unit, rest = entry.partition("/units/")
        if in_unit:
            folder, _, name = rest.partition("/")
            place = f"{paper}/units/{folder}"
            if content is not None:
                units.setdefault(place, {})[name] = entry
                fault = fault or _find_content_fault(name, content)
            if fault:
                faults.setdefault(place, f"{name} {fault}")
        elif fault or content is None:
            raise BundleError(f"{path}: {entry} {fault}; get the bundle again")
        elif entry.startswith(f"{NOTES}/"):
            notes[entry] = content
            _check_note(header, path, entry, content)
        else:
            outputs.append(entry)
    bundle_units = [
        _read_unit(archive, header, place, units.get(place, {}), faults.get(place, ""))
        for place in sorted({*units, *faults})
    ]
    size = sum(info.file_size for info in archive.infolist())
    return Bundle(archive, header, bundle_units, notes, outputs, size)


def _mib_limit(entry: str) -> int:
    """The most MiB of an entry of this name, 0 for what no bundle holds."""
    plain = all(part not in ("", ".", "..") for part in entry.split("/"))
    limits = (limit for kind, limit in KINDS.items() if re.fullmatch(kind, entry))
    return next(limits, 0) if plain else 0


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise BundleError for links, passwords, twins and bombs, and for names of no kind."""
    names: set[str] = set()
    if HEADER not in archive.namelist():
        raise BundleError(f"{path} is no bundle: it has no {HEADER}")
    if len(archive.infolist()) > MAX_ENTRIES:
        raise BundleError(
            f"{path} has {len(archive.infolist())} entries, expected {MAX_ENTRIES} at most"
        )
    for info in archive.infolist():
        name, mode = f"{path}: {info.filename!a:.80}", info.external_attr >> 16
        limit = HEADER_MIB if info.filename == HEADER else _mib_limit(info.filename)
        if not limit or info.filename != info.orig_filename:
            raise BundleError(f"{name} is nothing that a bundle holds")
        if info.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BundleError(f"{name} is no plain file")
        if info.flag_bits & 1:
            raise BundleError(f"{name} is encrypted; a bundle is not")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"{name} is packed in a way that a bundle is not")
        largest = min(limit << 20, max(1 << 20, MAX_RATIO * info.compress_size))
        if info.file_size > largest:
            raise BundleError(
                f"{name} would unpack {info.compress_size} bytes to {info.file_size}, as nothing "
                "in a bundle does"
            )
        if info.filename.casefold() in names:
            raise BundleError(f"{name} is there twice")
        names.add(info.filename.casefold())


def _find_difference(header: Header, entry: str, content: bytes | None) -> str:
    """How an entry differs from what the header says of it."""
    file = header.files.get(entry)
    if file is None:
        return f"is not named by {HEADER}: the bundle was altered"
    if content is None:
        return "is missing: the bundle was altered"
    if manifests.describe(content) != file.model_dump():
        return "was altered: its sha256 is not the one that the bundle names"
    return ""


def _check_note(header: Header, path: Path, entry: str, content: bytes) -> None:
    name = entry.removeprefix(f"{NOTES}/")
    if not any(name.startswith(each) for each in set_names(header.data)):
        raise BundleError(f"{path}: {entry} belongs to none of its data, {header.data!r}")
    try:
        if name.endswith(".pt"):
            _check_stored(content)
            data.recall_images(content)
        else:
            data.recall_parts(content)
    except (ValueError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: {entry}: {error}; get the bundle again") from error


def _check_stored(content: bytes) -> None:
    """Raise ValueError for what torch wrote not: torch stores, so that nothing grows by reading."""
    with zipfile.ZipFile(io.BytesIO(content)) as inner:
        if any(info.compress_type != zipfile.ZIP_STORED for info in inner.infolist()):
            raise ValueError("is packed, as torch packs nothing")


def _find_content_fault(name: str, content: bytes) -> str:
    """Why a unit's file cannot be what its name says."""
    try:
        if name == HISTORY:
            _last_step(content)
        elif name == WEIGHTS:
            from_safetensors(content)
        elif name.startswith("shown/"):
            _check_stored(files.unseal(content))
            read_figure_data(content)
        elif name.startswith("samples/"):
            array = np.load(io.BytesIO(content), allow_pickle=False)
            if array.dtype != np.uint8 or array.ndim != 4:
                raise ValueError(f"holds {array.dtype} {array.shape}, no images")
    except (*UNREADABLE, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"is damaged ({reason:.100})"
    return ""


def _last_step(content: bytes) -> int:
    """The last step of a history, 0 of an empty one; raises ValueError for what is none."""
    last, lines = 0, csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    if next(lines, None) != ["step", "player", "term", "value"]:
        raise ValueError("other columns than step, player, term, value")
    for line in lines:
        if len(line) != 4 or int(line[0]) < 0:
            raise ValueError(f"line {lines.line_num} is torn")
        float(line[3])
        last = max(last, int(line[0]))
    return last


def _read_unit(
    archive: zipfile.ZipFile, header: Header, place: str, entries: Mapping[str, str], fault: str
) -> BundleUnit:
    paper, _, folder = place.split("/")
    if manifests.NAME not in entries:
        fault = fault or f"{manifests.NAME} is missing"
        return BundleUnit(paper, folder, None, entries, fault)
    try:
        manifest = manifests.read(archive.read(entries[manifests.NAME]))
    except ValueError as error:
        fault = fault or f"{manifests.NAME}: {error}"
        return BundleUnit(paper, folder, None, entries, fault)
    fault = fault or _find_unit_fault(archive, header, place, manifest, entries)
    return BundleUnit(paper, manifest.unit, manifest, entries, fault)


def _find_unit_fault(
    archive: zipfile.ZipFile,
    header: Header,
    place: str,
    manifest: Manifest,
    entries: Mapping[str, str],
) -> str:
    """Why the files of a unit, each of which is what the header says, do not make one."""
    paper, _, folder = place.split("/")
    steps = manifest.config.get("steps")
    if paper not in header.papers:
        return f"its paper is none of {', '.join(header.papers)}"
    if not isinstance(steps, int):
        return f"its configuration has steps {steps!r:.40}, no number"
    if unit_key(paper, manifest.config, manifest.needs) != manifest.key:
        return f"its configuration does not give its key {manifest.key}: the manifest was altered"
    if folder != f"{manifest.unit}-{manifest.key}":
        return f"its folder is that of another unit than {manifest.unit}-{manifest.key}"
    present = {name for name in entries if name != manifests.NAME and not name.startswith("shown/")}
    if differing := present ^ set(manifest.files):
        other = min(differing)
        return f"{other} is {'not named by its manifest' if other in present else 'missing'}"
    for name, file in manifest.files.items():
        if header.files[entries[name]] != file:
            return f"{name} is not what its manifest says"
    if fault := find_rows_fault(archive.read(entries[ROWS]), paper, manifest.config):
        return f"{ROWS}: {fault}"
    if (last := _last_step(archive.read(entries[HISTORY]))) not in (0, steps):
        return f"{HISTORY}: ends at step {last} of {steps}"
    return ""


def find_rows_fault(content: bytes, paper: str, config: Mapping[str, Any]) -> str:
    """Why the text of ``rows.csv`` is not that of a unit of this paper and configuration, or ""."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        lines = list(reader)
    except (ValueError, csv.Error) as error:
        return f"no csv ({error})"
    if tuple(reader.fieldnames or ()) != tables.ROW:
        return f"its columns are not {', '.join(tables.ROW)}"
    if not lines:
        return "no rows"
    if any(None in line or None in line.values() for line in lines):
        return "a row is torn"
    expected_values = {"paper": paper, "seed": config.get("seed"), "preset": config.get("preset")}
    expected_values |= {"dataset": config.get("data")}
    for column, expected in expected_values.items():
        for line in lines:
            if expected is not None and line[column] != str(expected):
                return f"a row of {column} {line[column]!r:.40}, the unit's is {expected!r}"
    try:
        values = [Row.model_validate(line).value for line in lines]
    except ValidationError as error:
        return f"column {files.first_fault(error)}"
    if not any(isinstance(value, float) and math.isfinite(value) for value in values):
        return "no value is a number"
    if len({tuple(line[c] for c in tables.ROW if c != "value") for line in lines}) < len(lines):
        return "a row is there twice"
    return ""


# Writing one --------------------------------------------------------------------------------------


@contextmanager
def write_bundle(path: Path, facts: Mapping[str, Any]) -> Iterator[Callable[[str, bytes], None]]:
    """A new bundle at ``path``, there when the block ends well; yields what adds an entry to it.

    The header comes last: ``facts`` and the hashes. What cannot be read is not written.
    """
    added: dict[str, dict[str, Any]] = {}
    with files.replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as out:

        def add(entry: str, content: bytes) -> None:
            # The same content gives the same bytes, for no time is written.
            out.writestr(zipfile.ZipInfo(entry), content, zipfile.ZIP_DEFLATED)
            added[entry] = manifests.describe(content)

        yield add
        header = json.dumps({"format": FORMAT, **facts, "files": added}).encode()
        manifests.parse_json(Header, header)
        out.writestr(zipfile.ZipInfo(HEADER), header, zipfile.ZIP_DEFLATED)
