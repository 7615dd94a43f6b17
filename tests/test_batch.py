"""The plan as one, how far it is, GPUs by lock, and results that travel."""

import threading
import time

import pytest
import toy

from ganzip import files
from ganzip.units import (
    State,
    Unit,
    claim_device,
    manifests,
    perform,
    pool,
    read_rows,
    read_state,
)
from ganzip.units.plan import Request, make_plan
from ganzip.units.status import forecast, progress, status
from ganzip.units.transfer import bundle, merge

GIVEN = Request("smoke", papers=("toy",))


@pytest.fixture
def plan():
    """A plan of a teacher and two students, which a test may change."""
    units = toy.plan()
    with toy.planned(lambda: units):
        yield units


def test_the_plan_names_every_unit_its_needs_and_the_notebooks(plan, tmp_path):
    found = make_plan(GIVEN, tmp_path)
    folders = [f"toy/units/{unit.name}-{unit.key}" for unit in plan]
    assert list(found["units"]) == folders
    assert [unit["needs"] for unit in found["units"].values()] == [[], folders[:1], folders[:1]]
    assert found["papers"] == {"toy/smoke/9_toy.ipynb": folders}
    assert found["parameters"] == {"preset": "smoke"}


def test_the_state_of_a_unit_is_read_from_its_folder(tmp_path):
    unit = toy.unit(steps=60)
    folder = unit.folder(tmp_path)
    assert read_state(unit, tmp_path) == State("missing")
    folder.mkdir(parents=True)
    (folder / "progress").write_text("0.5000")
    assert read_state(unit, tmp_path) == State("interrupted", 30)
    with files.lock_folder(folder):
        assert read_state(unit, tmp_path) == State("running", 30)
    (folder / "error.txt").write_text("")
    assert "error.txt is empty; run again" in read_state(unit, tmp_path).error
    (folder / "error.txt").write_text("Traceback\n  ...\nValueError: lower it\n")
    assert read_state(unit, tmp_path) == State("failed", 30, "ValueError: lower it")
    (folder / "error.txt").write_text("KeyboardInterrupt\n")
    assert read_state(unit, tmp_path).name == "interrupted"
    perform(unit, toy.work, tmp_path)
    assert read_state(unit, tmp_path) == State("done", 60)


def test_status_counts_units_and_foretells_time_by_the_rate_so_far(plan, tmp_path):
    before = progress(plan, tmp_path)
    assert "hours" not in forecast(before, tmp_path)  # nothing is known yet
    perform(plan[1], toy.work, tmp_path)  # and its teacher
    for unit, seconds in ((plan[1], 7200.0), (plan[0], 3600.0)):
        manifest = unit.manifest(tmp_path) | {"wall_seconds": seconds}
        (unit.folder(tmp_path) / "manifest.json").write_bytes(manifests.to_bytes(manifest))
    frame = progress(plan, tmp_path)
    (line,) = status(frame).to_dict("records")
    assert (line["units"], line["done"], line["missing"]) == (3, 2, 1)
    # Three hours for 12 multiply-adds, and 8 are left.
    assert line["hours_left"] == pytest.approx(2.0)
    assert "2 of 3 units" in (told := forecast(frame, tmp_path, jobs=2))
    assert "about 60 minutes of training left, 2 side by side" in told


def test_gpus_are_taken_by_a_lock(monkeypatch, tmp_path):
    monkeypatch.setattr(pool.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(pool, "_gpus", lambda: ["GPU-a", "GPU-b"])
    got = []

    def third():
        with claim_device("cuda", again=0.01) as device:
            got.append(device)

    with claim_device("cuda") as first:
        with claim_device("cuda") as second:
            waiting = threading.Thread(target=third)
            waiting.start()
            time.sleep(0.1)
            assert (first, second, got) == ("cuda:0", "cuda:1", [])
        waiting.join(5)
        assert got == ["cuda:1"]
    with claim_device("cpu") as cpu, claim_device("cuda:7") as named:
        assert (cpu, named) == ("cpu", "cuda:7")


@pytest.fixture
def packed(plan, tmp_path, monkeypatch):
    """A bundle of the plan, made in one folder of runs, and the path of another: now home."""
    here = tmp_path / "here"
    for unit in plan:
        perform(unit, toy.work, here)
    tables = GIVEN.folder("toy", here) / "tables"
    tables.mkdir(parents=True)
    (tables / "main.csv").write_text("a\n1\n")
    assert bundle(GIVEN, here, tmp_path / "some.zip") == 3
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path / "there"))
    return tmp_path / "some.zip", tmp_path / "there"


def test_a_bundle_brings_rows_tables_and_no_weights(packed, plan):
    path, there = packed
    taken, refused = merge(path)
    assert (len(taken), refused) == (3, [])
    assert all(unit.done(there) for unit in plan)
    assert len(read_rows(plan, there)) == 3
    assert (there / "toy/smoke/tables/main.csv").read_text() == "a\n1\n"
    assert not list(there.rglob("*.safetensors"))
    with pytest.raises(FileNotFoundError, match="WEIGHTS=1"):
        plan[0].weights(there)
    assert merge(path) == ([], [])  # what is here stays


def test_a_bundle_with_weights_completes_one_without(packed, plan, tmp_path):
    path, there = packed
    merge(path)
    whole = tmp_path / "whole.zip"
    bundle(GIVEN, tmp_path / "here", whole, weights=True)
    assert len(merge(whole)[0]) == 3
    assert plan[0].weights(there).keys() == plan[0].weights(tmp_path / "here").keys()


def test_other_configurations_are_refused_by_what_differs(packed, plan):
    path, there = packed
    plan[1] = Unit("toy", plan[1].name, {**plan[1].config, "steps": 9}, plan[1].needs)
    taken, (line,) = merge(path)
    assert len(taken) == 2 and "another configuration (steps)" in line
    assert not plan[1].done(there)
    del plan[2]
    assert any("no unit of this checkout" in line for line in merge(path)[1])
    plan.append(Unit("toy", "new", {"steps": 8}, {}))
    taken, refused = merge(path, anyhow=True)
    assert taken == [plan[1].name] and plan[1].done(there)
    assert any("toy new: not in the bundle" in line for line in refused)


def test_only_the_sets_that_a_paper_has_embedded_leave_its_folder_without_a_name(tmp_path):
    for paper, data, name in (
        ("dcgan_kd", "digits", "smoke"),
        ("dcgan_kd", "photos", "smoke-photos"),
        ("sdakd", "photos", "smoke"),
        ("sdakd", "digits", "smoke-digits"),
    ):
        place = Request("smoke", data, papers=(paper,)).folder(paper, tmp_path)
        assert place == tmp_path / paper / name
