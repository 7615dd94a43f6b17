import hashlib
import math
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from torch.optim import SGD

from ganzip import files
from ganzip.methods import gan, mse_joint
from ganzip.train import Batch, Player
from ganzip.units import (
    CheckpointError,
    Diverged,
    Run,
    Unit,
    UnitsFailed,
    code_hash,
    compute_once,
    perform,
    perform_all,
)
from ganzip.units import run as run_module
from ganzip.units import unit as unit_module
from ganzip.units.run import _finite, load_checkpoint
from tests.plans import digest


def start(forked, root: Path, wait: float):
    """A process that does the unit."""
    process = forked.Process(
        target=perform,
        args=(toy.unit(wait=wait), toy.work, root),
        kwargs={"checkpoint_seconds": 0.0},
    )
    process.start()
    return process


def test_a_killed_run_resumes_to_the_same_bits(forked, tmp_path):
    unit = toy.unit(wait=0.02)
    folder = unit.folder(tmp_path / "killed")
    step = random.Random(os.urandom(8)).randrange(2, 50)
    process = start(forked, tmp_path / "killed", 0.02)
    while not any(int(p.stem[-9:]) >= step for p in folder.glob("checkpoint-*.pt")):
        assert process.is_alive(), "the run ended before it was killed"
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not unit.done(tmp_path / "killed")
    perform(unit, toy.work, tmp_path / "killed")
    whole = perform(unit, toy.work, tmp_path / "whole")
    assert digest(folder) == digest(whole), f"killed after step {step}"
    assert not list(folder.glob("checkpoint-*")), "checkpoints stay after the end"


def test_a_finished_unit_is_not_done_again(tmp_path):
    folder = perform(toy.unit(), toy.work, tmp_path)
    before = (folder / "manifest.json").stat().st_mtime_ns
    perform(toy.unit(), None, tmp_path)  # pyright: ignore
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_the_key_is_the_configuration_and_what_it_needs():
    teacher, other = toy.unit(seed=1), toy.unit(seed=2)
    a = Unit("toy", "student", {"steps": 1, "seed": 0}, {"teacher": teacher})
    assert (
        a.key == Unit("toy", "renamed", {"seed": 0, "steps": 1}, {"teacher": teacher}, cost=9).key
    )
    assert a.key != Unit("toy", "student", {"steps": 1, "seed": 0}, {"teacher": other}).key
    assert a.key != Unit("toy", "student", {"steps": 2, "seed": 0}, {"teacher": teacher}).key


def test_manifest_history_and_samples(tmp_path):
    unit = toy.unit()
    folder = perform(unit, toy.work, tmp_path)
    manifest = unit.manifest(tmp_path)
    weights = (folder / "weights.safetensors").read_bytes()
    assert manifest["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert manifest["config"]["steps"] == 60 and manifest["torch"] == torch.__version__
    assert manifest["cpu_seconds"] > 0
    lines = (folder / "history.csv").read_text().splitlines()
    assert lines[0] == "step,player,term,value" and len(lines) == 61
    kept = sorted((folder / "samples").iterdir())
    assert len(kept) == 9 and np.load(kept[-1]).dtype == np.uint8


def checkpointed(tmp_path: Path) -> tuple[Unit, Path]:
    """A unit that died with two checkpoints."""
    unit = toy.unit(crash_at=30)
    with pytest.raises(MemoryError):
        perform(unit, toy.work, tmp_path, checkpoint_seconds=0.0)
    return unit, unit.folder(tmp_path)


def test_validation_stands_in_the_history_over_phases_and_each_has_its_own_stream(tmp_path):
    drawn = []

    def work(run):
        net = torch.nn.Linear(1, 1)

        def terms(batch):
            return {"square": net(batch.cond).square().mean()}

        def batches(step):
            drawn.append(torch.randn(()).item())
            return Batch(torch.ones(2, 1))

        player = Player("net", SGD(net.parameters(), 0.1), terms)
        for phase, steps in (("first", 5), ("second", 4)):
            score = {"score": float(steps)}
            run.train(
                [player], batches, steps, {"net": net},
                phase=phase, epoch=2, validate=lambda score=score: score,
            )  # fmt: skip
        run.finish({"net": net}, [{"metric": "m", "value": 0.0}])

    unit = Unit("toy", "phases", {"steps": 9, "seed": 0})
    history = pd.read_csv(perform(unit, work, tmp_path) / "history.csv")
    judged = history[history["player"] == "validation"]
    assert judged["step"].tolist() == [2, 4, 5, 7, 9]
    assert judged["value"].tolist() == [5.0, 5.0, 5.0, 4.0, 4.0]
    assert max(history["step"]) == 9 and len(set(drawn)) == 9


def test_a_torn_checkpoint_is_refused_and_the_one_before_it_used(tmp_path, capsys):
    unit, folder = checkpointed(tmp_path)
    older, newer = sorted(folder.glob("checkpoint-*.pt"))
    assert (older.stem[-2:], newer.stem[-2:]) == ("29", "30")
    newer.write_bytes(newer.read_bytes()[:-100])
    resumed = Run(unit, tmp_path)
    net = torch.nn.Linear(1, 1)
    with pytest.raises(RuntimeError):  # the older one is opened, and is not a Linear(1, 1)
        resumed._resume("train", {"net": net})
    assert f"{newer.name} is torn" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="is torn or not a checkpoint"):
        load_checkpoint(newer, unit.key, torch.device("cpu"))


