"""`classify`: one text or a file of them, by a policy of one's own, through any guard."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from safety_reasoning.cli import app
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.runs.texts import Text, read_texts
from safety_reasoning.eval.runs.visible import visible
from tests.changed_teacher import changed
from tests.conftest import LiveTeacher, Run, serving

HARMFUL = "Prompt harm: harmful\n\nResponse harm: unharmful\n\nResponse refusal: compliance"
HOSTILE = "\x1b]0;owned\x07\x1b[2J{braces} {{ 7*7 }} </think> \u202egnp.exe \u2066 \ud800 %s"


def saying(answer: str, reasoning: str | None = None) -> Any:
    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        completion["choices"][0]["message"] = {"content": answer, "reasoning": reasoning}
        completion["choices"][0].pop("logprobs", None)

    return change


def here(*arguments: str | Path) -> Result:
    """The verb in this process, which is much faster than the command."""
    return CliRunner().invoke(app, ["classify", *map(str, arguments)])


def asking(url: str) -> list[str]:
    return ["--guard", "instruct", "--engine", "openai", "--model", "scripted", "--base-url", url]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_text_gets_a_verdict_a_trace_and_a_probability_by_the_policy(tmp_path: Path, run: Run) -> None:
    (tmp_path / "policy.md").write_text("No {sailing}.", encoding="utf-8")
    with changed(lambda body, completion: None) as live:
        done = run("classify", *asking(live.url), "--policy", tmp_path / "policy.md", "May I sail?")
        (body,) = live.server.bodies
    assert done.returncode == 1, done.stderr
    verdict, probability, trace = done.stdout.splitlines()
    assert verdict == "verdict: harmful"
    assert 0.5 <= float(probability.removeprefix("probability of harm: ")) <= 1
    assert "was read in full" in trace
    assert "No {sailing}." in body["messages"][0]["content"]
    assert body["temperature"] == 0


@pytest.mark.parametrize(
    ("answer", "arguments", "code", "verdict", "parse"),
    [
        (HARMFUL, [], 1, "harmful", "ok"),
        (HARMFUL, ["--response", "Yes."], 0, "unharmful", "ok"),
        ("What a question", [], 3, "none", "no_verdict"),
        (f"{HARMFUL}\nPrompt harm: unharmful", [], 3, "none", "two_verdicts"),
        ("Prompt harm:", [], 3, "none", "no_verdict"),
        ("", [], 3, "none", "empty_answer"),
    ],
    ids=["harmful", "response", "garbage", "two", "half", "nothing"],
)
def test_the_exit_code_is_the_verdict(answer: str, arguments: list[str], code: int, verdict: str, parse: str) -> None:
    with changed(saying(answer)) as live:
        done = here(*asking(live.url), "--json", "--logprobs", "0", *arguments, "May I sail?")
        (body,) = live.server.bodies
    assert done.exit_code == code, done.output
    found = json.loads(done.stdout)
    assert (found["verdict"], found["parse"], found["probability"]) == (verdict, parse, None)
    assert found["answer"] == answer
    assert "logprobs" not in body


def test_hostile_text_reaches_the_terminal_as_escapes(run: Run) -> None:
    with changed(saying(HOSTILE.replace("</think>", ""), reasoning=HOSTILE)) as live:
        done = run("classify", *asking(live.url), "--", HOSTILE.replace("\ud800", ""))
    assert done.returncode == 3, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout
    assert "\\x1b]0;owned\\x07\\x1b[2J{braces} {{ 7*7 }} </think> \\u202egnp.exe \\u2066 \\ud800 %s" in done.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\\x09b\nc"),
        ("\r\x7f\x9b", "\\x0d\\x7f\\x9b"),
        ("\u2028\u200f\ufeff\ue000", "\\u2028\\u200f\\ufeff\\ue000"),
        ("\U000e0041", "\\U000e0041"),
        ("é 漢 שלום 😀", "é 漢 שלום 😀"),
        ("", ""),
    ],
    ids=["tab", "controls", "formats", "tags", "words", "empty"],
)
def test_what_moves_a_terminal_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_any_text_is_shown_without_what_moves_a_terminal(text: str) -> None:
    assert visible(text, lines=False).isprintable() or " " in text or any(c.isspace() for c in text)
    visible(text).encode("utf-8")


def test_a_file_has_a_line_for_every_text_in_order_and_is_not_asked_twice(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]
) -> None:
    live = teacher()
    rows = [{"prompt": f"text {n} \u2028 {{x}}"} for n in range(20)]
    rows[3] = {"prompt": "Q", "response": "A"}
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "in.jsonl").write_text(f'{text}\n{{"prompt": 3}}\nnot json\n', encoding="utf-8")
    arguments = [*asking(live.url), "--file", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl"]
    done = run("classify", *arguments)
    assert done.returncode == 3, done.stderr  # two lines hold no text
    assert "19 × harmful" in done.stdout
    assert "2 × unreadable" in done.stdout
    lines = lines_of(tmp_path / "out.jsonl")
    assert [line["line"] for line in lines] == [*range(1, 21), 22, 23]
    assert [line.get("prompt") for line in lines[:20]] == [row["prompt"] for row in rows]
    assert (lines[3]["subject"], lines[3]["response"]) == ("response", "A")
    assert [line["fault"] for line in lines[20:]] == ["`prompt` is missing or no text", "no JSON"]
    calls, before = live.server.calls, (tmp_path / "out.jsonl").read_bytes()
    again = run("classify", *arguments, "--json")
    assert json.loads(again.stdout)["verdicts"] == {"harmful": 19, "none": 1, "unreadable": 2}
    assert (live.server.calls, (tmp_path / "out.jsonl").read_bytes()) == (calls, before)


def test_a_file_that_was_interrupted_goes_on(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in.txt").write_text("".join(f"text {n}\n" for n in range(40)), encoding="utf-8")
    with serving(delay_s=0.05) as live:
        arguments = ["classify", *asking(live.url), "--file", tmp_path / "in.txt", "--out", tmp_path / "out.jsonl"]
        process = subprocess.Popen(
            [sys.executable, "-m", "safety_reasoning.cli", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while live.server.calls < 20 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert not (tmp_path / "out.jsonl").exists()
        assert run(*arguments).returncode == 0
        assert live.server.calls <= 40 + 16
    assert len(lines_of(tmp_path / "out.jsonl")) == 40


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.txt", "one\r\n\n two\n", [Text(1, "one"), Text(3, " two")]),
        ("a.csv", 'prompt,response\n"a\nb",\n"x, y",z\n', [Text(3, "a\nb"), Text(4, "x, y", "z")]),
        ("a.csv", "id,prompt\n1,a\n2\n", [Text(2, "a"), Text(3, fault="1 fields, not 2")]),
        ("a.csv", "\ufeffprompt\na\n", [Text(2, "a")]),
        ("a.jsonl", '[1]\n{"prompt": "a", "response": 4}\n', [
            Text(1, fault="no JSON object"), Text(2, fault="`response` is no text")]),
        ("a.jsonl", '{"prompt": "\\ud800", "response": ""}', [Text(1, "\ud800", "")]),
        ("a.jsonl", "", []),
    ],
    ids=["txt", "csv", "short_row", "bom", "no_objects", "surrogate", "empty"],
)  # fmt: skip
def test_texts_are_read_line_by_line_and_one_that_cannot_be_has_its_fault(
    tmp_path: Path, name: str, content: str, texts: list[Text]
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_texts(tmp_path / name) == texts


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one text, or a file"),
        (["x", "--file", "in.txt"], "give one text, or a file"),
        (["--file", "in.txt"], "--file and --out belong together"),
        (["--guard", "keyword", "--file", "bad.csv", "--out", "./bad.csv"], "--file and --out are one file"),
        (["--guard", "nobody", "x"], "no guard is named 'nobody'"),
        (["--guard", "instruct", "x"], "nothing says where it answers"),
        (["--guard", "keyword", "--setting", "mode", "x"], "is not NAME=VALUE"),
        (["--guard", "keyword", "--setting", "mode=on", "x"], "no setting 'mode'"),
        (["--guard", "keyword", "--policy", "p.md", "x"], "takes no policy"),
        (["--guard", "refusal_expression", "x"], "cannot judge a prompt"),
        (["--engine", "steam", "--guard", "instruct", "x"], "engine.engine"),
        (["--guard", "keyword", "--file", "absent.txt", "--out", "o.jsonl"], "absent.txt cannot be read"),
        (["--guard", "keyword", "--file", "bad.csv", "--out", "o.jsonl"], "no column `prompt`"),
        (["--recipe", "absent.toml", "x"], "absent.toml cannot be read"),
    ],
    ids=[
        *(
            "nothing",
            "both",
            "no_out",
            "same_out",
            "guard",
            "engine",
            "setting",
            "unknown_setting",
            "policy",
            "subject",
        ),
        *("unknown_engine", "file", "column", "recipe"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    (tmp_path / "bad.csv").write_text("text\nx\n", encoding="utf-8")
    (tmp_path / "p.md").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = here(*arguments)
    assert isinstance(done.exception, UsageError), done.output
    assert said in str(done.exception)


def test_a_recipe_names_the_guard_and_the_command_line_stands_above_it(tmp_path: Path) -> None:
    with changed(saying(HARMFUL)) as live:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(
            '[run]\nname = "x"\n[guard]\nadapter = "instruct"\nsettings = { reasoning = "off" }\n'
            f'[engine]\nengine = "openai"\nmodel = "m"\nbase_urls = ["{live.url}"]\n',
            encoding="utf-8",
        )
        assert here("--recipe", recipe, "x").exit_code == 1
        assert here("--recipe", recipe, "--model", "other", "--setting", "reasoning=on", "-").exit_code == 1
        first, second = live.server.bodies
        assert here("--recipe", recipe, "--guard", "always_positive", "x").exit_code == 1
        assert len(live.server.bodies) == 2
    assert (first["model"], second["model"]) == ("m", "other")
    assert "after thinking" not in first["messages"][0]["content"]
    assert "thinking" in second["messages"][0]["content"]
