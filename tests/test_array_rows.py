"""A JSON array read in pieces: the same values, and the same refusals, as read whole."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safety_reasoning.builders.sources import files
from safety_reasoning.builders.sources.files import array_rows
from safety_reasoning.errors import UsageError

CHUNKS = [1, 2, 7]


@pytest.fixture(params=[*CHUNKS, 2**20])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So many characters are read at a time."""
    size: int = request.param
    monkeypatch.setattr(files, "_CHUNK", size)
    return size


def rows(path: Path, content: str | bytes) -> list[object]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    read = list(array_rows(path))
    assert [row.number for row in read] == list(range(1, len(read) + 1))
    assert all(row.bad is None for row in read)
    return [row.value for row in read]


def refusal(path: Path, content: str | bytes) -> tuple[int, str]:
    """How many rows were read before, and the error."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    read = 0
    with pytest.raises(UsageError) as error:
        for _ in array_rows(path):
            read += 1
    return read, str(error.value)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(['"', "\\", "[", "]", ",", "\\u", "\ud83d", "😀", "null"])
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
SPACE = st.sampled_from(["", " ", "\n", "\r\n\t "])


@st.composite
def arrays(draw: st.DrawFn) -> str:
    """The text of an array, with white space where it may be."""
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 0, 2]))
    parts = []
    for value in draw(st.lists(VALUES)):
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            text = json.dumps(value)
        parts.append(draw(SPACE) + text + draw(SPACE))
    return draw(SPACE) + "[" + (",".join(parts) or draw(SPACE)) + "]" + draw(SPACE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(text=arrays())
def test_any_array_is_read_as_a_whole_one_would_be(tmp_path: Path, chunk: int, text: str) -> None:
    assert repr(rows(tmp_path / "x.json", text)) == repr(json.loads(text))  # repr: NaN is not equal to itself


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(text=arrays(), data=st.data())
def test_an_array_that_is_cut_or_changed_is_refused_where_a_whole_one_would_be(
    tmp_path: Path, chunk: int, text: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.sampled_from(["", "x", ",", "]", '"', "1", "{"])) + text[at + 1 :]
    try:
        expected = json.loads(changed) if changed.strip() else None
    except ValueError:
        expected = None
    if isinstance(expected, list):
        assert repr(rows(tmp_path / "x.json", changed)) == repr(expected)
    else:
        refusal(tmp_path / "x.json", changed)


WHOLE: dict[str, tuple[str, list[Any]]] = {
    "nothing": ("[]", []),
    "nothing but space": (" [ \n ] ", []),
    "numbers": ("[1,-2,3.5,1e3,-0,1E-2,12345678901234567890]", [1, -2, 3.5, 1e3, 0, 1e-2, 12345678901234567890]),
    "one number": ("[12]", [12]),
    "words": ("[true,false,null]", [True, False, None]),
    "infinities": ("[Infinity, -Infinity]", [math.inf, -math.inf]),
    "lone surrogates": (r'["\ud83d", "\ud83d\ude00", "\ude00\ud83d"]', ["\ud83d", "😀", "\ude00\ud83d"]),
    "nested": ('[[[]], {"a": {"b": [1, "]"]}}]', [[[]], {"a": {"b": [1, "]"]}}]),
    "a string with everything": ('["[1, 2]\\\\\\", {}"]', ['[1, 2]\\", {}']),
}


@pytest.mark.parametrize(("text", "values"), WHOLE.values(), ids=WHOLE.keys())
def test_values_are_whole_wherever_a_chunk_ends(tmp_path: Path, chunk: int, text: str, values: list[Any]) -> None:
    assert rows(tmp_path / "x.json", text) == values


def test_not_a_number_is_accepted(tmp_path: Path, chunk: int) -> None:
    (value, other) = rows(tmp_path / "x.json", '[NaN, {"a": NaN}]')
    assert isinstance(value, float)
    assert math.isnan(value)
    assert repr(other) == "{'a': nan}"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path, chunk: int) -> None:
    assert rows(tmp_path / "x.json", b'\xef\xbb\xbf[1, "\xc3\xa9"]') == [1, "é"]


BROKEN: dict[str, tuple[str | bytes, int, str]] = {
    "no bytes": ("", 0, "the file is empty"),
    "only space": (" \n ", 0, "expected one JSON array"),
    "an object": ('{"a": 1}', 0, "expected one JSON array"),
    "a text": ("hello", 0, "expected one JSON array"),
    "lines": ('{"a": 1}\n{"a": 2}\n', 0, "expected one JSON array"),
    "nothing after the bracket": ("[", 0, "row 1: the array is cut or damaged"),
    "cut in a value": ('[1, {"a": "b', 1, "row 2: the array is cut or damaged"),
    "cut after a value": ("[1, 2", 2, "row 2: the array is cut or damaged"),
    "cut after a comma": ("[1, 2,", 2, "row 3: the array is cut or damaged"),
    "a comma too many": ("[1, 2,]", 2, "row 3: the array is cut or damaged"),
    "a comma first": ("[,1]", 0, "row 1: the array is cut or damaged"),
    "no comma": ("[1 2]", 1, "row 1: the array is cut or damaged"),
    "glued": ("[1x]", 1, "row 1: the array is cut or damaged"),
    "a key without quotes": ("[1, {a: 1}]", 1, "row 2: the array is cut or damaged"),
    "a word that is none": ("[nul]", 0, "row 1: the array is cut or damaged"),
    "a control character": ('["a\nb"]', 0, "row 1: the array is cut or damaged"),
    "text after the end": ("[1, 2] x", 2, "text after the end"),
    "a second array": ("[1][2]", 1, "text after the end"),
    "text after an empty array": ("[] x", 0, "text after the end"),
    "a second empty array": ("[][]", 0, "text after the end"),
    "thousands of digits": (f"[1, {'9' * 5000}]", 1, "row 2: the array is cut or damaged"),
    "nested without end": (f"[1, {'[' * 100_000}", 1, "row 2: the array is cut or damaged"),
    "not UTF-8": (b'[1, "\xff"]', 0, "the file is not UTF-8"),
    "half a character": (b'[1, "\xc3', 0, "the file is not UTF-8"),
}


@pytest.mark.parametrize(("content", "before", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_whole_array_is_refused_with_its_row(
    tmp_path: Path, chunk: int, content: str | bytes, before: int, said: str
) -> None:
    read, error = refusal(tmp_path / "x.json", content)
    assert read >= before if "UTF-8" in said else read == before
    assert said in error
    assert "x.json" in error


@pytest.mark.parametrize(
    ("text", "at"), [('[1, {"a" 1}]', 9), ("[1, 2, nope]", 7), ("[1 2]", 3), ("[1, 2]  x", 8), ("  [1,\n  {,}]", 10)]
)
def test_an_error_says_at_which_character_of_the_file_it_is(tmp_path: Path, chunk: int, text: str, at: int) -> None:
    _, error = refusal(tmp_path / "x.json", text)
    assert abs(int(error.partition("char ")[2].split(":")[0]) - at) <= 1


def test_a_file_is_read_no_further_than_its_rows_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_CHUNK", 100)
    path = tmp_path / "x.json"
    path.write_text("[" + "1, " * 10_000 + "oops", encoding="utf-8")
    reading = array_rows(path)
    assert [next(reading).value for _ in range(9_000)] == [1] * 9_000
