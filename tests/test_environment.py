"""pyproject.toml, constraints.txt and environment.yml agree; modules import little."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import ganzip

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    parts = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): Version(version) for name, version in parts}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    texts = [
        *PROJECT["dependencies"],
        *(t for name, part in extras.items() if name != "all" for t in part),
    ]
    return [Requirement(text) for text in texts]


def disagreements(pinned: dict[str, Version]) -> list[str]:
    out = []
    for requirement in requirements():
        name = requirement.name.lower().replace("_", "-")
        if name not in pinned:
            out.append(f"{name} is not pinned in constraints.txt")
        elif pinned[name] not in requirement.specifier:
            out.append(f"{name} is pinned to {pinned[name]}, outside of {requirement.specifier}")
    return out


def test_every_requirement_is_pinned_inside_its_range():
    assert disagreements(pins()) == []


def test_the_version_is_told_without_an_installation():
    assert PROJECT["version"] == ganzip.__version__


def test_conda_installs_with_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _, pip = environment["dependencies"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[all]"]}
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert Version(python.removeprefix("python=")) >= Version(minimum)


# Each takes a second or more: what needs one imports it in the function that does, but for what
# draws, and what imports that.
DRAWING = ("figures", "keeping", "pages", "ongoing", "show", "enlargements", "explore", "reproduce")
HEAVY = {
    *("IPython", "cleanfid", "matplotlib", "nbformat", "onnx", "onnxruntime", "open_clip"),
    *("papermill", "scipy", "seaborn", "skimage", "sklearn", "snakemake", "torchvision"),
    "torch._dynamo",
}
IMPORTS = """
import importlib, sys
import ganzip
print("torch" in sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sys.modules)
from ganzip.units import find_unit, perform
from ganzip.units.plan import Request, work
units = Request("smoke", papers=("nickel_dime",)).units()
perform(find_unit(units, "speed-seed0"), work, ganzip.files.runs_folder())
print(*sys.modules)
"""
# What a rented machine may lack, on which a plan is made and units are trained.
OPTIONAL = HEAVY - {"scipy", "sklearn", "skimage", "torch._dynamo"}


def test_modules_import_no_heavy_library_and_ganzip_itself_not_even_torch(tmp_path):
    paths = (p.relative_to(ROOT).with_suffix("") for p in sorted((ROOT / "ganzip").rglob("*.py")))
    names = [".".join(p.parts) for p in paths if not set(DRAWING).intersection(p.parts)]
    command, here = (
        [sys.executable, "-c", IMPORTS, *names],
        os.environ | {"GANZIP_RUNS": str(tmp_path)},
    )
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=here)
    torch, modules, *_, later = done.stdout.splitlines()
    assert torch == "False" and len(names) > 40
    assert "torch" in modules.split() and not HEAVY.intersection(modules.split())
    assert not OPTIONAL.intersection(later.split())
