"""Units of work: one training run of one table row and one seed, done once and never again.

A unit's folder is keyed by the hash of its configuration and holds ``checkpoint-*.pt`` (atomic,
resumable), ``weights.safetensors``, ``history.csv``, ``rows.csv``, ``samples/``, what figures show
(``shown/``) and, written last, ``manifest.json``. What a manifest names is checked when it is read
back: a unit that is not what was written is named, its files are put aside, and the next run trains
it anew.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import inspect
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file
from torch import Tensor

from ganzip import files
from ganzip.data import set_name
from ganzip.files import write
from ganzip.units import manifests
from ganzip.units.manifests import HISTORY, ROWS, WEIGHTS, Manifest

KEPT = "figures/teachers"  # of the repository: finished teachers and judges, as a folder of runs
ABSENT = "absent"  # the fingerprint of data that are not here: of units that are only counted


class Damaged(ValueError):
    """A finished unit of which a file is not what its manifest says."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One training run: everything that decides its result, and nothing else.

    config: JSON values; ``steps`` and ``seed`` among them.
    needs: units whose results this one reads, by the role that they play ("teacher").
    cost: rough relative cost, for the time left; source: where its data are on this machine.
    shared: whether several processes, where there are, train it together; else the first does it.
    """

    paper: str
    name: str
    config: Mapping[str, Any]
    needs: Mapping[str, Unit] = field(default_factory=dict)
    cost: float = 1.0
    source: str = ""
    shared: bool = False

    @property
    def key(self) -> str:
        """Twelve hex digits: the hash of paper, configuration and the keys of what it needs."""
        return unit_key(
            self.paper, self.config, {role: unit.key for role, unit in self.needs.items()}
        )

    def folder(self, root: Path) -> Path:
        """Where the unit's files are."""
        return Path(root) / self.paper / "units" / f"{self.name}-{self.key}"

    def done(self, root: Path) -> bool:
        """Whether the unit is finished: a manifest of its own, and files of the sizes it says."""
        return (self.folder(root) / manifests.NAME).exists() and not find_fault(self, root)

    def manifest(self, root: Path) -> dict[str, Any]:
        """Versions, seed, device, times, and the files of a finished unit. Raises Damaged."""
        check_unit(self, root)
        return json.loads((self.folder(root) / manifests.NAME).read_bytes())

    def read(self, root: Path, name: str) -> bytes:
        """A file of a finished unit, as it was written; raises Damaged where it no longer is."""
        check_unit(self, root, name)
        return (self.folder(root) / name).read_bytes()

    def has_weights(self, root: Path) -> bool:
        """Whether the unit is finished and its weights are here: others may send rows alone."""
        return self.done(root) and (self.folder(root) / WEIGHTS).exists()

    def weights(self, root: Path) -> dict[str, Tensor]:
        """All tensors of a finished unit, under "network.parameter".

        Raises FileNotFoundError for a unit that came from another machine without them, and
        Damaged for weights that are not those that were written.
        """
        check_unit(self, root, WEIGHTS)
        path = self.folder(root) / WEIGHTS
        if not path.exists():
            raise FileNotFoundError(
                f"{self.name} has no weights at {path}: merge a bundle that holds them (make "
                "bundle WEIGHTS=1), or delete the folder to train it here"
            )
        return load_file(path)


