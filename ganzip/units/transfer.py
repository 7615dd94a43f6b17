"""Results that travel: what is done packed into a bundle, and a bundle taken in."""

import json
import zipfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from ganzip import files
from ganzip.units import bundles, manifests
from ganzip.units.bundles import HEADER, NOTES, Bundle, BundleError, BundleUnit, set_names
from ganzip.units.manifests import HISTORY, ROWS, WEIGHTS, File, Manifest
from ganzip.units.plan import PAPER_NOTEBOOKS, Request
from ganzip.units.run import surroundings
from ganzip.units.unit import ABSENT, Unit, read_figure_data, receive_unit, verify_unit

OTHER = "another configuration"


def bundle(request: Request, root: Path, path: Path, *, weights: bool = False) -> int:
    """Pack what is done into a zip: units and what notebooks made of them.

    Of units manifests, rows, histories and what figures show; of the data their description and a
    few images. Weights and samples where asked for. Returns the number of units.
    """
    outputs = [
        file for paper in request.papers for file in _files(request.folder(paper, root), "**/*")
    ]
    return pack(request, root, path, outputs, weights=weights)


def pack(
    request: Request,
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
    patterns = [HISTORY, ROWS, *([WEIGHTS, "samples/*"] if weights else [])]
    done = [unit for unit in request.units() if unit.done(root)]
    with bundles.write_bundle(path, {**asdict(request), **surroundings()}) as add:
        for unit in done:
            manifest, folder = unit.manifest(root), unit.folder(root)
            place = f"{unit.paper}/units/{manifest['unit']}-{manifest['key']}"
            names = [n for n in manifest["files"] if any(fnmatch(n, each) for each in patterns)]
            contents = {name: unit.read(root, name) for name in names}
            manifest["files"] = {name: manifest["files"][name] for name in names}
            if not losses:
                contents[HISTORY] = evaluations(contents[HISTORY])
                manifest["files"][HISTORY] = manifests.describe(contents[HISTORY])
            add(f"{place}/{manifests.NAME}", manifests.to_bytes(manifest))
            for name, content in contents.items():
                add(f"{place}/{name}", content)
            for file in [f for f in _files(folder, "shown/*.pt") if f not in without]:
                with suppress(ValueError):  # an altered one is drawn anew where its unit is
                    read_figure_data(content := file.read_bytes())
                    add(f"{place}/shown/{file.name}", content)
        notes = [f for name in set_names(request.data) for f in _files(root / NOTES, f"{name}*")]
        for file in dict.fromkeys((*notes, *more)):
            add(file.relative_to(root).as_posix(), file.read_bytes())
    return len(done)


def evaluations(history: bytes) -> bytes:
    """A history without its losses."""
    head, *lines = history.decode().splitlines(keepends=True)
    return "".join([head, *(line for line in lines if ",validation," in line)]).encode()


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def merge(path: Path, *, anyhow: bool = False) -> tuple[list[str], list[str]]:
    """Take another machine's bundle into the folder of runs: the names of its units, and a line
    for each that is refused.

    A unit is taken whole, if this checkout plans one of the same configuration, by its hash; what
    is done here stays as it is. Tables and figures are taken where there are none and every unit of
    their paper is the bundle's. With ``anyhow`` a unit of another configuration stands for the one
    of its name, to show what older code made, and a unit that the plan has and the bundle has not
    is a line of the refused. Nothing is written before all was checked. Raises BundleError.
    """
    with bundles.open_bundle(path) as bundle:
        return _merge(bundle, _request_of(bundle.header, path), anyhow)


def read_request(archive: zipfile.ZipFile, path: Path) -> Request:
    """What a bundle's run was asked for."""
    return _request_of(bundles.read_header(archive, path), path)


def _request_of(header: bundles.Header, path: Path) -> Request:
    if unknown := [paper for paper in header.papers if paper not in PAPER_NOTEBOOKS]:
        raise BundleError(
            f"{path}: {HEADER}: papers: found {unknown[0]:.40}, expected "
            f"{', '.join(PAPER_NOTEBOOKS)}"
        )
    return Request(**{name: getattr(header, name) for name in asdict(Request())})


def _merge(bundle: Bundle, request: Request, anyhow: bool) -> tuple[list[str], list[str]]:
    root = files.runs_folder()
    files.check_space(root, bundle.size)
    # First, for a run whose data are not here is planned by what is known.
    notes = [name for name in bundle.data_notes if not (root / name).exists()]
    names: list[str] = []
    refusals: list[str] = []
    try:
        for name in notes:
            files.write(root / name, bundle.data_notes[name])
        plan = {(unit.paper, unit.name): unit for unit in request.units()}
        for source, unit in _match(bundle, plan, anyhow, refusals):
            if _receive(bundle, source, unit, root, refusals):
                names.append(unit.name)
    finally:
        if not names:
            for name in notes:
                (root / name).unlink(missing_ok=True)
    if anyhow:
        absent = [at for at, unit in plan.items() if not unit.done(root)]
        refusals += [f"{paper} {name}: not in the bundle" for paper, name in absent]
    rows = {u.manifest.key: u.manifest.files.get(ROWS) for u in bundle.units if u.manifest}
    for paper in request.papers:
        units = [unit for unit in plan.values() if unit.paper == paper]
        complete = all(
            u.done(root) and rows.get(u.key) == File(**u.manifest(root)["files"][ROWS])
            for u in units
        )
        if complete and not any(line.startswith(f"{paper} ") for line in refusals):
            place = request.folder(paper, root).relative_to(root).as_posix()
            for name in bundle.outputs:
                if name.startswith(f"{place}/") and not (root / name).exists():
                    files.write(root / name, bundle.archive.read(name))
    return names, refusals


def _match(
    bundle: Bundle, plan: Mapping[tuple[str, str], Unit], anyhow: bool, refusals: list[str]
) -> list[tuple[BundleUnit, Unit]]:
    """Units of a bundle with those of the plan that they are; a line for each that is none."""
    pairs: dict[str, tuple[BundleUnit, Unit]] = {}
    for source in bundle.units:
        unit = plan.get((source.paper, source.name))
        fault = source.fault or _find_fault(source.manifest, unit)
        if unit is None or (fault and not (anyhow and fault.startswith(OTHER))):
            refusals.append(f"{source.paper} {source.name}: {fault}")
        elif unit.key in pairs and fault:
            refusals.append(f"{source.paper} {source.name}: another of that name is in the bundle")
        else:
            pairs[unit.key] = source, unit
    return list(pairs.values())


def _find_fault(manifest: Manifest | None, unit: Unit | None) -> str:
    """Why a sound unit of a bundle is not taken, or nothing."""
    if manifest is not None and manifest.config.get("fingerprint") == ABSENT:
        return "it was planned without its data"
    if unit is None or manifest is None:
        return "no unit of this checkout's plan has that name"
    if unit.key != manifest.key:
        ours, theirs = json.loads(json.dumps(dict(unit.config))), manifest.config
        differences = [
            name
            for name in {**ours, **theirs}
            if name not in ours or name not in theirs or ours[name] != theirs[name]
        ]
        names = ", ".join(differences) or "what it needs"
        return f"{OTHER} ({names}); use the same commit and data"
    return ""


def _receive(
    bundle: Bundle, source: BundleUnit, unit: Unit, root: Path, refusals: list[str]
) -> bool:
    """Put a unit of a bundle where ours of that configuration is; whether there was a need to."""
    manifest = json.loads(bundle.archive.read(source.entries[manifests.NAME]))
    manifest.pop("stands_for", None)
    if manifest["key"] != unit.key:
        manifest["stands_for"] = unit.key
    contents = {
        name: partial(bundle.archive.read, entry)
        for name, entry in source.entries.items()
        if name != manifests.NAME
    }
    if not verify_unit(unit, root):
        receive_unit(unit, root, manifest, contents)
        return True
    here = unit.manifest(root)["files"]
    if WEIGHTS in here or WEIGHTS not in contents:
        return False
    if any(manifest["files"].get(name) != here[name] for name in (ROWS, HISTORY)):
        refusals.append(
            f"{source.paper} {source.name}: done here with other rows, which are not those of its "
            "weights; delete its folder to take them both"
        )
        return False
    receive_unit(unit, root, manifest, {k: v for k, v in contents.items() if k not in here})
    return True
