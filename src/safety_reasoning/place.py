"""Place: a folder that is made aside and put where it belongs as a whole."""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from safety_reasoning.errors import UsageError


@contextmanager
def replaced(out: Path, *, marker: str, what: str) -> Iterator[Path]:
    """A new folder beside `out` that takes its place if the block ends well; otherwise `out` is untouched.

    Raises: UsageError if `out` holds something else than what has this marker, or cannot be written.
    """
    refuse_foreign(out, marker=marker, what=what)
    new = out.with_name(f".{out.name}.new")
    try:
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(parents=True)
        yield new
        _flush(new)
        _exchange(new, out)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"{what} {out} cannot be written",
            why=str(error),
            fix=f"make room or mend the permissions, then run again: what was in {out.name} is untouched",
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def refuse_foreign(out: Path, *, marker: str, what: str) -> None:
    """Raise UsageError if `out` holds anything that has not this marker: it would be replaced whole."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder", fix="name another one")
    if out.is_dir() and any(out.iterdir()) and not (out / marker).is_file():
        raise UsageError(
            f"{out} is not empty and is no {what}",
            why=f"it has no {marker}, and the folder is replaced as a whole",
            fix="name another folder, or empty this one",
        )


def _flush(folder: Path) -> None:
    """Everything on disk before the exchange: after a power cut the new folder is whole or not there."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(new: Path, out: Path) -> None:
    """Put `new` where `out` is, in one step where the system can (Linux), so that no instant has neither."""
    if not out.exists():
        new.rename(out)
    elif not _renameat2_exchange(new, out):
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        new.rename(out)
        shutil.rmtree(old)


def _renameat2_exchange(a: Path, b: Path) -> bool:
    """Whether the kernel exchanged the two; False where it or the file system does not know how."""
    if not sys.platform.startswith("linux"):
        return False
    at_fdcwd, exchange = -100, 2
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(at_fdcwd, os.fsencode(a), at_fdcwd, os.fsencode(b), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(b))
