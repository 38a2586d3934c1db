"""`export vllm`: the command is one that vLLM takes, a shell runs it as it is listed, and it names the right parser."""

import json
import subprocess
from pathlib import Path

import pytest

from safety_reasoning.deploy.guard import open_guard_folder
from safety_reasoning.deploy.vllm_command import READ_IN, Serving, reasoning_parser, serve_arguments
from tests.conftest import ROOT
from tests.deploy_guards import verb, vllm_python, write_guard

OPTIONS = (ROOT / "tests" / "vllm_options.txt").read_text(encoding="utf-8").splitlines()
"""The version, and every option of `vllm serve`, as its own parser lists them."""
PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.reasoning import ReasoningParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser
parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(json.loads(sys.argv[1])[2:])
validate_parsed_serve_args(parsed)
if parsed.reasoning_parser:
    ReasoningParserManager.get_reasoning_parser(parsed.reasoning_parser)
found = [parsed.model_tag, parsed.served_model_name, parsed.host, parsed.port, parsed.max_model_len]
more = [parsed.reasoning_parser, parsed.default_chat_template_kwargs]
print(json.dumps(found + more + [parsed.structured_outputs_config.enable_in_reasoning]))
"""


def arguments(tmp_path: Path, mode: str, *more: str) -> list[str]:
    verb("export", "vllm", "--guard", write_guard(tmp_path / "guard", mode), "--out", tmp_path / "serve", *more)
    listed: list[str] = json.loads((tmp_path / "serve" / "serve.json").read_text(encoding="utf-8"))
    return listed


@pytest.mark.parametrize(
    ("mode", "parser", "thinks"),
    [("dual", "qwen3", {"enable_thinking": True}), ("reasoning", "qwen3", None), ("non_reasoning", "", None)],
)
def test_the_command_is_one_that_vllm_takes(
    mode: str, parser: str, thinks: dict[str, bool] | None, tmp_path: Path
) -> None:
    listed = arguments(tmp_path, mode)
    assert listed[:2] == ["vllm", "serve"]
    assert {argument for argument in listed if argument.startswith("--")} <= set(OPTIONS[1:])
    assert OPTIONS[0] == f"vllm {READ_IN}"
    named = dict(zip(listed[3::2], listed[4::2], strict=True))
    assert named.get("--reasoning-parser", "") == parser
    assert json.loads(named.get("--default-chat-template-kwargs", "null")) == thinks
    if (python := vllm_python()) is not None:
        done = subprocess.run(
            [python, "-c", PARSE, json.dumps(listed)], capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
        expected = [str(tmp_path / "guard"), ["a-guard-small"], "127.0.0.1", 8000, 4096, parser, thinks, bool(parser)]
        assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_the_script_runs_what_the_list_says(tmp_path: Path) -> None:
    folder = tmp_path / "it's {a} $HOME"
    folder.mkdir()
    listed = arguments(folder, "dual", "--max-model-len", "1024", "--port", "8001")
    command = tmp_path / "bin" / "vllm"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = folder / "serve" / "serve.sh"
    done = subprocess.run(
        [script, "--seed", "1"],
        env={"PATH": f"{command.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == [*listed[1:], "--seed", "1"]


def test_a_parser_can_be_named_or_left_out(tmp_path: Path) -> None:
    guard = open_guard_folder(str(write_guard(tmp_path / "guard")), reasoning=None)
    assert reasoning_parser(guard, "nemotron_v3") == "nemotron_v3"
    serving = Serving(
        guard=guard, host="::", port=1, reasoning_parser=reasoning_parser(guard, "none"), max_model_len=None
    )
    listed = serve_arguments(serving)
    assert not {"--reasoning-parser", "--structured-outputs-config"} & set(listed)


def test_a_model_of_the_hub_is_served_by_its_name(tmp_path: Path) -> None:
    listed = json.loads(verb("export", "vllm", "--guard", "owner/guard", "--out", tmp_path / "serve", "--json"))[
        "arguments"
    ]
    assert listed[2:5] == ["owner/guard", "--served-model-name", "owner/guard"]
    assert "--max-model-len" not in listed
