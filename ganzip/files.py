"""Files that are there whole or not at all, and what tells that they are still what was written.

A file is written beside its place, as ``.name.thread.host.pid``, and then takes its place. What a
killed process left behind goes when its folder is next written to.
"""

import hashlib
import io
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from pydantic import ValidationError
from torch import Tensor

HOST = re.sub(r"[^\w-]", "-", platform.node()) or "here"
FOREIGN_SECONDS = 86_400.0  # after which the temporary file of another machine is stale


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: nobody sees half of it, not even after a power cut."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path whose file takes the place of ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    # A name that no other thread of any machine uses.
    temporary = path.with_name(f".{path.name}.{threading.get_native_id()}.{HOST}.{os.getpid()}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@lru_cache(maxsize=1024)
def sweep(folder: Path) -> None:
    """Remove what processes that are dead left of their writing in a folder; once a process."""
    if os.name != "posix":  # elsewhere no signal asks whether a process lives
        return
    for path in folder.glob(".*"):
        match = re.fullmatch(r"\..+\.([^.]+)\.(\d+)", path.name)
        if match and not _in_use(path, match[1], int(match[2])):
            with suppress(OSError):
                path.unlink()


def _in_use(path: Path, host: str, pid: int) -> bool:
    """Whether somebody may still be writing a temporary file."""
    if host != HOST:
        try:
            return time.time() - path.lstat().st_mtime < FOREIGN_SECONDS
        except OSError:
            return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def sha256(content: bytes) -> str:
    """The sha256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def digest(path: Path) -> str:
    """The sha256 of a file, in hex; read once a process, until its size or its time changes."""
    at = path.stat()
    return _digest(str(path.resolve()), at.st_size, at.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_fault(error: ValidationError) -> str:
    """What is wrong first with what a file says, in one line: where, what, and what was found."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] not in ("json_invalid", "value_error", "missing"):
        message += f", found {ascii(first['input'])[:60]}"
    return f"{place}: {message}" if place else message


def seal(body: bytes) -> bytes:
    """The bytes with their sha256 in front, 32 bytes."""
    return hashlib.sha256(body).digest() + body


def unseal(content: bytes) -> bytes:
    """What ``seal`` was given; raises ValueError where it is torn or altered."""
    front, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != front:
        raise ValueError("its sha256 does not match")
    return body


def repository() -> Path:
    """The checkout that holds this package; the working directory where it is installed alone."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


def runs_folder() -> Path:
    """Where runs are kept: GANZIP_RUNS, or ``runs`` in the checkout."""
    return Path(os.environ.get("GANZIP_RUNS") or repository() / "runs").expanduser()


@contextmanager
def lock_folder(folder: Path, name: str = "lock") -> Iterator[None]:
    """Hold the folder's lock; say so where another process has it, and wait."""
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        print(f"{folder.name}: another process is at it; waiting for it to finish")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def memmap(
    path: Path,
    shape: tuple[int, ...],
    dtype: str,
    fill: Callable[[int, int], np.ndarray],
    *,
    chunk: int = 1024,
) -> Tensor:
    """A .npy of ``shape`` computed once, ``fill(start, stop)`` at a time, read from the disk.

    Resumable: a killed call leaves ``path``.part and the number of rows in it. One that is not what
    was written, by its sha256 beside it, is computed again. Who writes into it changes no file.
    """
    sha256_file = path.with_suffix(".sha256")

    def complete() -> bool:
        with suppress(OSError):
            return digest(path) == sha256_file.read_text()
        return False

    if not complete():
        part, count = path.with_suffix(".part"), path.with_suffix(".rows")
        with lock_folder(path.parent, path.stem + ".lock"):
            if not complete():
                check_space(path.parent, int(np.prod(shape)) * np.dtype(dtype).itemsize)
                start = int(count.read_text()) if part.exists() and count.exists() else 0
                mode = "r+" if start else "w+"
                rows = np.lib.format.open_memmap(part, mode, np.dtype(dtype), shape)
                for i in range(start, len(rows), chunk):
                    rows[i : i + chunk] = fill(i, min(i + chunk, len(rows)))
                    rows.flush()
                    write(count, str(min(i + chunk, len(rows))).encode())
                write(sha256_file, digest(part).encode())
                os.replace(part, path)
                count.unlink(missing_ok=True)
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write(path, buffer.getvalue())


def check_space(folder: Path, needed: int = 0, spare: int = 32 << 20) -> None:
    """Raise OSError before any work: the folder cannot be written, or its disk is nearly full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        raise OSError(
            f"cannot write into {folder} ({error.strerror}); free it or choose another folder "
            "with GANZIP_RUNS"
        ) from error
    if full := lack_of_space(folder, needed + spare):
        raise OSError(full)


def lack_of_space(folder: Path, needed: int = 32 << 20) -> str:
    """What is amiss where the folder's disk has fewer bytes left than are needed, or ""."""
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return ""
    return (
        f"the disk of {folder} has {free >> 20} MiB left, {needed >> 20} MiB are needed; free some "
        "or choose another folder with GANZIP_RUNS"
    )
