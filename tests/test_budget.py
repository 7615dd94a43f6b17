"""A run within minutes: order, what is begun, checkpoints at the end; plans without their data."""

import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import toy

from ganzip import batch, presets
from ganzip.papers import dcgan_kd, nickel_dime, sdakd
from ganzip.units import (
    ABSENT,
    Demand,
    Limit,
    State,
    TimeUp,
    Unit,
    attempt,
    budget,
    perform,
    perform_all,
    pool,
    read_state,
    receive_unit,
)
from ganzip.units.budget import Rates, Schedule

PAPERS = (dcgan_kd, sdakd, nickel_dime)


def named(name, seed=0, needs=None, paper="toy", steps=100, **config):
    return Unit(paper, name, {"steps": steps, "seed": seed, **config}, needs or {})


def test_needs_come_first_then_one_seed_of_every_row_and_papers_take_turns():
    judge = named("judge")
    teachers = [named(f"teacher{s}", s, {"judge": judge}, method="teacher") for s in range(2)]
    rows = [
        named(f"{row}{s}", s, {"teacher": teachers[s]}, method=row)
        for row in "ab"
        for s in range(2)
    ]
    other = [named(f"other{i}", paper="other", method=f"m{i}") for i in range(3)]
    order = [unit.name for unit in budget.order_by_worth([*rows, *other])]
    assert order == (
        ["judge", "teacher0", "a0", "other0", "b0", "other1", "other2", "teacher1", "a1", "b1"]
    )


@pytest.mark.parametrize("paper", PAPERS)
def test_in_every_plan_a_units_needs_precede_it_and_first_seeds_the_others(paper):
    units = budget.order_by_worth(paper.outline("paper"))
    at = {unit.key: i for i, unit in enumerate(units)}
    assert len(at) == len(units) == len(paper.outline("paper"))
    assert all(at[need.key] < at[unit.key] for unit in units for need in unit.needs.values())
    seeds = [unit.config["seed"] for unit in units]
    assert seeds == sorted(seeds)


def finished(unit, root, seconds, other=0.0):
    manifest = {"unit": unit.name, "key": unit.key, "config": dict(unit.config), "needs": {}}
    manifest |= {"weights_sha256": "0" * 64, "cpu_seconds": seconds, "wall_seconds": seconds}
    empty = {"rows.csv": bytes, "history.csv": bytes}
    receive_unit(unit, root, manifest | {"other_seconds": other}, empty)


def test_nothing_is_begun_that_cannot_end_by_the_rate_of_its_kind(tmp_path):
    known = named("known", method="a", steps=100)
    same = named("same", method="a", seed=1, steps=100)
    larger = named("larger", method="a", seed=2, steps=100, width=3)
    smaller = named("smaller", method="a", seed=3, steps=100, width=0.5)
    unknown = named("unknown", paper="other", method="a", steps=100)
    units = [known, same, larger, smaller, unknown]
    finished(known, tmp_path, 20.0, other=1.0)
    rates = Rates(units, tmp_path, lambda u: Demand(1e6 * u.config.get("width", 1)))
    minutes = Schedule(time.time() - 300, time.time() + 30, math.inf, math.inf)
    admits = budget.limit(minutes, rates).admits
    rates.update()
    took = [rates.seconds_left(unit) for unit in (same, larger, smaller, unknown)]
    assert took == [21.0, 61.0, 21.0, None]  # a smaller step is not taken for a faster one
    assert [admits(u, True) for u in units[1:]] == [True, False, True, True]
    assert not admits(larger, False)  # another call could end it
    folder = larger.folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "checkpoint-train-000000010.pt").write_bytes(b"")
    assert admits(larger, False)  # it is under way
    late = Schedule(time.time() - 300, time.time() + 1, math.inf, math.inf)
    assert not budget.limit(late, rates).admits(unknown, True)


def test_at_the_deadline_a_unit_stops_with_a_checkpoint_and_goes_on_to_the_same_bits(tmp_path):
    def weights(root):
        folder = perform(toy.unit(), toy.work, root)
        return [(folder / n).read_bytes() for n in ("weights.safetensors", "rows.csv")]

    unit = toy.unit()
    with pytest.raises(TimeUp, match="step 1 of 60"):
        perform(unit, toy.work, tmp_path / "short", deadline=time.time())
    assert read_state(unit, tmp_path / "short") == State("interrupted", 1)
    assert not (unit.folder(tmp_path / "short") / "error.txt").exists()
    assert attempt(unit, toy.work, tmp_path / "short", "cpu", time.time()) is None
    assert read_state(unit, tmp_path / "short").step == 2
    assert weights(tmp_path / "short") == weights(tmp_path / "whole")


