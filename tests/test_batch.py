"""The plan as one, how far it is, GPUs by lock, and results that travel."""

import threading
import time
import zipfile
from types import SimpleNamespace

import pytest
import toy

from ganzip import batch, files
from ganzip.units import (
    Demand,
    Diverged,
    State,
    Unit,
    claim_device,
    manifests,
    perform,
    pool,
    read_rows,
    read_state,
)
from ganzip.units import plan as plan_module
from ganzip.units.bundles import BundleError
from ganzip.units.plan import PAPER_NOTEBOOKS, Request, make_plan
from ganzip.units.status import SUSTAINED, failures, forecast, progress, remedy, status
from ganzip.units.transfer import bundle, merge

GIVEN = Request("smoke", papers=("toy",))


@pytest.fixture
def plan(monkeypatch):
    """A plan of a teacher and two students, whatever the preset."""
    teacher = toy.unit(steps=4)
    units = [teacher]
    for seed in (1, 2):
        config = {**toy.unit(steps=8, seed=seed).config, "teacher": True}
        units.append(Unit("toy", f"student-seed{seed}", config, {"teacher": teacher}))
    paper = SimpleNamespace(
        prepare=lambda preset, scale: units, demand=lambda unit: Demand(unit.config["steps"], 40)
    )
    monkeypatch.setattr(plan_module, "paper_module", lambda name: paper)
    monkeypatch.setitem(PAPER_NOTEBOOKS, "toy", "9_toy")
    return units


def test_the_plan_names_every_unit_its_needs_and_the_notebooks(plan, tmp_path):
    found = make_plan(GIVEN, tmp_path)
    folders = [f"toy/units/{unit.name}-{unit.key}" for unit in plan]
    assert list(found["units"]) == folders
    assert [unit["needs"] for unit in found["units"].values()] == [[], folders[:1], folders[:1]]
    assert found["papers"] == {"toy/smoke/9_toy.ipynb": folders}
    assert found["parameters"] == {"preset": "smoke"}


def test_notebooks_are_given_what_differs_from_their_own_parameters():
    assert Request().parameters() == {}
    given = Request("smoke", "mnist", 2.0, ("dcgan_kd",))
    assert given.parameters() == {"preset": "smoke", "data": "mnist", "scale": 2.0}
    assert batch.snakemake_config(given)["papers"] == "dcgan_kd"


def test_a_paper_that_does_not_exist_is_named(capsys):
    with pytest.raises(SystemExit):
        batch.main(["status", "--papers", "sdakd,nonesuch"])
    told = capsys.readouterr().err
    assert "no paper 'nonesuch'; expected one of dcgan_kd, sdakd, nickel_dime" in told


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


def test_a_failure_is_told_with_its_step_and_remedy(plan, tmp_path):
    bad = toy.unit(steps=60, nan=True)
    with pytest.raises(Diverged):
        perform(bad, toy.work, tmp_path)
    (line,) = failures([bad, *plan], tmp_path)
    assert "toy line-seed0: step 0 of 60: " in line and "lower the learning rate" in line
    assert "fewer JOBS" in remedy(State("failed", 1, "MemoryError: no more"))
    assert "fewer JOBS" in remedy(State("failed", 1, "torch.OutOfMemoryError: CUDA"))
    assert "GANZIP_RUNS" in remedy(State("failed", 1, "OSError: No space left on device"))
    assert "goes on from there" in remedy(State("interrupted", 1))


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


def test_a_plan_that_needs_gpus_says_how_many_hours(plan, tmp_path, monkeypatch):
    large = SimpleNamespace(demand=lambda unit: Demand(SUSTAINED * 3600 * 10, 10**9))
    monkeypatch.setattr(plan_module, "paper_module", lambda name: large)
    told = forecast(progress(plan, tmp_path), tmp_path, jobs=2)
    assert "takes 30 GPU hours" in told and "assumption" in told
    assert "disk: 21 GB" in told  # 3 of weights, and 9 for each of two units at work


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


def altered(path, change):
    """The bundle again, each member changed by ``change(name, content)``; None leaves it out."""
    out = path.with_name("altered.zip")
    with zipfile.ZipFile(path) as held, zipfile.ZipFile(out, "w") as new:
        for name in held.namelist():
            for other, content in change(name, held.read(name)):
                new.writestr(other, content)
    return out


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


def test_a_bundle_that_was_altered_is_refused(packed, tmp_path, monkeypatch):
    path, _ = packed

    def steps(name, content):
        if name.endswith("manifest.json"):
            content = content.replace(b'"steps": 8', b'"steps": 7')
        return [(name, content)]

    taken, refused = merge(altered(path, steps))
    assert len(taken) == 1 and all("altered" in line for line in refused)

    def out(name, content):
        up = name.replace("rows.csv", "../../../../evil.csv")
        return [(name, content)] + [(up, content)] * (up != name)

    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path / "third"))
    with pytest.raises(BundleError, match="evil.csv' is nothing that a bundle holds"):
        merge(altered(path, out))
    assert not list(tmp_path.rglob("evil.csv")) and not (tmp_path / "third").exists()


def test_what_is_no_bundle_is_named(packed, tmp_path):
    path, _ = packed
    (tmp_path / "half.zip").write_bytes(path.read_bytes()[:200])
    with pytest.raises(BundleError, match="half.zip is no bundle, or truncated"):
        merge(tmp_path / "half.zip")

    def newer(name, content):
        return [(name, content.replace(b'"format": 2', b'"format": 3'))]

    with pytest.raises(BundleError, match="format 3, expected 2"):
        merge(altered(path, newer))
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as foreign:
        foreign.writestr("a.txt", "a")
    with pytest.raises(BundleError, match="foreign.zip is no bundle"):
        merge(tmp_path / "foreign.zip")
