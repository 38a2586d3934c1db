"""What a repository and a branch may be called: told before anything is read or sent."""

import re

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.release import TAG

_BRANCH = re.compile(r"(?!.*\.\.)\w[\w.-]*(?:/\w[\w.-]*)*(?<!\.)(?<!\.lock)")
"""What Git allows and what is safe in an address, which is less."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


def refuse_repo(repo: str) -> None:
    """Raise UsageError if no repository can have the name; its owner is part of it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, not exported

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        why = str(error).splitlines()[0]
        raise UsageError(f"{repo!r} is not the name of a repository", why=why, fix="give OWNER/NAME") from error
    if "/" not in repo:
        raise UsageError(f"{repo!r} is not the name of a repository", why="it has no owner", fix="give OWNER/NAME")


def refuse_branch(branch: str) -> None:
    """Raise UsageError if no branch can have the name, or one of that name would hide a tag, a commit or a ref."""
    if TAG.fullmatch(branch):
        raise UsageError(f"{branch} is a tag", why="tags are never moved", fix="give --revision a branch")
    if _COMMIT.fullmatch(branch) or branch.startswith("refs/") or not _BRANCH.fullmatch(branch):
        raise UsageError(
            f"{branch!r} is not the name of a branch",
            why="a branch has letters, digits, `-`, `_` and `.`, in parts with `/` between; a commit or a ref is none",
            fix="give --revision a branch, such as main",
        )
