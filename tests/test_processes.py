"""Nothing outlives the run that started it; signals end a run in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import started
import toy

from ganzip import processes
from ganzip.units import read_state

SECONDS = 60  # for a busy machine: orphans would live for good
HERE = Path(__file__).parent
TOY = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
import toy
from ganzip import files
from ganzip.units import perform_all
if __name__ == "__main__":
    perform_all([toy.unit(steps=2000, wait=0.005)], toy.work, files.runs_folder(), n_jobs=1)
"""


UNIT = toy.unit(steps=2000, wait=0.005)


def training(root):
    """Whether the unit is being trained."""
    return (UNIT.folder(root) / "progress").exists()


def test_kernel_and_workers_end_with_papermill(tmp_path):
    path = tmp_path / "toy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TOY)]), path)
    command = [sys.executable, "-m", "papermill", str(path), str(path), "-k", "python3"]
    run = started.start(command, tmp_path)
    try:
        started.wait_until(lambda: training(tmp_path))
        assert run.kernel() is not None and len(run.workers()) == 1
        run.process.kill()
        assert run.left(SECONDS) == []
    finally:
        run.kill()
    assert read_state(UNIT, tmp_path).name == "interrupted"


# In little, without torch -------------------------------------------------------------------------

SLEEP = """
import pathlib, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path(__file__).with_name("asleep").touch()
time.sleep(100)
"""


@pytest.fixture
def sleeper(tmp_path, monkeypatch):
    """The name of a module that sleeps and does not listen to INT."""
    (tmp_path / "sleeper.py").write_text(SLEEP)
    paths = [str(tmp_path), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return "sleeper"


def test_a_process_ends_with_its_starter_through_a_shell(sleeper, tmp_path):
    code = (
        "import os, shlex; from ganzip import processes\n"
        f"os.system(shlex.join(processes.command({sleeper!r})) + ' || echo; true')"
    )
    run = started.start([sys.executable, "-c", code], tmp_path)
    try:
        started.wait_until((tmp_path / "asleep").exists)
        run.process.kill()
        assert run.left(SECONDS) == []
    finally:
        run.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_are_passed_on_and_who_does_not_listen_is_killed(number, sleeper, tmp_path):
    code = (
        "from ganzip import processes; processes.GRACE = 0.5\n"
        "try:\n"
        f"    processes.run({sleeper!r})\n"
        "except KeyboardInterrupt:\n"
        "    print('over', flush=True)\n"
    )
    with (tmp_path / "log").open("w") as log:
        run = started.start([sys.executable, "-c", code], tmp_path, log)
        try:
            started.wait_until((tmp_path / "asleep").exists)
            run.process.send_signal(number)
            assert run.left(SECONDS) == []
        finally:
            run.kill()
    over = number == signal.SIGINT  # after which a program goes on; the others end it
    assert run.process.returncode == (0 if over else -number)
    assert (tmp_path / "log").read_text() == ("over\n" if over else "")


def test_signals_go_to_whoever_handled_them_before_and_ignored_ones_stay_so():
    got, before = [], {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), processes.interruptible():
            with processes.interruptible():
                signal.raise_signal(signal.SIGHUP)
                try:
                    signal.raise_signal(signal.SIGTERM)
                finally:
                    got.append("cleaned up")
                    signal.raise_signal(signal.SIGTERM)  # again, while it cleans up
        assert got == ["cleaned up", signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
        assert got[2:] == [signal.SIGTERM]
    finally:
        for number, how in before.items():
            signal.signal(number, how)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_says_in_a_line_that_it_was_interrupted_and_ends_by_the_signal(number):
    code = (
        "import signal; from ganzip import processes\n"
        "with processes.program('name'):\n"
        f"    signal.raise_signal({number.value})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -number
    assert done.stderr == "name: interrupted; the same call goes on from there\n"
