"""Writes the command that serves a guard with vLLM: serve.sh, and serve.json with an argument an item."""

import json
from pathlib import Path

from safety_reasoning.deploy.vllm_command import Serving, serve_arguments, serve_script
from safety_reasoning.place import replaced

ARGUMENTS, SCRIPT = "serve.json", "serve.sh"


def export_vllm(serving: Serving, out: Path) -> list[str]:
    """Replace the folder with the command; its arguments.

    Raises: UsageError if the folder holds anything else, or cannot be written.
    """
    arguments = serve_arguments(serving)
    with replaced(out, marker=ARGUMENTS, what="serve command") as folder:
        (folder / ARGUMENTS).write_text(json.dumps(arguments, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        script = folder / SCRIPT
        script.write_text(serve_script(arguments), encoding="utf-8")
        script.chmod(0o755)
    return arguments
