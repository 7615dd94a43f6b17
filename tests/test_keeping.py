"""What figures/ holds is what its rows give: drawn again without data, weights and training."""

import builtins
import contextlib
import io
import json
import re
import shutil
import warnings
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import toy
from PIL import Image

from ganzip import batch, files, zoo
from ganzip.report import keeping
from ganzip.report.keeping import RUN
from ganzip.units import Run, Unit, manifests, perform
from ganzip.units.bundles import HEADER
from ganzip.units.plan import Request, paper_module
from ganzip.units.transfer import evaluations, read_request
from ganzip.units.unit import KEPT
from tests.plans import digest

PLACES = [place for place in keeping.places() if (place / RUN).exists()]


@pytest.fixture
def here(monkeypatch):
    """Bundles are merged and notebooks executed in this process, which has all modules loaded."""

    def run(module, root, place):
        monkeypatch.setenv("GANZIP_RUNS", root)
        monkeypatch.delenv("GANZIP_DATA", raising=False)
        if module[0] == "ganzip.batch":
            with contextlib.redirect_stdout(io.StringIO()) as told:
                refused = batch.main(module[1:])
            if refused:
                reason = told.getvalue().strip().splitlines()[-1]
                older = reason.endswith("not in the bundle")
                raise (keeping.OlderPlan if older else RuntimeError)(reason)
            return
        given = json.loads(module[module.index("-y") + 1]) if "-y" in module else {}
        names = {"__name__": "__main__"}
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("default")
            patch.chdir(root)
            for cell in nbformat.read(module[1], as_version=4).cells:
                if cell.cell_type == "code":
                    exec(cell.source, names)
                    names |= given if "parameters" in cell.metadata.get("tags", ()) else {}

    monkeypatch.setattr(keeping, "_run", run)
    monkeypatch.setattr(builtins, "display", lambda *_: None, raising=False)