def test_a_foreign_checkpoint_is_refused(tmp_path):
    _, folder = checkpointed(tmp_path)
    path = max(folder.glob("checkpoint-*.pt"))
    with pytest.raises(CheckpointError, match="belongs to unit .*, expected 0123"):
        load_checkpoint(path, "0123", torch.device("cpu"))
    path.write_bytes(b"not a checkpoint at all, but long enough to hold a digest")
    with pytest.raises(CheckpointError, match="torn or not a checkpoint"):
        load_checkpoint(path, "0123", torch.device("cpu"))


def test_two_processes_on_one_unit_do_not_both_train_it(forked, tmp_path, capsys):
    unit, other = toy.unit(wait=0.05), start(forked, tmp_path, 0.05)
    while not (unit.folder(tmp_path) / "progress").exists():
        time.sleep(0.05)
    perform(unit, None, tmp_path)  # pyright: ignore
    other.join()
    assert other.exitcode == 0 and unit.done(tmp_path)
    assert "another process is at it" in capsys.readouterr().out


def test_nan_stops_the_unit_with_its_name_term_and_step(tmp_path):
    with pytest.raises(
        Diverged, match="line-seed0: the term net/square is nan at step 1; a rerun goes on"
    ):
        perform(toy.unit(nan=True), toy.work, tmp_path)


def passing():
    """Work with a NaN in one step, and none where it is done again."""

    def work(run):
        torch.manual_seed(0)
        net = torch.nn.Linear(1, 1)

        def terms(batch):
            return {"square": net(batch.cond).square().mean()}

        def batches(step):
            if step == 21 and not (run.root / "passed").exists():
                (run.root / "passed").write_text("")
                return Batch(torch.full((2, 1), math.nan))
            return Batch(torch.ones(2, 1))

        player = Player("net", SGD(net.parameters(), 0.1), terms)
        run.train([player], batches, run.config["steps"], {"net": net})
        rows = [{"metric": "weight", "value": net.weight.item()}]
        run.finish({"net": net}, rows)

    return work


def test_a_passing_nan_is_never_kept_and_a_rerun_goes_on_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "LOG_POINTS", 10)
    unit = Unit("toy", "passing", {"steps": 60, "seed": 0})  # one step in six is logged
    with pytest.raises(Diverged, match="at step 22; a rerun goes on from step 21; where"):
        perform(unit, passing(), tmp_path, checkpoint_seconds=0.0)
    folder = perform(unit, passing(), tmp_path)
    files.write(tmp_path / "whole" / "passed", b"")
    assert digest(perform(unit, passing(), tmp_path / "whole")) == digest(folder)


def test_a_network_that_is_no_longer_finite_is_not_kept_though_its_terms_are(tmp_path):
    def work(run):
        net = torch.nn.Linear(1, 1)

        def terms(batch):
            if len(run.history) == 3:
                net.bias.data.fill_(math.nan)
            return {"square": net.weight.square().sum()}

        player = Player("net", SGD([net.weight], 0.1), terms)
        run.train([player], lambda step: Batch(torch.ones(1, 1)), 9, {"net": net})

    unit = Unit("toy", "bias", {"steps": 9, "seed": 0})
    with pytest.raises(Diverged, match="net is no longer finite at step 4; .* from step 3"):
        perform(unit, work, tmp_path, checkpoint_seconds=0.0)


