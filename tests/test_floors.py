"""Imports run one way: a module imports only modules of lower floors, and few of its own."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import ganzip

PACKAGE = Path(ganzip.__file__).parent
FLOORS = [
    "_compat device files parallel processes train taps losses nets.width units.manifests",
    "parameters nets data degrade features assets prune slicing units.unit units.run units.pool",
    "methods units",
    "metrics families presets sets report.tables report.claims export units.budget distil zoo",
    "measure",
    "papers report.figures units.bundles units.plan units.status",
    "units.transfer batch explore report reproduce",
]
# Edges within a floor, by name.
EDGES = """
    batch: units.transfer
    data: data
    distil: distil
    export: metrics
    features: assets
    losses: device parallel
    measure: measure
    methods: methods.gan
    nets.checkpoints: nets
    nets.enlarging: nets.realesrgan
    nets.gcfsr: nets.stylegan2
    papers.__main__: units.plan
    papers.adapters: papers.super_resolution
    papers.dcgan_kd: papers.adapters
    papers.kernels: papers.perceptual
    papers.matrix: papers
    papers.nickel_dime: papers.adapters papers.kernels
    papers.nickel_dime: papers.nickel_dime_networks papers.nickel_dime_rows
    papers.sdakd: papers.perceptual papers.sdakd_rows papers.super_resolution
    papers.sdakd_claims: papers.sdakd_rows papers.super_resolution
    papers.sdakd_rows: papers.super_resolution
    papers.your_own_gan: papers
    papers.your_own_gan_budget: papers.perceptual papers.your_own_gan_data
    papers.your_own_gan_data: papers.adapters papers.perceptual papers.super_resolution
    papers.your_own_gan_rows: papers.super_resolution papers.your_own_gan_data
    parallel: processes
    presets: families
    report.claims: report.tables
    report.figures: report.figures
    report.keeping: units.transfer
    report.ongoing: report.bars report.enlargements report.keeping units.transfer
    report.pages: explore report.effects report.enlargements report.keeping report.ongoing
    report.show: report.keeping
    reproduce: batch report.keeping
    slicing: prune
    taps: device
    train: device parallel
    units.manifests: files
    units.pool: units.run units.unit
    units.run: data units.unit
    units.status: units.plan
    units.unit: data
    zoo: export metrics
"""
SIDEWAYS = {
    (line.split(":")[0].strip(), other)
    for line in EDGES.strip().splitlines()
    for other in line.split(":")[1].split()
}
FORBIDDEN = [("methods", name) for name in ("nets", "features", "data", "units")]


def floor(module: str) -> int:
    """The floor of a module, or of the package that it is in."""
    found = {n: i for i, names in enumerate(FLOORS) for n in names.split() if under(module, n)}
    assert found, f"{module} stands on no floor: add it to FLOORS"
    return found[max(found, key=len)]


def under(module: str, name: str) -> bool:
    return module == name or module.startswith(name + ".")


def modules() -> dict[str, Path]:
    """Every module by name, a package by that of its folder; ganzip itself is none."""
    paths = [p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py"]
    names = (p.relative_to(PACKAGE).with_suffix("").parts for p in paths)
    return {".".join(n).removesuffix(".__init__"): p for n, p in zip(names, paths, strict=True)}


def imports(path: Path) -> set[str]:
    """Modules of ganzip that a file imports anywhere, functions included."""
    known, found = modules(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {
                a.name.removeprefix("ganzip.") for a in node.names if a.name.startswith("ganzip.")
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ganzip":
            base = (node.module or "").removeprefix("ganzip").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                found.add(full if full in known else base or full)
    return {name for name in found if name in known}


def broken(edges: set[tuple[str, str]]) -> list[str]:
    out = []
    for a, b in sorted(edges):
        sideways = any(under(a, x) and under(b, y) for x, y in SIDEWAYS)
        if any(under(a, x) and under(b, y) for x, y in FORBIDDEN):
            out.append(f"{a} must not import {b}")
        elif floor(b) >= floor(a) and not sideways:
            out.append(f"{a} (floor {floor(a)}) imports {b} (floor {floor(b)})")
    return out


def test_imports_run_one_way():
    edges = {(name, other) for name, path in modules().items() for other in imports(path)}
    assert ("papers.dcgan_kd", "units") in edges  # the reader of imports does see them
    assert broken(edges) == []


def test_a_wrong_edge_is_seen():
    assert broken({("train", "units")}) and broken({("methods.gan", "nets.dcgan")})
    assert broken({("methods.mse_joint", "methods.omgd")}) and broken({("methods.cagc", "data")})


def test_the_lowest_floor_is_torch_only():
    for name in ("parallel", "train", "taps", "losses", "nets.width"):
        tree = ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text())
        outside = {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)}
        allowed = "copy datetime hashlib logging math os signal sys time".split()
        assert outside <= {"torch", "torch.nn.functional", "torch.distributed", *allowed}, name


def test_no_file_of_the_library_is_longer_than_500_lines():
    lines = {name: path.read_text().count("\n") for name, path in modules().items()}
    assert {name: n for name, n in lines.items() if n > 500} == {}


@pytest.mark.parametrize("paper", ["dcgan_kd", "sdakd", "nickel_dime"])
def test_a_papers_module_has_what_is_looked_up_in_it_by_name(paper):
    found = set()
    for path in PACKAGE.rglob("*.py"):
        pattern = r"(?:paper_module|import_module)\((?!module\))[^()]*\)\.(\w+)"
        found |= set(re.findall(pattern, path.read_text()))
    assert {"prepare", "work", "network_of", "generator_of"} <= found
    module = import_module(f"ganzip.papers.{paper}")
    lacking = {name for name in found if not hasattr(module, name)}
    assert lacking <= ({"generator_of"} if paper == "sdakd" else set())  # no noise to walk through
