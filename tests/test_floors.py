"""Imports run one way: a module imports only modules of lower floors, and few of its own."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import ganzip

PACKAGE = Path(ganzip.__file__).parent
FLOORS = {
    0: [
        *"_compat device files parallel processes train taps".split(),
        *("losses", "nets.width", "units.manifests"),
    ],
    1: [
        "parameters",
        "nets",
        "data",
        "degrade",
        "features",
        "assets",
        "prune",
        "slicing",
        "units.unit",
        "units.run",
        "units.pool",
    ],
    2: ["methods", "units"],
    3: [
        "metrics",
        "families",
        "presets",
        "sets",
        "report.tables",
        "report.claims",
        "export",
        "units.budget",
        "distil",
        "zoo",
    ],
    4: ["measure"],
    5: ["papers", "report.figures", "units.bundles", "units.plan", "units.status"],
    6: ["units.transfer", "batch", "explore", "report", "reproduce"],
}
SIDEWAYS = {  # edges within a floor, by name
    ("train", "parallel"),
    ("parallel", "processes"),
    ("losses", "parallel"),
    ("losses", "device"),
    ("taps", "device"),
    ("data", "data"),
    ("methods", "methods.gan"),
    ("nets.gcfsr", "nets.stylegan2"),
    ("nets.checkpoints", "nets"),
    ("nets.enlarging", "nets.realesrgan"),
    ("presets", "families"),
    ("features", "assets"),
    ("units.manifests", "files"),
    ("units.unit", "data"),
    ("units.run", "data"),
    ("units.run", "units.unit"),
    ("units.pool", "units.run"),
    ("units.pool", "units.unit"),
    ("units.status", "units.plan"),
    ("batch", "units.transfer"),
    ("report.keeping", "units.transfer"),
    ("report.ongoing", "units.transfer"),
    ("export", "metrics"),
    ("zoo", "export"),
    ("zoo", "metrics"),
    ("report.claims", "report.tables"),
    ("report.figures", "report.figures"),
    ("distil", "distil"),
    ("report.pages", "explore"),
    ("report.pages", "report.ongoing"),
    ("report.pages", "report.enlargements"),
    ("report.ongoing", "report.keeping"),
    ("reproduce", "batch"),
    ("reproduce", "report.keeping"),
    ("report.pages", "report.keeping"),
    ("report.show", "report.keeping"),
    ("measure", "measure"),
    ("papers.sdakd", "papers.perceptual"),
    ("papers.kernels", "papers.perceptual"),
    ("papers.your_own_gan_data", "papers.perceptual"),
    ("papers.your_own_gan_budget", "papers.perceptual"),
    ("papers.your_own_gan_budget", "papers.your_own_gan_data"),
    ("papers.your_own_gan_data", "papers.adapters"),
    ("papers.nickel_dime", "papers.nickel_dime_rows"),
    ("papers.nickel_dime", "papers.kernels"),
    ("papers.sdakd", "papers.sdakd_rows"),
    ("papers.sdakd", "papers.super_resolution"),
    ("papers.sdakd_rows", "papers.super_resolution"),
    ("papers.sdakd_claims", "papers.sdakd_rows"),
    ("papers.sdakd_claims", "papers.super_resolution"),
    ("papers.adapters", "papers.super_resolution"),
    ("papers.dcgan_kd", "papers.adapters"),
    ("papers.nickel_dime", "papers.adapters"),
    ("papers.matrix", "papers"),
    ("papers.your_own_gan", "papers"),
    ("papers.your_own_gan_data", "papers.super_resolution"),
    ("papers.your_own_gan_rows", "papers.your_own_gan_data"),
    ("papers.your_own_gan_rows", "papers.super_resolution"),
}
FORBIDDEN = [
    ("methods", "nets"),
    ("methods", "features"),
    ("methods", "data"),
    ("methods", "units"),
]


def floor(module: str) -> int:
    """The floor of a module, or of the package that it is in."""
    found = {name: n for n, names in FLOORS.items() for name in names if under(module, name)}
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


def test_packages_are_modules():
    edges = {(name, other) for name, path in modules().items() for other in imports(path)}
    assert {("measure.judging", "data"), ("data", "data.decoding")} <= edges


def test_the_lowest_floor_is_torch_only():
    for name in ("parallel", "train", "taps", "losses", "nets.width"):
        tree = ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text())
        outside = {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)}
        assert outside <= {"torch", "torch.nn.functional", "copy", "hashlib", "math"} | {
            "datetime",
            "logging",
            "os",
            "signal",
            "sys",
            "time",
            "torch.distributed",
        }, name


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
