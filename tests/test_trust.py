"""The kinds of damage in ``trust.py``, most of them slow for their number."""

import pytest
import toy
import trust

from ganzip import files
from ganzip.units import (
    Damaged,
    Unit,
    bundles,
    perform,
    read_rows,
    read_state,
    transfer,
)
from ganzip.units.pool import _find_unfinished
from ganzip.units.transfer import OTHER, merge

SOME_UNITS = [kind for i, kind in enumerate(trust.UNITS) if i % 4 == 0 or "a bit" in kind]
SOME_BUNDLES = [
    *("as it was made", "its first half", "encrypted", "rows twice", "a parent path in a unit"),
    *("rows a link, all hashes fitting", "weights of 9 MB of nothing", "header no JSON"),
    *("scale 1000000000.0", "papers ['os']", "data '/etc'", "no hashes", "rows halved"),
    *("format 1, to pass without hashes", "rows doubled, all hashes fitting"),
    *("rows all NaN, all hashes fitting", "rows missing, all hashes fitting", "history cut"),
    *("rows of another seed, all hashes fitting", "manifest nested deep", "a bit of the weights"),
    *("manifest that names a file outside", "a unit in another's folder", "known that is code"),
    *("pictures that are code", "samples that are code", "known with other facts"),
    *("a table of another run",),
]


def all_of(kinds, some):
    return [kind if kind in some else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trust.prepared(tmp_path_factory.mktemp("trust"))


@pytest.mark.parametrize("kind", all_of(trust.UNITS, SOME_UNITS))
def test_a_damaged_unit_gives_no_wrong_number_and_is_trained_anew(kind, made, tmp_path):
    base, _ = made
    out = trust.try_unit(kind, base, tmp_path, index=len(kind) % 2)
    assert (out.wrong, out.tracebacks, out.mended) == ([], [], True)


@pytest.mark.parametrize("kind", all_of(trust.BUNDLES, SOME_BUNDLES))
def test_a_damaged_bundle_brings_no_wrong_number_and_writes_nowhere_else(kind, made, tmp_path):
    base, packed = made
    out = trust.try_bundle(kind, base, packed, tmp_path)
    assert (out.wrong, out.tracebacks) == ([], [])
    if kind in SOME_BUNDLES:
        assert out.mended == (kind in ("as it was made", "a table of another run"))
        assert bool(out.said) != out.mended


def test_a_damaged_unit_is_named_and_its_files_are_kept(made, tmp_path):
    trust.shutil.copytree(made[0], root := tmp_path / "runs")
    teacher, student, _ = trust.plan()
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
    found = _find_unfinished(trust.plan(), root)
    assert [unit.name for unit in found] == [teacher.name, student.name]
    assert folder.with_name(f"{folder.name}.damaged-2").exists()
    assert aside.exists()


def test_the_weights_of_what_a_unit_needs_are_checked_before_it_is_trained(made, tmp_path, capsys):
    trust.shutil.copytree(made[0], root := tmp_path / "runs")
    teacher, student, _ = trust.plan()
    trust.flip("weights.safetensors", 0.99)(teacher.folder(root), root)
    trust.shutil.rmtree(student.folder(root))
    perform(student, toy.work, root)
    assert "line-seed0: weights.safetensors was altered" in capsys.readouterr().out
    for unit in (teacher, student):
        assert unit.read(root, "rows.csv") == unit.read(made[0], "rows.csv")


def test_a_difference_is_named_alone(made, tmp_path):
    """A tuple of ours is a list in JSON, which is no difference."""
    units = trust.plan()
    with trust.planned(tmp_path), bundles.open_bundle(made[1]) as bundle:
        packed = {each.name: each.manifest for each in bundle.units}
        other = Unit("toy", units[1].name, {**units[1].config, "seed": 7}, units[1].needs)
        assert transfer._find_fault(packed[units[1].name], units[1]) == ""
        assert transfer._find_fault(packed[units[1].name], other).startswith(f"{OTHER} (seed);")
        alone = Unit("toy", units[1].name, units[1].config, {})
        assert "(what it needs)" in transfer._find_fault(packed[units[1].name], alone)


def test_a_bundle_leaves_what_is_here_as_it_is(made, tmp_path):
    _, packed = made
    root = tmp_path / "runs"
    known, table = root / "cache/known/faces-16-None.pt", root / "toy/smoke-faces/tables/main.csv"
    for path in (known, table):
        files.write(path, b"mine")
    with trust.planned(root):
        assert len(merge(packed)[0]) == 3
        assert merge(packed) == ([], [])
    assert known.read_bytes() == table.read_bytes() == b"mine"


def test_tables_come_only_with_every_unit_of_their_paper(made, tmp_path):
    def one_less(craft):
        folder = craft.of("rows.csv").removesuffix("rows.csv")
        craft.entries = {k: v for k, v in craft.entries.items() if not k.startswith(folder)}
        craft.sign(keep=True)

    craft = trust.Craft(made[1], tmp_path / "bait")
    one_less(craft)
    craft.save(tmp_path / "less.zip")
    with trust.planned(root := tmp_path / "runs"):
        assert len(merge(tmp_path / "less.zip")[0]) == 2
        assert not list(root.rglob("main.csv"))
        assert len(merge(made[1])[0]) == 1
        assert list(root.rglob("main.csv"))