@pytest.mark.parametrize("place", PLACES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_kept_figures_and_tables_come_out_of_kept_rows(place, tmp_path, here):
    again = tmp_path / "again"
    shutil.copytree(place, again, ignore=shutil.ignore_patterns(zoo.PLACE))
    before = {path.name for path in place.iterdir()}
    for path in again.iterdir():
        if path.name != RUN:
            path.unlink()
    try:
        keeping.redraw(again)
    except keeping.OlderPlan as lacking:
        pytest.skip(str(lacking))
    assert {path.name for path in again.iterdir()} == before - {zoo.PLACE}
    for path in sorted(place.glob("*.csv")):
        kept, drawn = pd.read_csv(path), pd.read_csv(again / path.name)
        # To the letter on one machine; elsewhere sums may differ in the last bit.
        pd.testing.assert_frame_equal(kept, drawn, rtol=1e-9, obj=path.name)


@pytest.mark.parametrize("place", PLACES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_kept_run_holds_no_data_no_weights_and_no_paths(place):
    with zipfile.ZipFile(place / RUN) as held:
        names = held.namelist()
        given = read_request(held, place / RUN)
        manifests = [json.loads(held.read(n)) for n in names if n.endswith("/manifest.json")]
    units = r"\w+/units/[^/]+/(history\.csv|manifest\.json|rows\.csv|shown/[\w-]+\.pt)"
    allowed = rf"{HEADER}|cache/known/[\w.+-]+|{units}"
    assert not [name for name in names if not re.fullmatch(allowed, name)]
    assert "/" not in given.data
    assert place.name == given.folder(given.papers[0], Path()).name
    assert len(manifests) == len(set(m["unit"] for m in manifests)) > 30
    assert (place / RUN).stat().st_size < 3_500_000


def test_a_table_that_does_not_follow_from_the_rows_is_named(tmp_path, monkeypatch):
    place = keeping.folder() / "dcgan_kd" / "cpu-mnist-x1.3"
    again = tmp_path / "again"
    shutil.copytree(place, again)
    (again / "claims.csv").write_text("claim\nA student is better than all\n")

    def notebook(module, root, _):
        out = Request(data="mnist", scale=1.3, papers=("dcgan_kd",)).folder("dcgan_kd", Path(root))
        if module[0] == "papermill":
            assert module[2] == str(out / "1_dcgan_kd.ipynb")
            (out / "figures").mkdir()
            shutil.copytree(place, out / "tables", ignore=shutil.ignore_patterns(RUN, "*.png"))

    monkeypatch.setattr(keeping, "_run", notebook)
    assert keeping.redraw(again) == ["claims.csv"]
    assert (again / "claims.csv").read_bytes() == (place / "claims.csv").read_bytes()


def test_figures_of_notebook_4_come_out_of_its_table_and_pictures(tmp_path):
    (place,) = [p for p in keeping.places() if p.parent.name == keeping.OWN]
    again = tmp_path / keeping.OWN / "cpu"
    shutil.copytree(place, again, ignore=shutil.ignore_patterns("*.png"))
    assert keeping.redraw(again) == []
    assert {p.name for p in again.iterdir()} == {p.name for p in place.iterdir()}
    for name in keeping.FIGURES.values():
        kept, drawn = (np.asarray(Image.open(folder / f"{name}.png")) for folder in (place, again))
        assert kept.shape == drawn.shape and np.abs(kept - drawn.astype(float)).mean() < 1


def test_what_is_told_of_a_run_is_in_it():
    for place in PLACES:
        assert keeping.summary(place) == keeping.summarise(place / RUN)


def test_a_kept_bundle_has_evaluations_and_no_losses():
    history = b"step,player,term,value\n1,G,mse,0.5\n40,validation,FD-mnist,2.0\n"
    assert evaluations(history) == b"step,player,term,value\n40,validation,FD-mnist,2.0\n"
    for place in PLACES:
        with zipfile.ZipFile(place / RUN) as held:
            for name in held.namelist():
                if name.endswith("/history.csv"):
                    text = held.read(name)
                    assert evaluations(text) == text, name


def test_a_teacher_that_comes_along_is_taken_and_not_trained(tmp_path, monkeypatch, capsys):
    """Where it is asked for or was altered, it is trained."""
    monkeypatch.setattr(keeping.files, "repository", lambda: tmp_path)
    teacher, kept = toy.unit(steps=3, data="line"), tmp_path / KEPT
    config = {**toy.unit(steps=2, seed=1).config, "teacher": True, "method": "mse"}
    student = Unit("toy", "student-seed1", config, {"teacher": teacher})
    with pytest.raises(FileNotFoundError, match="no teacher of this plan is finished"):
        keeping.keep_teachers([student], tmp_path / "first", kept)
    perform(student, toy.work, tmp_path / "first")
    (place,) = keeping.keep_teachers([student], tmp_path / "first", kept)
    assert place == teacher.folder(kept) and teacher.done(kept)

    def trained(name: str, how: str = "") -> set[str]:
        """What was trained of the two in a folder of runs."""
        monkeypatch.setenv("GANZIP_TEACHERS", how)
        names = set()

        def work(run: Run) -> None:
            names.add(run.unit.name)
            toy.work(run)

        perform(student, work, tmp_path / name)
        again, first = (student.folder(tmp_path / each) for each in (name, "first"))
        assert digest(again) == digest(first)
        return names

    both = {teacher.name, student.name}
    assert trained("second") == {student.name} and trained("third", "train") == both
    with pytest.raises(ValueError, match="GANZIP_TEACHERS is 'no', expected kept or train"):
        trained("fourth", "no")
    weights = place / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert trained("fifth") == both and "was altered" in capsys.readouterr().out
    assert place.exists()
    newer = toy.unit(steps=4, data="line")
    perform(newer, toy.work, tmp_path / "first")
    student = Unit("toy", "student-seed1", config, {"teacher": newer})
    (other,) = keeping.keep_teachers([student], tmp_path / "first", kept)
    assert other != place and not place.exists()


def test_teachers_that_come_along_are_those_of_todays_plan():
    for path in (files.repository() / KEPT).glob("*/units/*/manifest.json"):
        its = manifests.read(path.read_bytes())
        paper = path.parts[-4]
        plan = {u.name: u for u in paper_module(paper).outline(str(its.config["preset"]))}
        ours, theirs = dict(plan[its.unit].config), dict(its.config)
        for config in (ours, theirs):
            for name in ("data", "fingerprint"):  # as large and of as many classes
                config.pop(name)
        assert json.loads(json.dumps(ours)) == theirs, path
