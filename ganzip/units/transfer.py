"""Results that travel: what is done packed into a bundle, and a bundle taken in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from ganzip import files
from ganzip.data import set_name
from ganzip.files import sha256
from ganzip.units import bundles, manifests
from ganzip.units.bundles import HEADER, KNOWN, BundleError
from ganzip.units.manifests import HISTORY, ROWS, WEIGHTS, Manifest
from ganzip.units.plan import PAPER_NOTEBOOKS, REQUEST_FIELDS, Request
from ganzip.units.run import surroundings
from ganzip.units.unit import ABSENT, Unit, is_sound, read_figure_data, receive_unit

OTHER = "another configuration"


def bundle(given: Request, root: Path, path: Path, *, weights: bool = False) -> int:
    """Pack what is done into a zip: units and what notebooks made of them.

    Of units manifests, rows, histories and what figures show; of the data their description and a
    few images. Weights and samples where asked for. Returns the number of units.
    """
    outputs = [file for paper in given.papers for file in _files(given.folder(paper, root), "**/*")]
    return pack(given, root, path, outputs, weights=weights)


def pack(
    given: Request,
    root: Path,
    path: Path,
    more: Iterable[Path] = (),
    *,
    weights: bool = False,
    losses: bool = True,
    without: Collection[Path] = (),
) -> int:
    """Pack what is done of a plan, what is known of its data, and more files of ``root``.

    losses: False leaves evaluations alone in the histories, which figures draw; losses are most of
    a bundle. without: files of ``shown/`` that stay here.
    """
    names = [HISTORY, ROWS, *([WEIGHTS, "samples/*"] if weights else [])]
    done = [unit for unit in given.units() if unit.done(root)]
    with bundles.writing(path) as out:
        for unit in done:
            told, folder = unit.manifest(root), unit.folder(root)
            place = f"{unit.paper}/units/{told['unit']}-{told['key']}"
            told["files"] = {
                name: file
                for name, file in told["files"].items()
                if any(fnmatch(name, pattern) for pattern in names)
            }
            content = {name: unit.read(root, name) for name in told["files"]}
            if not losses:
                content[HISTORY] = evaluations(content[HISTORY])
                sealed = {"size": len(content[HISTORY]), "sha256": sha256(content[HISTORY])}
                told["files"][HISTORY] = sealed
            out.add(f"{place}/{manifests.NAME}", manifests.written(told))
            for name, its in content.items():
                out.add(f"{place}/{name}", its)
            for file in [f for f in _files(folder, "shown/*.pt") if f not in without]:
                with suppress(ValueError):  # an altered one is drawn anew where its unit is
                    read_figure_data(content := file.read_bytes())
                    out.add(f"{place}/shown/{file.name}", content)
        known = [file for name in _sets(given) for file in _files(root / KNOWN, f"{name}*")]
        for file in dict.fromkeys((*known, *more)):
            out.add(file.relative_to(root).as_posix(), file.read_bytes())
        out.close({**asdict(given), **surroundings()})
    return len(done)


def evaluations(history: bytes) -> bytes:
    """A history without its losses."""
    head, *lines = history.decode().splitlines(keepends=True)
    return "".join([head, *(line for line in lines if ",validation," in line)]).encode()


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def _sets(given: Request) -> list[str]:
    """The names under which a run's data sets stay known."""
    return [set_name(name) for name in given.data.split(",") if name]


def merge(path: Path, *, anyhow: bool = False) -> tuple[list[str], list[str]]:
    """Take another machine's bundle into the folder of runs: the units taken, by name, and a line
    for each refused.

    A unit is taken whole, if this checkout plans one of the same configuration, by its hash; what
    is done here stays as it is. Tables and figures are taken where there are none and every unit of
    their paper is the bundle's. With ``anyhow`` a unit of another configuration stands for the one
    of its name, to show what older code made, a bundle of older code is taken, which names no
    hashes, and a unit that the plan has and the bundle has not is a line of the refused. Nothing is
    written before all was checked. Raises BundleError.
    """
    with bundles.opened(path) as bundle:
        given = _given(bundle.header, path)
        if bundle.header.format < bundles.FORMAT and not anyhow:
            raise BundleError(
                f"{path} is of format {bundle.header.format}, which names no hashes: make it again "
                f"with today's ganzip, or take it unchecked: python -m ganzip.batch merge {path} "
                "--anyhow"
            )
        return _merged(bundle, given, anyhow)


def read_request(held: zipfile.ZipFile, path: Path) -> Request:
    """What a bundle's run was given."""
    return _given(bundles.header_of(held, path), path)