def unit_key(paper: str, config: Mapping[str, Any], needs: Mapping[str, str]) -> str:
    """The key of a unit of this configuration that needs units of these keys, by their roles."""
    text = json.dumps([paper, dict(config), dict(needs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_hash(*modules: ModuleType) -> str:
    """Hash of what modules do: their syntax without comments, layout and docstrings.

    In a unit's configuration it makes a changed method train anew, and a reworded one not.
    """
    text = "".join(_syntax(inspect.getsource(module)) for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=256)
def _syntax(source: str) -> str:
    """What a module does, as text; units of a plan ask for the same few modules."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            statements = [n for n in body if not _is_text(n)]
            node.body = statements  # pyright: ignore[reportAttributeAccessIssue]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def find_units(units: Iterable[Unit], **config: Any) -> list[Unit]:
    """Units whose configuration has all the given values."""
    return [u for u in units if all(u.config.get(k) == v for k, v in config.items())]


def find_unit(units: Iterable[Unit], name: str) -> Unit:
    """The unit of that name; raises ValueError with the nearest names where there is none."""
    by_name = {unit.name: unit for unit in units}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, 3) or list(by_name)
        raise ValueError(f"no unit {name!r} in this plan; perhaps {', '.join(near)}")
    return by_name[name]


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """Units and everything that they need, each once, needs first."""
    by_key: dict[str, Unit] = {}

    def visit(unit: Unit) -> None:
        for need in unit.needs.values():
            visit(need)
        by_key.setdefault(unit.key, unit)

    for unit in units:
        visit(unit)
    return list(by_key.values())


def output_folder(
    root: Path, paper: str, preset: str, data: str, scale: float, seeds: int = 0
) -> Path:
    """Where a notebook puts tables and figures, a folder a kind of run: cpu, cpu-mnist-x3-s3.

    What a paper has embedded is not named; another paper may have a set of yours of that name.
    """
    name = preset
    embedded = "digits" if paper in ("dcgan_kd", "nickel_dime") else "photos"
    if data not in ("", embedded):
        name += "-" + "+".join(map(set_name, data.split(",")))
    if scale != 1:
        name += f"-x{scale:.15g}"
    if seeds:
        name += f"-s{seeds}"
    return root / paper / name


@dataclass(frozen=True)
class Demand:
    """What a unit asks of a machine, roughly: multiply-adds in all, bytes of weights to keep."""

    multiply_adds: float = 0.0
    weight_bytes: int = 0


@dataclass(frozen=True)
class State:
    """How far a unit is.

    name: "done", "running", "failed", "interrupted" (it goes on from ``step``) or "missing".
    step: of ``unit.config["steps"]``. error: of a failed unit, its kind and text in one line.
    """

    name: str
    step: int = 0
    error: str = ""


def read_state(unit: Unit, root: Path) -> State:
    """How far a unit is, read from its folder."""
    folder, steps = unit.folder(root), int(unit.config["steps"])
    finished = (folder / manifests.NAME).exists()
    fault = find_fault(unit, root) if finished else ""
    if finished and not fault:
        return State("done", steps)
    step = round(read_progress(unit, root) * steps)
    if _is_locked(folder / "lock"):
        return State("running", step)
    if finished:
        return State(
            "failed", 0, f"{fault}; run again: it is trained anew, and these files are put aside"
        )
    if (folder / "error.txt").exists():
        lines = (folder / "error.txt").read_text(errors="replace").strip().splitlines()
        if not lines:
            return State("failed", step, f"{folder / 'error.txt'} is empty; run again to go on")
        if lines[-1] == "KeyboardInterrupt":
            return State("interrupted", step)
        return State("failed", step, lines[-1])
    if not any(folder.glob("checkpoint-*.pt")) and not (folder / "progress").exists():
        return State("missing", step)
    # A full disk has no room for an error either.
    full = files.lack_of_space(folder)
    return State("failed", step, full) if full else State("interrupted", step)


def read_progress(unit: Unit, root: Path) -> float:
    """How much of a unit's steps is done, 0 to 1, as it last told."""
    try:
        return float((unit.folder(root) / "progress").read_text())
    except (OSError, ValueError):
        return 0.0


def _is_locked(path: Path) -> bool:
    """Whether a process has this lock. It is let go when the process dies, however it does."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


@lru_cache(maxsize=4096)
def _manifest(path: str, size: int, mtime_ns: int) -> Manifest | str:
    """A manifest, or why it is none."""
    try:
        return manifests.read(Path(path).read_bytes())
    except ValueError as error:
        return str(error)


def find_fault(unit: Unit, root: Path, *names: str) -> str:
    """What is wrong with a finished unit, in words; "" for a sound one.

    Looked at are its manifest, the sizes of all files, and the sha256 of those of ``names`` that
    the manifest names.
    """
    folder = unit.folder(root)
    try:
        stat = (folder / manifests.NAME).stat()
        manifest = _manifest(str(folder / manifests.NAME), stat.st_size, stat.st_mtime_ns)
        if isinstance(manifest, str):
            return f"{manifests.NAME}: {manifest}"
        if unit.key not in (manifest.key, manifest.stands_for):
            return f"{manifests.NAME} is that of unit {manifest.unit}-{manifest.key}"
        for name, file in manifest.files.items():
            size = (folder / name).stat().st_size
            if size != file.size:
                return f"{name} has {size} bytes, {file.size} were written"
            if name in names and files.digest(folder / name) != file.sha256:
                return f"{name} was altered: its sha256 is not that of its manifest"
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder)} is missing"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read ({error.strerror})"
    return ""


def check_unit(unit: Unit, root: Path, *names: str) -> None:
    """Raise Damaged where a finished unit has a fault; its files are then put aside.

    A unit that is not finished raises FileNotFoundError.
    """
    if not (unit.folder(root) / manifests.NAME).exists():
        raise FileNotFoundError(f"{unit.name} is not finished; run its paper's notebook first")
    if fault := find_fault(unit, root, *names):
        place = put_aside(unit, root, *names)
        note = f"; its files are kept in {place}" if place else ""
        raise Damaged(f"{unit.name}: {fault}; the next run trains it anew{note}")


def verify_unit(unit: Unit, root: Path, *names: str) -> bool:
    """Whether a unit is done and has no fault; one that has is named, and put aside."""
    if not (unit.folder(root) / manifests.NAME).exists():
        return False
    try:
        check_unit(unit, root, ROWS, HISTORY, *names)
    except (Damaged, FileNotFoundError) as error:  # put aside by another process meanwhile
        print(error)
        return False
    return True


def put_aside(unit: Unit, root: Path, *names: str) -> Path | None:
    """Move what is in the folder of a unit that has a fault into one beside it.

    Returns that, NAME.damaged-1 or the next that is free; None where another process was first.
    """
    folder = unit.folder(root)
    with files.lock_folder(folder):
        if not (folder / manifests.NAME).exists() or not find_fault(unit, root, *names):
            return None
        places = (folder.with_name(f"{folder.name}.damaged-{n}") for n in itertools.count(1))
        place = next(place for place in places if not place.exists())
        place.mkdir()
        for path in sorted(folder.iterdir(), key=lambda p: p.name != manifests.NAME):  # it first
            if path.name != "lock":  # others may be waiting for it
                os.replace(path, place / path.name)
        return place


def receive_unit(
    unit: Unit,
    root: Path,
    manifest: Mapping[str, Any],
    contents: Mapping[str, Callable[[], bytes]],
) -> None:
    """Write a unit that was made elsewhere, or what is absent of one, into its folder.

    contents: what gives each file, by name. The manifest comes last: half a unit is not done.
    """
    folder, entries = unit.folder(root), dict(manifest.get("files", {}))
    with files.lock_folder(folder):
        if ROWS in contents and unit.done(root):
            return  # meanwhile it was done here
        for name, content in contents.items():
            write(folder / name, body := content())
            if not name.startswith("shown/"):
                entries[name] = manifests.describe(body)
        write(folder / manifests.NAME, manifests.to_bytes({**manifest, "files": entries}))


def receive_kept(unit: Unit, root: Path) -> None:
    """Take a unit that is not done from those that come with the repository, if it is one of them.

    So nobody waits for the teachers of preset cpu. GANZIP_TEACHERS=train trains them all the same.
    """
    how = os.environ.get("GANZIP_TEACHERS") or "kept"
    if how not in ("kept", "train"):
        raise ValueError(f"GANZIP_TEACHERS is {how!r}, expected kept or train; set it so")
    kept = files.repository() / KEPT
    source = unit.folder(kept)
    if how == "train" or not (source / manifests.NAME).exists() or unit.done(root):
        return
    if fault := find_fault(unit, kept, ROWS, HISTORY, WEIGHTS):
        print(f"{source}: {fault}; it is trained here")
        return
    manifest = unit.manifest(kept)
    receive_unit(unit, root, manifest, {n: (source / n).read_bytes for n in manifest["files"]})


def read_rows(units: Iterable[Unit], root: Path) -> Any:
    """Rows of all finished units as a DataFrame, their key and training CPU seconds beside them.

    Raises Damaged for a unit of which a file is not what was written.
    """
    import pandas as pd

    parts = []
    for unit in units:
        if (unit.folder(root) / manifests.NAME).exists():
            text = io.BytesIO(unit.read(root, ROWS))
            rows = pd.read_csv(text, keep_default_na=False, na_values={"value": ["", "nan"]})
            seconds = unit.manifest(root)["cpu_seconds"]
            parts.append(rows.assign(unit_key=unit.key, cpu_seconds=seconds))
    if not parts:
        raise FileNotFoundError(f"no unit is done in {root}; run its paper's notebook first")
    return pd.concat(parts, ignore_index=True)


def read_history(unit: Unit, root: Path) -> Any:
    """Loss terms and evaluations of a finished unit: step, player, term, value. Raises Damaged."""
    import pandas as pd

    return pd.read_csv(io.BytesIO(unit.read(root, HISTORY)))


def read_samples(unit: Unit, root: Path) -> dict[str, Tensor]:
    """Samples that a finished unit kept over training, by phase and step: uint8 (N, C, H, W)."""
    samples = {}
    for name in sorted(n for n in unit.manifest(root)["files"] if n.startswith("samples/")):
        phase, step = Path(name).stem[:-8], int(Path(name).stem[-7:])
        array = np.load(io.BytesIO(unit.read(root, name)))
        samples[f"{phase}, step {step}"] = torch.from_numpy(array)
    return samples


def compute_once(
    unit: Unit, root: Path, name: str, compute: Callable[[], Any], given: Any = None
) -> Any:
    """What figures show of a finished unit: computed once, from then on read from its folder.

    So figures can be drawn again where neither weights nor data are, from a bundle for instance.
    It is tensors, numbers and texts in dicts, lists and tuples. ``given`` is what it was computed
    for: where that has changed, it is computed anew.
    """
    path = unit.folder(root) / "shown" / f"{name}.pt"
    with suppress(OSError, ValueError):  # absent or altered: computed anew
        before, data = read_figure_data(path.read_bytes())
        if _alike(before, given):
            return data
    data = compute()
    save_sealed(path, (given, data))
    return data


def save_sealed(path: Path, value: Any) -> None:
    """Write tensors atomically, their sha256 in front: torch alone may not see a torn file."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    write(path, files.seal(buffer.getvalue()))


def read_figure_data(content: bytes) -> tuple[Any, Any]:
    """What a file of ``shown/`` holds: what it was computed for, and the data.

    Raises ValueError for one that is torn or altered.
    """
    body = files.unseal(content)
    try:
        pair = torch.load(io.BytesIO(body), weights_only=True)
    except Exception as error:  # torch and pickle raise a dozen kinds, and advise against safety
        raise ValueError("holds no tensors, numbers and texts") from error
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError("holds no pair")
    return pair


def _alike(a: Any, b: Any) -> bool:
    """Whether two values are equal; tensors but for rounding, which differs between CPUs."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.allclose(a, b, atol=1e-4)
    return type(a) is type(b) and bool(a == b)
