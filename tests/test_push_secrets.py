"""Secrets are never pushed: what looks like a token, and what this machine keeps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from safety_reasoning.hub.tokens import findings, own_secrets
from tests.conftest import Run
from tests.hub_server.broken import HUB_TOKEN, edit
from tests.hub_server.client import online
from tests.hub_server.pusher import Pusher
from tests.hub_server.server import WRITE_TOKEN, HubServer

pytest_plugins = ["tests.hub_server.fixture"]
TOKENS = {
    "Hugging Face": HUB_TOKEN,
    "Hugging Face OAuth": "hf_oauth_" + "aB3dE5" * 6,
    "organisation": "api_org_" + "aB3dE5" * 6,
    "OpenAI": "sk-" + "proj-" + "A1b2C3d4" * 4,
    "NVIDIA": "nvapi-" + "A1b2C3d4" * 8,
    "GitHub": "ghp_" + "A1b2C3d4e" * 4,
    "fine-grained GitHub": "github_pat_" + "A1b2C3d4e_" * 6,
    "GitLab": "glpat-" + "A1b2C3d4e-" * 2,
    "AWS": "AKIA" + "A1B2C3D4" * 2,
    "Google": "AIza" + "A1b2C3d" * 5,
    "Slack": "xoxb-" + "1234567890-abc",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("before", ["", "key=", '"', "\\n", "\n", "\\u201c", "ключ"])
def test_a_token_is_found_wherever_it_stands(tmp_path: Path, name: str, before: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text("one\ntwo " + before + TOKENS[name] + " three\n", encoding="utf-8")
    found = list(findings({"file.txt": path}, {}))
    assert [(f.file, f.line, f.own) for f in found] == [("file.txt", 3 if before == "\n" else 2, False)]
    assert TOKENS[name] not in str(found[0])


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-and-mitigation-2024",
        "hf_hub_download",
        "task-1234567890123456789012345",
        "sk-learn",
        "AKIAS",
        "hf_xet",
    ],
)
def test_ordinary_words_are_no_tokens(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.txt").write_text(text, encoding="utf-8")
    assert list(findings({"file.txt": tmp_path / "file.txt"}, {})) == []


def test_a_token_in_any_value_of_a_parquet_file_is_found_by_row(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": [{"c": "y"}]}, {"a": "x", "b": [{"c": f"my key is {HUB_TOKEN}"}]}]
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    assert [str(f) for f in findings({"rows.parquet": tmp_path / "rows.parquet"}, {})] == [
        "rows.parquet:2 looks like a Hugging Face token"
    ]


def test_a_token_in_the_metadata_of_a_parquet_file_is_found(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["x"]}).write_parquet(tmp_path / "rows.parquet", metadata={"made with": HUB_TOKEN})
    assert [str(f) for f in findings({"rows.parquet": tmp_path / "rows.parquet"}, {})] == [
        "rows.parquet looks like a Hugging Face token"
    ]


def test_a_token_in_the_name_of_a_file_is_found_and_not_shown(tmp_path: Path) -> None:
    name = f"{HUB_TOKEN}.txt"
    (tmp_path / name).write_text(HUB_TOKEN, encoding="utf-8")
    found = [str(finding) for finding in findings({name: tmp_path / name}, {})]
    assert found == [
        "the name of a file looks like a Hugging Face token",
        "the name of a file:1 looks like a Hugging Face token",
    ]


def test_a_finding_stays_on_its_line_whatever_its_file_is_called(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31m").write_text(HUB_TOKEN, encoding="utf-8")
    found = findings({"a\n\x1b[31m": tmp_path / "a\n\x1b[31m"}, {})
    assert [str(finding) for finding in found] == [r"a\u000a\u001b[31m:1 looks like a Hugging Face token"]


@pytest.mark.parametrize("secret", ['a "quoted" \\ passphrase', "пароль из двух слов", os.fsdecode(b"\xff" * 16)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_secret_of_this_machine_is_found_as_json_writes_it(tmp_path: Path, secret: str, ascii_only: bool) -> None:
    text = json.dumps({"note": f"it is {secret}"}, ensure_ascii=ascii_only)
    (tmp_path / "file.json").write_bytes(os.fsencode(text))
    found = findings({"file.json": tmp_path / "file.json"}, own_secrets({"MY_PASSWORD": secret}))
    assert [str(finding) for finding in found] == ["file.json:1 holds the value of MY_PASSWORD"]


def test_a_token_like_text_stops_the_push_unless_it_is_allowed(pusher: Pusher, copy: Path) -> None:
    edit(copy, "README.md", "## Limits", f"## Limits\n\nExample: {HUB_TOKEN}\n")
    pusher.hub.plan()
    done = pusher.push(copy, "o/token-like", create=True)
    assert done.returncode == 2
    line = (copy / "README.md").read_text(encoding="utf-8").splitlines().index(f"Example: {HUB_TOKEN}") + 1
    assert f"README.md:{line} looks like a Hugging Face token" in done.err
    assert HUB_TOKEN not in done.err
    assert pusher.hub.since() == []
    done = pusher.push(copy, "o/token-like", create=True, allow_token_like=True)
    assert done.returncode == 0, done.err


@pytest.mark.parametrize("variable", ["HF_TOKEN", "MY_TEACHER_API_KEY"])
def test_a_secret_of_this_machine_is_never_pushed(
    run: Run, hub: HubServer, tmp_path: Path, copy: Path, variable: str
) -> None:
    secret = WRITE_TOKEN if variable == "HF_TOKEN" else "correct horse battery staple"
    edit(copy, "README.md", "## Limits", f"## Limits\n\n{secret}\n")
    env = online(hub, tmp_path / "hf") | {variable: secret}
    done = run("push", copy, "o/n", "--create", "--yes", "--allow-token-like", env=env)
    assert done.returncode == 2
    assert ("the Hub token in use" if variable == "HF_TOKEN" else f"the value of {variable}") in done.stderr
    assert secret not in done.stdout + done.stderr
    assert hub.requests == []


def test_the_login_that_is_kept_on_disk_is_known(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(HUB_TOKEN, encoding="utf-8")
    script = "from safety_reasoning.hub.tokens import own_secrets; print(sorted(own_secrets().values()))"
    env = {k: v for k, v in os.environ.items() if k != "HF_TOKEN"} | {"HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "the Hub token in use" in done.stdout
    assert own_secrets({"SHORT_KEY": "x", "PATH": "a" * 30}).keys() <= {own for own in own_secrets({})}
