"""Processes that a test starts and kills, and what is left of them."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

MARK = "GANZIP_STARTED"


@dataclass(frozen=True)
class Started:
    """A run: its process, and what all its processes have in their environment."""

    process: subprocess.Popen[str]
    mark: str

    def everyone(self) -> list[psutil.Process]:
        """The processes of the run that live, orphans too."""
        return [process for process in psutil.process_iter() if self._has(process)]

    def _has(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False

    def kernel(self) -> psutil.Process | None:
        """The kernel of its notebook, once there is one."""
        return next((p for p in self.everyone() if "ipykernel_launcher" in _line(p)), None)

    def workers(self) -> list[psutil.Process]:
        """The workers of ``perform_all``."""
        return [p for p in self.everyone() if "popen_loky" in _line(p)]

    def left(self, seconds: float, but: Sequence[int] = ()) -> list[str]:
        """What lives ``seconds`` from now, ``but`` apart, by command; returns once nothing does."""
        end = time.monotonic() + seconds
        while True:
            self.process.poll()
            there = [p for p in self.everyone() if p.pid not in but]
            if not there or time.monotonic() > end:
                return [_line(p)[-120:] for p in there]
            time.sleep(0.3)

    def kill(self) -> None:
        """End what is left."""
        for process in self.everyone():
            process.kill()
        self.process.wait()


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def start(command: Sequence[str], root: Path, log: IO[str] | None = None) -> Started:
    """Start a command that keeps its runs in ``root``; its output goes to ``log``."""
    # Handled here, INT and HUP are not ignored by what is started, as they would be under nohup.
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    mark = uuid.uuid4().hex
    here = {**os.environ, "GANZIP_RUNS": str(root), "OMP_NUM_THREADS": "1", MARK: mark}
    its = {"stdout": log or subprocess.DEVNULL, "stderr": subprocess.STDOUT, "env": here}
    return Started(subprocess.Popen(list(command), text=True, **its), mark)


def wait_until(true: Callable[[], object], seconds: float = 300) -> None:
    """Wait; TimeoutError where it does not come true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.1)
