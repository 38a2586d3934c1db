"""The error model.

Three things can go wrong, and each has one form:

- A *person* gave something that cannot be used (a recipe, a file, a folder, a full disk): `UsageError`.
  It says what, why and how to fix it; the command line prints it without a traceback and exits with 2.
- A *row* cannot be used: it is data, not an exception. It goes to `left_out` with a reason code
  (`safety_reasoning.builders.left_out`) and the rest goes on.
- A *teacher's call* fails: it is data too, a reply with a status (`safety_reasoning.builders.calls`).

Everything else is a fault of this program and keeps its traceback. Messages never hold a key, a token or
the text of a sample.
"""


class UsageError(Exception):
    """What a person can mend, in three parts; `str()` joins them."""

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        self.what = what
        self.why = why
        self.fix = fix
        super().__init__(what, why, fix)

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"why: {self.why}")
        if self.fix:
            lines.append(f"fix: {self.fix}")
        return "\n".join(lines)


class Stopped(Exception):
    """Work stopped early with everything finished kept; `str()` says how much is left."""


def missing_extra(extra: str, package: str) -> UsageError:
    """The error for an optional dependency that is not installed, naming the extra that brings it."""
    return UsageError(
        f"{package} is not installed",
        why=f"it is part of the optional [{extra}] extra",
        fix=f"pip install 'safety-reasoning[{extra}]'",
    )
