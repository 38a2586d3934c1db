"""The review page's server, spoken to without a browser: who is let in, and what it answers."""

import ctypes
import http.client
import json
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.review.marks_store import read_marks
from tests.conftest import Run
from tests.reviews import Served, fill, marks_in, review_recipe, reviewing, teacher_says


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    recipe = review_recipe(tmp_path_factory.mktemp("server"))
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        yield served, recipe


def ask(
    served: Served, method: str, path: str, body: Any = None, **headers: str | None
) -> tuple[http.client.HTTPResponse, Any]:
    """The answer and its JSON; headers are those of the page unless they are changed, or left out with None."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    ours: dict[str, str | None] = {"X_Review_Secret": served.secret, "Host": f"127.0.0.1:{served.port}", **headers}
    connection.putrequest(method, path, skip_host=True)
    for name, value in ours.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if body is not None:
        connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data if body is not None else None)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, json.loads(text) if answer.headers.get_content_type() == "application/json" else text


def queue(served: Served, reviewer: str) -> Any:
    return ask(served, "GET", f"/api/queue?reviewer={reviewer}")[1]


def mark(served: Served, **changes: Any) -> dict[str, Any]:
    return {"reviewer": "Anna", "key": queue(served, "Anna")["keys"][0], "modes": [], "note": ""} | changes


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="the page"),
        pytest.param({"Host": "localhost:9000"}, 200, id="through a tunnel"),
        pytest.param({"X_Review_Secret": None}, 403, id="no secret"),
        pytest.param({"X_Review_Secret": "x" * 32}, 403, id="another secret"),
        pytest.param({"X_Review_Secret": "é"}, 403, id="a secret that is not ASCII"),
        pytest.param({"Host": "evil.invalid"}, 403, id="a name made to resolve to this machine"),
        pytest.param({"Host": None}, 400, id="no host"),
        pytest.param({"Origin": "http://evil.invalid"}, 403, id="another page"),
        pytest.param({"Origin": "null"}, 403, id="a page in a sandbox"),
        pytest.param({"Origin": "http://127.0.0.1:1"}, 403, id="another server of this machine"),
    ],
)
def test_only_the_page_itself_is_answered(
    review: tuple[Served, Path], headers: dict[str, str | None], status: int
) -> None:
    served, recipe = review
    before = len(marks_in(recipe))
    answer, said = ask(served, "GET", "/api/queue?reviewer=Anna", **headers)
    assert answer.status == status
    assert ("keys" in str(said)) == (status == 200)
    posted, _ = ask(served, "POST", "/api/marks", mark(served, reviewer=str(headers)[:60]), **headers)
    assert posted.status == status
    assert len(marks_in(recipe)) - before == (status == 200)


def test_every_answer_forbids_what_the_page_does_not_need(review: tuple[Served, Path]) -> None:
    served, _ = review
    for path in ("/", "/review.js", "/review.css", "/icon.svg", "/api/queue?reviewer=Anna", "/nothing", "/review.py"):
        answer, _ = ask(served, "GET", path)
        assert answer.status == (404 if path in {"/nothing", "/review.py"} else 200)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"] is None
    preflight, _ = ask(served, "OPTIONS", "/api/marks", Origin="http://evil.invalid")
    assert preflight.status == 403
    assert preflight.headers["Access-Control-Allow-Headers"] is None


def test_it_listens_on_loopback_alone(review: tuple[Served, Path]) -> None:
    listening = f":{review[0].port:04X} 00000000:0000 0A"
    lines = [
        line
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()
        if f":{review[0].port:04X} " in line and " 0A " in line
    ]
    assert len(lines) == 1, listening
    assert f" 0100007F:{review[0].port:04X} " in lines[0]


def test_what_the_page_is_told_before_a_mark_names_no_finding(review: tuple[Served, Path]) -> None:
    served, _ = review
    told = queue(served, "New")
    assert set(told) == {"title", "shown", "modes", "keys", "marks"}
    for key in told["keys"]:
        _, case = ask(served, "GET", f"/api/traces/{key}")
        assert set(case) == {"key", "task", "teacher", "step", "inputs", "labels", "answer", "trace"}
        assert ask(served, "GET", f"/api/findings/{key}?reviewer=New")[0].status == 403


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"modes": ["no_such_mode"]}, 400, id="an unknown mode"),
        pytest.param({"modes": "label_leak"}, 400, id="modes that are no list"),
        pytest.param({"reviewer": ""}, 400, id="no name"),
        pytest.param({"reviewer": " \t "}, 400, id="a blank name"),
        pytest.param({"reviewer": "x" * 65}, 400, id="a long name"),
        pytest.param({"reviewer": "a\u202eb"}, 400, id="a name that turns the line"),
        pytest.param({"reviewer": "a\x1b[2J"}, 400, id="a name that clears the screen"),
        pytest.param({"key": "0" * 32}, 404, id="another trace"),
        pytest.param({"key": "../../etc/passwd"}, 404, id="no trace"),
        pytest.param({"note": "x" * 10_001}, 400, id="a long note"),
        pytest.param({"note": "\ud83d"}, 400, id="half a character"),
        pytest.param({"stratum_size": 1}, 400, id="a field too many"),
        pytest.param({"note": "x" * 300_000}, 413, id="a huge note"),
    ],
)
def test_a_mark_that_cannot_be_one_is_refused(
    review: tuple[Served, Path], changes: dict[str, Any], status: int
) -> None:
    served, recipe = review
    before = marks_in(recipe)
    answer, said = ask(served, "POST", "/api/marks", mark(served, **changes))
    assert answer.status == status
    assert said["error"]
    assert "x" * 100 not in said["error"]
    assert marks_in(recipe) == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"], ids=repr)
def test_a_body_that_is_no_mark_is_refused(review: tuple[Served, Path], body: bytes) -> None:
    assert ask(review[0], "POST", "/api/marks", body)[0].status == 400


def test_one_name_in_two_spellings_is_one_reviewer(review: tuple[Served, Path]) -> None:
    served, recipe = review
    for name in ("Zoe\u0308  M", " Zo\u00eb M "):
        assert ask(served, "POST", "/api/marks", mark(served, reviewer=name, modes=["truncated"]))[0].status == 200
    named = [name for name, _ in marks_in(recipe) if name.startswith("Zo")]
    assert named == ["Zo\u00eb M"]


def test_a_mark_that_is_sent_twice_is_saved_once_and_a_changed_one_knows_what_was_shown(
    review: tuple[Served, Path],
) -> None:
    served, recipe = review
    for modes in (["label_leak"], ["label_leak"], ["truncated", "label_leak"]):
        assert ask(served, "POST", "/api/marks", mark(served, reviewer="Twice", modes=modes))[0].status == 200
    from safety_reasoning.builders.recipe import load_recipe

    ours = [one for one in read_marks(Path(load_recipe(recipe).release.store)) if one.reviewer == "Twice"]
    assert [(one.modes, str(one.findings)) for one in ours] == [
        (("label_leak",), "later"),
        (("label_leak", "truncated"), "seen"),
    ]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_it_cleanly(tmp_path: Path, signal_number: int) -> None:
    recipe = review_recipe(tmp_path, 2)
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        assert served.address.startswith("http://127.0.0.1:")
        served.process.send_signal(signal_number)
        assert served.process.wait(timeout=30) == 0


def test_what_cannot_be_served_is_told(tmp_path: Path, run: Run) -> None:
    recipe = review_recipe(tmp_path, 2)
    done = run("review", recipe)
    assert (done.returncode, "there is no store" in done.stderr) == (2, True)
    fill(recipe, teacher_says)
    done = run("review", recipe, "--reason", "too_long")
    assert (done.returncode, "no trace to review" in done.stderr) == (2, True)
    done = run("review", recipe, "--blind", "--show")
    assert (done.returncode, "exclude each other" in done.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("review", recipe, "--port", str(taken.getsockname()[1]))
    assert (done.returncode, "--port" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "fix"), [("reason", "kept, empty"), ("teacher", "use a"), ("step", "full, efficient-1")]
)
def test_a_name_that_no_trace_can_have_is_refused_beside_those_that_are_there(
    tmp_path: Path, run: Run, option: str, fix: str
) -> None:
    recipe = review_recipe(tmp_path, 2)
    fill(recipe, teacher_says)
    known = {"reason": "kept", "teacher": "a", "step": "full"}[option]
    done = run("review", recipe, f"--{option}", known, f"--{option}", "lable_leak")
    assert done.returncode == 2
    assert f"{option} 'lable_leak'" in done.stderr
    assert fix in done.stderr


def may_not_override() -> None:
    """Of a process that root starts: it may write what its owner may, as any other process. Linux, prctl(2)."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def test_a_store_that_cannot_be_written_is_told_at_the_start(tmp_path: Path, run: Run) -> None:
    recipe = review_recipe(tmp_path, 2)
    store = Path(fill(recipe, teacher_says).release.store)
    store.chmod(stat.S_IRUSR)
    done = run("review", recipe, "--port", "0", preexec_fn=may_not_override)
    assert (done.returncode, "store" in done.stderr) == (2, True)
