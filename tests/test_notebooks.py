"""The committed notebooks: in order, executed, equal in source, and guarded by nbval."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from PIL import Image

from ganzip import export
from ganzip.papers import adapters

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
COMMITTED = [
    *(folder / name for folder in (ROOT / "notebooks", ROOT / "tests/notebooks") for name in NAMES),
]


def read(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return cell.metadata.get("tags", [])


def source(path):
    """Cells without those that papermill injects, and that say which run is shown."""
    return [
        (c.cell_type, c.source, tags(c))
        for c in read(path).cells
        if not {"injected-parameters", "reference"} & set(tags(c))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_nbval_replays_is_what_a_reader_sees(name):
    assert source(ROOT / "notebooks" / name) == source(ROOT / "tests/notebooks" / name)


def modules(tree: ast.AST) -> dict[str, ModuleType]:
    """The modules of ganzip that a notebook imports, by the names they have in it."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ganzip"):
            home = import_module(node.module)
            for alias in node.names:
                if not hasattr(home, alias.name):
                    import_module(f"{node.module}.{alias.name}")  # or it is absent
                value = getattr(home, alias.name)
                if isinstance(value, ModuleType):
                    found[alias.asname or alias.name] = value
    return found


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: str(p.relative_to(ROOT)))
def test_notebooks_call_what_there_is(path):
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    tree = ast.parse("\n".join(source for source in cells if not source.startswith("%")))
    its = modules(tree)
    assert its
    absent = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in its
        and not hasattr(its[node.value.id], node.attr)
    }
    assert not absent


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: str(p.relative_to(ROOT)))
def test_committed_notebooks_are_in_order(path):
    nb = read(path)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    replayed = "tests" in path.relative_to(ROOT).parts  # which have no pictures
    assert path.stat().st_size < (200_000 if replayed else 3_000_000)
    assert sum("parameters" in tags(cell) for cell in code) == 1
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)
    for cell in code:
        assert len(cell.source.splitlines()) <= 15, cell.source
        assert not re.search(r"^\s*class |for step in", cell.source, re.M), cell.source
        assert not any(output.output_type == "error" for output in cell.outputs), cell.source
    assert not re.search(r"/(home|root|tmp|mnt|work|Users)/\w", path.read_text()), (
        "a path of one machine"
    )
    assert "papermill" not in nb.metadata


@pytest.mark.parametrize("name", NAMES)
def test_nbval_compares_cells_of_every_notebook(name):
    code = [
        cell for cell in read(ROOT / "tests/notebooks" / name).cells if cell.cell_type == "code"
    ]
    compared = [cell for cell in code if cell.outputs and "nbval-ignore-output" not in tags(cell)]
    assert len(compared) >= 2


def test_nbval_sees_a_changed_number_and_no_changed_time(tmp_path):
    code, stdout = nbformat.v4.new_code_cell, {"output_type": "stream", "name": "stdout"}
    told = {"print(62_077)": "62077", "print(62_078)": "62077", "print('in 0.51s')": "in 3.2s"}
    cells = [
        code(
            source, execution_count=i, outputs=[nbformat.from_dict(stdout | {"text": f"{text}\n"})]
        )
        for i, (source, text) in enumerate(told.items(), 1)
    ]
    path = tmp_path / "three.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    how = ["-p", "no:cacheprovider", "-W", "default", "--rootdir", str(tmp_path)]
    how += ["--nbval-current-env", "--nbval-sanitize-with", str(ROOT / "tests/sanitize.cfg")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", *how, str(path)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "1 failed, 2 passed" in done.stdout and "62078" in done.stdout


def test_the_lines_of_notebook_4_run_a_student_without_ganzip(tmp_path):
    texts = [cell.source for cell in read(ROOT / "notebooks" / "4_your_own_gan.ipynb").cells]
    blocks = [code for text in texts for code in re.findall(r"```python\n(.*?)```", text, re.S)]
    (code,) = [block for block in blocks if "InferenceSession" in block]
    its = adapters.load(f"{ROOT / 'notebooks' / 'my_gan.py'}:adapter")
    export.to_onnx(its.generator(0.25).eval(), its.example(2), tmp_path / "student.onnx")
    Image.new("RGB", (20, 12), "red").save(tmp_path / "small.png")
    alone = f"{code}\nimport sys\nassert not {{'ganzip', 'torch'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", alone], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "large.png") as large:
        assert large.size == (40, 24)