def _given(header: bundles.Header, path: Path) -> Request:
    if unknown := [paper for paper in header.papers if paper not in PAPER_NOTEBOOKS]:
        raise BundleError(
            f"{path}: {HEADER}: papers: found {unknown[0]:.40}, expected "
            f"{', '.join(PAPER_NOTEBOOKS)}"
        )
    return Request(**{name: getattr(header, name) for name in REQUEST_FIELDS})


def _merged(bundle: bundles.Bundle, given: Request, anyhow: bool) -> tuple[list[str], list[str]]:
    root = files.runs_folder()
    files.check_space(root, bundle.size)
    # First, for a run whose data are not here is planned by what is known.
    known = [name for name in bundle.known if not (root / name).exists()]
    taken: list[str] = []
    refused: list[str] = []
    try:
        for name in known:
            files.write(root / name, bundle.known[name])
        ours = {(unit.paper, unit.name): unit for unit in given.units()}
        for packed, unit in _matched(bundle, ours, anyhow, refused):
            if _taken(bundle, packed, unit, root, refused):
                taken.append(unit.name)
    finally:
        if not taken:
            for name in known:
                (root / name).unlink(missing_ok=True)
    if anyhow:
        absent = [at for at, unit in ours.items() if not unit.done(root)]
        refused += [f"{paper} {name}: not in the bundle" for paper, name in absent]
    for paper in given.papers:
        place = given.folder(paper, root).relative_to(root).as_posix()
        its = {unit.key: unit for unit in ours.values() if unit.paper == paper}
        rows = {p.manifest.key: p.manifest.files.get(ROWS) for p in bundle.units if p.manifest}
        whole = all(rows.get(key) and _rows(unit, root) == rows[key] for key, unit in its.items())
        if whole and not any(line.startswith(f"{paper} ") for line in refused):
            for name in bundle.outputs:
                if name.startswith(f"{place}/") and not (root / name).exists():
                    files.write(root / name, bundle.read(name))
    return taken, refused


def _rows(unit: Unit, root: Path) -> manifests.File | None:
    """Size and sha256 of a unit's rows, where it is done."""
    done = unit.done(root)
    return manifests.File(**unit.manifest(root)["files"][ROWS]) if done else None


def _matched(
    bundle: bundles.Bundle,
    ours: Mapping[tuple[str, str], Unit],
    anyhow: bool,
    refused: list[str],
) -> list[tuple[bundles.Packed, Unit]]:
    """Units of a bundle with those of the plan that they are; a line for each that is none."""
    found: dict[str, tuple[bundles.Packed, Unit]] = {}
    for packed in bundle.units:
        unit = ours.get((packed.paper, packed.name))
        fault = packed.fault or _fault(packed.manifest, unit)
        if unit is None or (fault and not (anyhow and fault.startswith(OTHER))):
            refused.append(f"{packed.paper} {packed.name}: {fault}")
        elif unit.key in found and fault:
            refused.append(f"{packed.paper} {packed.name}: another of that name is in the bundle")
        else:
            found[unit.key] = packed, unit
    return list(found.values())


def _fault(told: Manifest | None, unit: Unit | None) -> str:
    """Why a sound unit of a bundle is not taken, or nothing."""
    if told is not None and told.config.get("fingerprint") == ABSENT:
        return "it was planned without its data"
    if unit is None or told is None:
        return "no unit of this checkout's plan has that name"
    if unit.key != told.key:
        mine, its = json.loads(json.dumps(dict(unit.config))), told.config
        both = [{k: (v,) for k, v in each.items()} for each in (mine, its)]
        differing = [k for k in {**mine, **its} if both[0].get(k) != both[1].get(k)]
        return f"{OTHER} ({', '.join(differing) or 'what it needs'}); use the same commit and data"
    return ""


def _taken(
    bundle: bundles.Bundle, packed: bundles.Packed, unit: Unit, root: Path, refused: list[str]
) -> bool:
    """Put a unit of a bundle where ours of that configuration is; whether there was a need to."""
    manifest = json.loads(bundle.read(packed.entries[manifests.NAME]))
    manifest.pop("stands_for", None)
    if manifest["key"] != unit.key:
        manifest["stands_for"] = unit.key
    contents = {
        name: partial(bundle.read, entry)
        for name, entry in packed.entries.items()
        if name != manifests.NAME
    }
    if not is_sound(unit, root):
        receive_unit(unit, root, manifest, contents)
        return True
    here = unit.manifest(root)["files"]
    if WEIGHTS in here or WEIGHTS not in contents:
        return False
    if any(manifest["files"].get(name) != here[name] for name in (ROWS, HISTORY)):
        refused.append(
            f"{packed.paper} {packed.name}: done here with other rows, which are not those of its "
            "weights; delete its folder to take them both"
        )
        return False
    receive_unit(unit, root, manifest, {k: v for k, v in contents.items() if k not in here})
    return True
