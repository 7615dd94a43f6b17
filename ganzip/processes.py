"""No process outlives the run that started it, however that ends.

Whoever starts a process starts one that follows it (:func:`run`, :func:`command`, :func:`follow`):
it looks twice a second whether it still descends from its starter, and ends where it does not. That
is right after SIGKILL too, holds through shells in between, and needs nothing of the system but
the parents of processes. What it was doing goes on from its checkpoint, as after any kill. INT,
TERM and HUP are passed on to what :func:`run` started (:func:`interruptible`).

    python -m ganzip.processes 1234 papermill in.ipynb out.ipynb

runs a module that ends with process 1234.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOOK = 0.5  # seconds between two looks at the starter
GRACE = 3.0  # seconds that a process has to end after a signal, before it is killed
_starters: set[int] = set()
_children: list[subprocess.Popen[Any]] = []


def follow(starter: int) -> None:
    """End this process, as a kill would, once it no longer descends from process ``starter``."""

    def watch() -> None:
        while is_descendant(starter):
            time.sleep(LOOK)
        os._exit(1)

    if starter not in _starters:
        _starters.add(starter)
        # Where the starter is gone already, this ends at once.
        threading.Thread(target=watch, name="follow", daemon=True).start()


def follow_notebook() -> None:
    """In a notebook's kernel: follow what started it, papermill for instance.

    A kernel does so itself, but before ipykernel 7 only where orphans go to process 1, which in
    containers they may not. A kernel lives through restarts and reloads: its server stays.
    """
    # Kernels hand the variable down: only to the kernel itself it names the parent.
    if os.environ.get("JPY_PARENT_PID") == str(os.getppid()):
        follow(os.getppid())


def is_descendant(starter: int) -> bool:
    """Whether ``starter`` is this process's parent, or its parent's, and so on."""
    ancestor = os.getppid()
    while ancestor != starter and ancestor > 1:
        ancestor = _parent(ancestor)
    return ancestor == starter


def _parent(process: int) -> int:
    """The parent of a process by their numbers, 0 where there is no such process."""
    stat = Path(f"/proc/{process}/stat")
    try:
        if Path("/proc/self/stat").exists():
            return int(stat.read_text().rpartition(")")[2].split()[1])
        command_line = ["ps", "-o", "ppid=", "-p", str(process)]
        return int(subprocess.run(command_line, capture_output=True, text=True).stdout)
    except (OSError, ValueError):
        return 0


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a Python module that ends with this process."""
    return [sys.executable, "-m", "ganzip.processes", str(os.getpid()), module, *arguments]


def run(module: str, *arguments: str, **how: Any) -> subprocess.CompletedProcess[Any]:
    """Run a Python module in a process that ends with this one; ``how`` as of subprocess.Popen.

    It leads a group of its own, to which :func:`interruptible` passes signals on.
    """
    with interruptible():
        child = subprocess.Popen(command(module, *arguments), start_new_session=True, **how)
        _children.append(child)
        try:
            out, error = child.communicate()
        finally:
            child.wait()
            _children.remove(child)
    return subprocess.CompletedProcess(child.args, child.returncode, out, error)


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """TERM and HUP raise KeyboardInterrupt in the ``with`` block, as INT does; yields what came.

    What :func:`run` has started is interrupted too, and killed where it does not end. After the
    block TERM and HUP do what they did before, which is to end the process. Where a signal is
    ignored (HUP under nohup) it stays so; threads other than the main one get no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    signals: list[int] = []
    inside = True

    def interrupt(number: int, frame: object) -> None:
        signals.append(number)
        if inside and (len(signals) == 1 or number == signal.SIGINT):
            _forward(signal.SIGINT, list(_children))
            raise KeyboardInterrupt

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {n: signal.getsignal(n) for n in (getattr(signal, name) for name in names)}
    before = {n: how for n, how in before.items() if how not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield signals
    finally:
        inside = False
        for number, how in before.items():
            signal.signal(number, how)
        for number in dict.fromkeys(signals):
            if number != signal.SIGINT:
                signal.raise_signal(number)


@contextmanager
def program(name: str, *refusals: type[Exception]) -> Iterator[None]:
    """A whole program: ``interruptible``, told in a line, and over by the signal that came.

    So shells and make see that it was interrupted, and nothing waits for libraries to end in order.
    A ValueError, an OSError and one of ``refusals`` are told in a line too; the status is then 2.
    """
    with interruptible() as signals:
        try:
            yield
        except (ValueError, OSError, *refusals) as error:
            print(f"{name}: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(f"{name}: interrupted; the same call goes on from there", file=sys.stderr)
            sys.stderr.flush()
            sys.stdout.flush()
            (number, *_) = signals or [signal.SIGINT]
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _forward(number: int, children: list[subprocess.Popen[Any]]) -> None:
    """Send a signal to the groups of these children, and kill after GRACE those that are left."""
    for child in children:
        if child.returncode is None:  # else its number may be another's by now
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
    if children and number != signal.SIGKILL:
        killer = threading.Timer(GRACE, _forward, [signal.SIGKILL, children])
        killer.daemon = True
        killer.start()


def _interrupt(number: int, frame: object) -> None:
    """KeyboardInterrupt for a module that is not ours, which has GRACE to end in order."""
    killer = threading.Timer(GRACE, os._exit, [128 + number])
    killer.daemon = True
    killer.start()
    raise KeyboardInterrupt


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    starter, module, *arguments = sys.argv[1:]
    follow(int(starter))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
