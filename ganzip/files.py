"""Files that are there whole or not at all, and what tells that they are still what was written.

A file is written beside its place, as ``.name.thread.host.pid``, and then takes its place. What a
killed process left behind goes when its folder is next written to.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

HOST = re.sub(r"[^\w-]", "-", platform.node()) or "here"
FOREIGN = 86_400.0  # seconds after which the temporary file of another machine is stale


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: nobody sees half of it, not even after a power cut."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path whose file takes the place of ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _swept(path.parent)
    temporary = _beside(path)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A temporary name that no other thread of any machine uses."""
    thread = threading.get_native_id()
    return path.with_name(f".{path.name}.{thread}.{HOST}.{os.getpid()}")


@lru_cache(maxsize=1024)
def _swept(folder: Path) -> None:
    sweep(folder)  # once a process


def sweep(folder: Path) -> None:
    """Remove what processes that are dead left of their writing in a folder."""
    if os.name != "posix":  # elsewhere no signal asks whether a process lives
        return
    for path in folder.glob(".*"):
        found = re.fullmatch(r"\..+\.([^.]+)\.(\d+)", path.name)
        if found and not _written(path, found[1], int(found[2])):
            with suppress(OSError):
                path.unlink()


def _written(path: Path, host: str, pid: int) -> bool:
    """Whether somebody may still be writing a temporary file."""
    if host != HOST:
        try:
            return time.time() - path.lstat().st_mtime < FOREIGN
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


def seal(body: bytes) -> bytes:
    """The bytes with their sha256 in front, 32 bytes."""
    return hashlib.sha256(body).digest() + body


def unseal(content: bytes) -> bytes:
    """What ``seal`` was given; raises ValueError where it is torn or altered."""
    front, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != front:
        raise ValueError("its sha256 does not match")
    return body
