"""Several processes train what one does: two on a CPU."""

import multiprocessing
import os
import socket
import warnings

import pytest
import torch
import two

from ganzip import parallel, train
from ganzip.papers import __main__ as command
from ganzip.units import perform

EQUAL = ("both", "imitation", "super_resolution")


def join(rank, port, *given):
    """Do small units as torchrun would have it done."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    two.main(*given)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """What two processes did, which are forked and need not import torch."""
    root, fork = tmp_path_factory.mktemp("two"), multiprocessing.get_context("fork")
    two.adam(torch.nn.Linear(1, 1))  # the first of a process imports much
    with socket.socket() as free, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
        free.bind(("127.0.0.1", 0))
        given = (free.getsockname()[1], root, *EQUAL, "gaps", "nan", "odd")
        free.close()
        both = [fork.Process(target=join, args=(rank, *given)) for rank in (0, 1)]
        for process in both:
            process.start()
    for process in both:
        process.join(300)
    assert [process.exitcode for process in both] == [0, 0]
    return root


def results(root, case):
    return [torch.load(root / f"{case}-{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", EQUAL)
def test_two_processes_train_what_one_does(root, tmp_path, case):
    (ours, history), (theirs, _) = results(root, case)
    perform(two.unit(case), two.work, tmp_path)
    alone, expected = torch.load(tmp_path / f"{case}-0.pt")
    assert ours.keys() == theirs.keys() == alone.keys()
    for name, tensor in alone.items():
        assert torch.equal(ours[name], theirs[name]), name
        torch.testing.assert_close(ours[name], tensor, rtol=1e-6, atol=1e-8, msg=name)
    assert [entry[:3] for entry in history] == [entry[:3] for entry in expected]
    assert [e[3] for e in history] == pytest.approx([e[3] for e in expected], rel=1e-6)
    terms = {f"{player}/{term}" for _, player, term, _ in history}
    if case == "both":
        assert terms >= {"G/dime_batch", "G/dime_target", "D/nickel", "D/r1", "G/path_length"}
        start = torch.zeros(8)
        assert not torch.equal(alone["G.mapping.w_avg"], start) and alone["path.value"] > 0


def test_layers_without_gradient_neither_hang_nor_move(root):
    (state, _), (other, _) = results(root, "gaps")
    assert all(torch.equal(state[name], other[name]) for name in state)
    with two.double():
        torch.manual_seed(train.step_seed(0, -1))
        before = two.gaps()[0]["layers"].state_dict()
    moved = {k: (state[f"layers.{k}.weight"] - before[f"{k}.weight"]).abs().max() for k in
             ("all", "last", "once", "never")}  # fmt: skip
    assert moved["never"] == 0 and moved["all"] > 0 and moved["last"] > 0
    # Adam's first step is the learning rate; a gradient of 0 in place of none would go on from it.
    assert moved["once"] == pytest.approx(2e-3, rel=1e-3)


def test_running_statistics_are_those_of_all_processes(root):
    (state, _), _ = results(root, "gaps")
    with two.double():
        mean = torch.zeros(3)
        for step in range(5):
            torch.manual_seed(train.step_seed(0, step))
            mean = 0.9 * mean + 0.1 * torch.randn(8, 3).mean(0)
    torch.testing.assert_close(state["norm.running_mean"], mean)


def test_nan_in_one_process_stops_all_with_the_message(root):
    for rank in (0, 1):
        said = (root / f"nan{rank}").read_text()
        assert said.startswith("nan: the term net/square is nan at step 1; a rerun goes on")


def test_a_batch_that_cannot_be_shared_is_refused_before_training(root, monkeypatch):
    for rank in (0, 1):
        assert (root / f"odd{rank}").read_text() == (
            "batch is 9 in 2 groups of 4 and cannot be shared by 2 processes; start 1, or change "
            "the batch"
        )
    monkeypatch.setattr(parallel, "size", lambda: 4)
    parallel.check(64, 8)
    with pytest.raises(ValueError, match="16 in 2 groups of 8 .* 4 processes; start 1 or 2, or"):
        parallel.check(16, 8)
    with pytest.raises(ValueError, match="batch is 6 and cannot be shared by 4 processes"):
        parallel.check(6)


def test_numbers_are_parts_of_those_of_one_process(monkeypatch):
    def found(rank, size):
        monkeypatch.setattr(parallel, "rank", lambda: rank)
        monkeypatch.setattr(parallel, "size", lambda: size)
        torch.manual_seed(0)
        n = 12 // size
        maps = torch.zeros(n, 3, 4, 4).contiguous(memory_format=torch.channels_last)
        with parallel.split():
            cut = int(torch.randint(1, 9, ()).item())
            return cut, torch.rand(()), [
                torch.randn_like(maps), torch.randn(n, 1, 4, 4), torch.rand((n, 2)),
                torch.randint(5, (n,)), torch.randint(2, 9, (n, 3)), torch.rand_like(maps),
            ]  # fmt: skip

    cut, number, whole = found(0, 1)
    for rank in range(3):
        its_cut, its_number, own = found(rank, 3)
        assert (its_cut, its_number) == (cut, number)
        assert all(torch.equal(a, b[rank::3]) for a, b in zip(own, whole, strict=True))


def test_a_unit_that_is_none_is_told_with_its_nearest_names_and_the_plan_can_be_listed(capsys):
    with pytest.raises(ValueError, match="no unit .*perhaps nickel-dime-p90-seed0"):
        command.main(command.parse(["nickel_dime", "nickel-dime-p9-seed0", "--preset", "smoke"]))
    command.main(command.parse(["nickel_dime", "--preset", "smoke"]))
    assert "nickel-dime-p90-seed0" in capsys.readouterr().out.split()