def test_infinity_is_finite_only_as_a_score_that_stands_alone():
    assert _finite({"score": torch.tensor(math.inf), "steps": 3, "rates": (0.1, None)})
    assert not _finite([{"weight": torch.tensor([1.0, math.inf])}])
    assert not _finite({"score": torch.tensor(math.nan)})


def test_jobs_do_needs_first_and_neither_a_failure_nor_a_kill_stops_others(
    forked, tmp_path, capsys
):
    good, bad = toy.unit(seed=1), toy.unit(seed=2, crash_at=5)
    config = {"steps": 20, "wait": 0, "teacher": 1}
    student = Unit("toy", "student", config | {"seed": 3}, {"teacher": good})
    orphan = Unit("toy", "orphan", config | {"seed": 4}, {"teacher": bad})
    with pytest.raises(UnitsFailed) as error:
        perform_all([orphan, student, toy.unit()], kill_once, tmp_path / "many", n_jobs=2)
    assert "2 of 5 units failed" in str(error.value)
    assert "line-seed2: MemoryError: as asked" in str(error.value)
    assert "orphan: not begun" in str(error.value)
    assert "MemoryError" in (bad.folder(tmp_path / "many") / "error.txt").read_text()
    assert "3/5 units" in capsys.readouterr().out
    for unit in (good, student, toy.unit()):  # the last one's worker was killed and replaced
        one = perform(unit, toy.work, tmp_path / "one")
        assert digest(one) == digest(unit.folder(tmp_path / "many"))


def kill_once(run):
    mark = run.root / "killed"
    if run.config["seed"] == 0 and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    toy.work(run)


def test_memmap_is_computed_once_and_resumes(tmp_path):
    asked = []

    def fill(start, stop, die_at=None):
        if start == die_at:
            raise KeyboardInterrupt
        asked.append(start)
        return np.arange(start, stop)[:, None] * np.ones((1, 3))

    path = tmp_path / "pairs.npy"
    with pytest.raises(KeyboardInterrupt):
        files.memmap(path, (10, 3), "float32", lambda a, b: fill(a, b, die_at=8), chunk=4)
    assert not path.exists()
    for _ in range(2):
        rows = files.memmap(path, (10, 3), "float32", fill, chunk=4)
        assert np.array_equal(rows[:, 1], np.arange(10))
    assert asked == [0, 4, 8]
    whole = path.read_bytes()
    rows[0] = 9  # of this process alone
    assert path.read_bytes() == whole
    rows = files.memmap(path, (10, 3), "float32", fill, chunk=4).clone()
    for damaged in (whole[:-8], whole[:-1] + b"\1", b""):
        path.write_bytes(damaged)
        assert np.array_equal(files.memmap(path, (10, 3), "float32", fill, chunk=10), rows)
    assert asked == [0, 4, 8, 0, 0, 0] and path.read_bytes() == whole


def test_code_sees_changes_and_not_rewording(tmp_path, monkeypatch):
    def module(text):
        monkeypatch.setattr(unit_module.inspect, "getsource", lambda m: text)
        return code_hash(gan)

    a = module('def f(x):\n    """Doc."""\n    return 2 * x  # why\n')
    assert a == module('def f(x):\n    """Other words."""\n\n    return (2 * x)\n')
    assert a != module('def f(x):\n    """Doc."""\n    return 3 * x\n')
    monkeypatch.undo()
    assert code_hash(gan) != code_hash(mse_joint)


def test_what_figures_show_is_computed_once_and_anew_for_something_else(tmp_path):
    unit, calls = toy.unit(), []

    def found():
        calls.append(1)
        return {"images": torch.arange(3.0), "said": ["a", 1.5]}

    z = torch.randn(4, 2)
    first = compute_once(unit, tmp_path, "seen", found, z)
    again = compute_once(unit, tmp_path, "seen", found, z + 1e-6)
    assert len(calls) == 1 and torch.equal(first["images"], again["images"])
    assert again["said"] == ["a", 1.5]
    compute_once(unit, tmp_path, "seen", found, z[:3])
    compute_once(unit, tmp_path, "seen", found, z[:3] + 1)
    assert len(calls) == 3