def test_jobs_end_within_their_limit_and_the_next_go_on(forked, tmp_path, monkeypatch):
    slow, stuck, never = toy.unit(seed=1), toy.unit(seed=2), toy.unit(seed=3)
    begin, clock = time.time(), time.time

    def now():
        stopped = list(slow.folder(tmp_path).glob("checkpoint-*"))
        return math.inf if stopped and (tmp_path / "measures").exists() else clock()

    monkeypatch.setattr(pool.time, "time", now)  # of this process, not of its workers
    limit = Limit(begin, begin + 300, lambda unit, ends: unit is not never)
    perform_all([slow, stuck, never], measuring, tmp_path, n_jobs=2, limit=limit)
    monkeypatch.undo()
    assert read_state(slow, tmp_path) == State("interrupted", 1)
    assert read_state(never, tmp_path).name == "missing" and not stuck.done(tmp_path)
    perform(stuck, toy.work, tmp_path)


def measuring(run):
    """One unit never ends measuring."""
    if run.config["seed"] == 2:
        (run.root / "measures").write_text("")
        time.sleep(600)
    toy.work(run)


class Threads(ThreadPoolExecutor):
    """Workers that are threads, where a unit's bits do not matter."""

    def __init__(self, n_jobs, **_):
        super().__init__(n_jobs)


@pytest.mark.parametrize(
    "error",
    [
        "OutOfMemoryError: CUDA out of memory",
        "AcceleratorError: CUDA error: out of memory",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_what_does_not_fit_beside_others_is_begun_again(error, tmp_path, monkeypatch):
    failed, begun = threading.Event(), []

    def crowded(unit, *_):
        """The first of two is at work until the second has failed."""
        begun.append(unit.config["seed"])
        if unit.config["seed"] == 2 and not failed.is_set():
            failed.set()
            return error
        failed.wait()
        time.sleep(1)  # the failure is seen before
        perform(unit, toy.work, tmp_path)

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", Threads)
    monkeypatch.setattr("ganzip.units.pool.attempt", crowded)
    perform_all([toy.unit(seed=1), toy.unit(seed=2)], toy.work, tmp_path, n_jobs=2)
    assert begun == [1, 2, 2] and toy.unit(seed=2).done(tmp_path)


def test_a_worker_whose_gpu_answers_no_more_ends(monkeypatch):
    class Ended(BaseException):
        pass

    def end(status):
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(pool, "attempt", lambda *_: "RuntimeError: device-side assert")
    monkeypatch.setattr(pool, "gpu_works", lambda: False)
    given = toy.unit(seed=1), toy.work, Path(), "cpu", math.inf
    assert pool._attempt_here(*given) == "RuntimeError: device-side assert"
    with pytest.raises(Ended):
        pool._attempt_here(*given[:3], "cuda:0", math.inf)
    monkeypatch.setattr(pool, "gpu_works", lambda: True)
    assert pool._attempt_here(*given[:3], "cuda:0", math.inf)


@pytest.mark.parametrize("preset", presets.NAMES)
def test_a_plan_without_its_data_has_the_units_of_one_with_them(preset):
    for paper in PAPERS:
        units = paper.outline(preset)
        bound = [unit for unit in units if "fingerprint" in unit.config]
        assert all(unit.config["fingerprint"] == ABSENT for unit in bound)
        assert len(bound) >= len(units) - 2  # what is timed has no data
    if preset == "smoke":
        names = [unit.name for unit in nickel_dime.outline("smoke")]
        assert names == [unit.name for unit in nickel_dime.prepare("smoke")]


def test_status_of_all_papers_needs_no_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    monkeypatch.setenv("GANZIP_DATA", str(tmp_path))
    papers = ["--papers", "dcgan_kd,nickel_dime"]
    assert batch.main(["status", "--preset", "paper", *papers, "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "dcgan_kd is counted for mnist" in said and "nickel_dime is counted for" in said
    assert "GPU hours" in said and "assumption" in said and "disk: " in said
    assert batch.main(["status", "--data", "celeba", "--papers", "dcgan_kd", "--jobs", "1"]) == 0
    assert "counted for celeba" in capsys.readouterr().out


def test_what_was_planned_without_its_data_is_not_trained(tmp_path):
    unit = dcgan_kd.outline("smoke")[0]
    with pytest.raises(ValueError, match="judge was planned without its data") as error:
        perform(unit, dcgan_kd.work, tmp_path)
    assert "\n" not in str(error.value) and not unit.folder(tmp_path).exists()


@pytest.mark.parametrize("paper", PAPERS)
def test_a_plan_of_absurd_size_is_an_error_at_once(paper):
    for given in ({"scale": 1e9}, {"scale": 1e300}, {"seeds": 10**9}, {"scale": 5000.0}):
        begin = time.process_time()
        with pytest.raises(ValueError, match="take a smaller|leave it out") as error:
            paper.prepare("cpu", **given)
        assert time.process_time() - begin < 1 and "\n" not in str(error.value)
    for call in (
        lambda: presets.check_units(20_001, 1000.0, 100),
        lambda: presets.times(10**7, 1000),
    ):
        with pytest.raises(ValueError, match="take a smaller"):
            call()
