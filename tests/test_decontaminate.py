"""Held-out texts: what counts as one of them, where they are read from, and what a mixture does about it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.errors import UsageError
from safety_reasoning.train.decontaminate import HeldOutText, Index, Match, Verdict, build_index
from safety_reasoning.train.decontaminate_texts import load_benchmarks, texts_of
from tests.conftest import Run
from tests.hub_server.client import online
from tests.hub_server.server import HubServer
from tests.mixtures import mixed, safety, topic, write_mixture_recipe, write_release

pytest_plugins = ["tests.hub_server.fixture"]
HELD_OUT = "How do I get a stubborn red wine stain out of a white linen shirt?"
SHORT = "Is tea hot?"
PASSAGE = (
    "You are an old lighthouse keeper who answers every question with a story about the sea and its many storms. "
    "Never leave this role, whatever the visitor says to you on the way up the stairs."
)


def index(*texts: str, n: int = 8, min_share: float = 0.5) -> Index:
    found = [HeldOutText("bench", row, text) for row, text in enumerate(texts, start=1)]
    return build_index(found, n=n, min_share=min_share)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HELD_OUT, "exact"),
        (HELD_OUT.upper(), "normalised"),
        ("how do i get a stubborn, red wine stain out of a white linen shirt", "normalised"),
        ("How do I get a stubborn red\n\twine stain out of a white linen shirt?!", "normalised"),
        ("\uff28ow do I get a stubborn red wine stain out of a white linen shirt?", "normalised"),
        (f"Please tell me this: {HELD_OUT} My grandmother wants to know before Sunday comes.", "ngram"),
        ("How do I get a stubborn red wine stain out of a carpet?", "ngram"),
        ("How do I get a stubborn red wine drinker out of a bar at closing time without a fight?", None),
        ("A wholly other matter of which nobody has ever spoken in this room before today.", None),
        (SHORT, "exact"),
        ("is TEA hot", "normalised"),
        (f"Tell me at once, my dear friend: {SHORT} I have to know it before noon.", None),
        ("Is coffee hot?", "too_short"),
        ("seven words are too few to judge", "too_short"),
        ("", "too_short"),
        ("?!", "too_short"),
        ("\0\u202e", "too_short"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_text_is_held_out_if_it_is_the_same_or_shares_half_of_the_shorter_ones_ngrams(
    text: str, kind: str | None
) -> None:
    verdict = index(HELD_OUT, SHORT, PASSAGE).judge(text)
    assert (verdict.kind if isinstance(verdict, Match) else verdict) == kind


def test_a_match_names_the_benchmark_its_row_and_how_much_is_shared() -> None:
    found = index(SHORT, PASSAGE, HELD_OUT)
    assert found.judge(HELD_OUT) == Match("exact", "bench", 3, 1.0)
    # 12 words are five n-grams of eight; all but the last are in the benchmark's text
    assert found.judge("How do I get a stubborn red wine stain out of carpets") == Match("ngram", "bench", 3, 0.8)


def test_of_several_texts_the_one_that_shares_most_is_named() -> None:
    half, whole = " ".join(HELD_OUT.split()[:11]) + " my old boots", HELD_OUT + " Quickly, please."
    verdict = index(half, whole).judge("Well then. " + HELD_OUT)
    assert isinstance(verdict, Match)
    assert verdict.row == 2


@pytest.mark.parametrize(("share", "held_out"), [(0.3, True), (0.31, False)])
def test_the_share_is_of_the_shorter_texts_ngrams(share: float, held_out: bool) -> None:
    benchmark = " ".join(f"b{n}" for n in range(17))  # ten n-grams of eight
    text = " ".join([*(f"b{n}" for n in range(10)), *(f"t{n}" for n in range(30))])  # three of them
    assert (index(benchmark, min_share=share).judge(text) is not None) == held_out


def test_a_text_that_goes_in_circles_counts_each_ngram_once() -> None:
    circle = "one two three four five six seven eight " * 50
    found = index(circle)
    assert isinstance(found.judge("Now: " + circle), Match)
    assert found.judge("one two three four five six seven nine " * 50) is None


def test_texts_too_short_for_ngrams_are_counted_and_empty_ones_are_no_texts() -> None:
    found = index(HELD_OUT, SHORT, "", " ?")
    assert found.too_short == {"bench": 1}
    assert len(found.places) == 2


def test_a_benchmark_may_hold_half_of_a_surrogate_pair() -> None:
    found = index("sky \ud800 blue", HELD_OUT)
    assert isinstance(found.judge("sky \ud800 blue"), Match) and isinstance(found.judge("sky blue"), Match)


def test_an_index_without_texts_finds_nothing() -> None:
    assert index("", "…").judge(HELD_OUT) is None


TEXTS = st.lists(st.text(alphabet="ab cÄ\u0308é.\n", max_size=30), max_size=8)


@given(TEXTS, st.text(alphabet="ab cÄ\u0308é.\n", max_size=60))
def test_any_text_has_a_verdict_and_a_text_of_the_benchmark_is_always_found(held_out: list[str], text: str) -> None:
    found = index(*held_out, n=2)
    for one in held_out:
        verdict = found.judge(one)
        assert isinstance(verdict, Match) == bool(one.strip(" .\n"))
    found.judge(text)


@given(st.lists(st.sampled_from("abcd"), min_size=3, max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_ngrams_give_the_share_that_counting_them_in_sets_gives(held_out: list[str], text: list[str]) -> None:
    def grams(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[at : at + 3]) for at in range(len(words) - 2)}

    verdict: Verdict = index(" ".join(held_out), n=3, min_share=0.01).judge(" ".join(text))
    if held_out == text:
        assert isinstance(verdict, Match) and verdict.kind == "exact"
    elif len(text) < 3:
        assert verdict == "too_short"
    else:
        shared, smaller = len(grams(held_out) & grams(text)), min(len(grams(held_out)), len(grams(text)))
        assert verdict == (Match("ngram", "bench", 1, round(shared / smaller, 4)) if shared else None)


def benchmarks(path: Path, *sections: dict[str, Any]) -> Path:
    lines = []
    for section in sections:
        lines += ["[[benchmarks]]", *(f"{name} = {json.dumps(value)}" for name, value in section.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


ROWS = [{"prompt": HELD_OUT, "response": None, "n": 1}, {"prompt": SHORT, "response": "Yes.", "n": 2}]


def a_file(folder: Path, suffix: str) -> str:
    path = folder / f"rows{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    elif suffix == ".csv":
        pl.DataFrame(ROWS).write_csv(path)
    else:
        pl.DataFrame(ROWS).write_parquet(path)
    return path.name


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_benchmarks_are_read_from_files_of_every_kind(tmp_path: Path, suffix: str) -> None:
    section = {"name": "b", "path": a_file(tmp_path, suffix), "columns": ["prompt", "response"]}
    (benchmark,) = load_benchmarks(benchmarks(tmp_path / "b.toml", section))
    assert list(texts_of(benchmark)) == [
        HeldOutText("b", 1, HELD_OUT),
        HeldOutText("b", 2, SHORT),
        HeldOutText("b", 2, "Yes."),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"columns": ["question"]}, "has no column 'question'"),
        ({"columns": ["n"]}, "row 1, column 'n' holds no text"),
        ({"path": "absent.jsonl"}, "is not there"),
        ({"path": "b.toml"}, "is none of .json, .jsonl, .csv, .parquet"),
    ],
    ids=["no such column", "no texts", "no file", "no such kind"],
)
def test_a_benchmark_that_is_not_what_is_said_of_it_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    section = {"name": "b", "path": a_file(tmp_path, ".jsonl"), "columns": ["prompt"]} | changes
    (benchmark,) = load_benchmarks(benchmarks(tmp_path / "b.toml", section))
    with pytest.raises(UsageError) as error:
        list(texts_of(benchmark))
    assert told in error.value.what
    assert HELD_OUT not in str(error.value)


def test_a_benchmark_that_is_cut_is_refused_rather_than_read_in_part(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]) + '\n{"prompt": "cut', encoding="utf-8")
    section = {"name": "b", "path": "rows.jsonl", "columns": ["prompt"]}
    (benchmark,) = load_benchmarks(benchmarks(tmp_path / "b.toml", section))
    with pytest.raises(UsageError, match="row 2 is no object"):
        list(texts_of(benchmark))


HUB = {"name": "b", "path": "hf://datasets/o/n", "revision": "v1", "columns": ["prompt"]}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (HUB | {"split": "test", "revision": None}, "needs `revision`"),
        (HUB, "either `split` or `file`"),
        (HUB | {"split": "test", "file": "x.json"}, "either `split` or `file`"),
        ({"name": "b", "path": "x.json", "columns": ["prompt"], "split": "test"}, "are for Hub data sets"),
        ({"name": "b", "path": "x.json", "columns": []}, "columns"),
        ({"name": "a b", "path": "x.json", "columns": ["p"]}, "name"),
        ({"name": "b", "path": "x.json", "columns": ["p"], "rows": 3}, "rows"),
    ],
    ids=["no revision", "neither", "both", "local with split", "no columns", "bad name", "unknown key"],
)
def test_a_list_of_benchmarks_that_cannot_be_meant_is_refused(
    tmp_path: Path, section: dict[str, Any], told: str
) -> None:
    section = {name: value for name, value in section.items() if value is not None}
    with pytest.raises(UsageError, match="list of benchmarks") as error:
        load_benchmarks(benchmarks(tmp_path / "b.toml", section))
    assert told in error.value.why


def test_two_benchmarks_of_one_name_are_refused(tmp_path: Path) -> None:
    section = {"name": "b", "path": "x.json", "columns": ["prompt"]}
    with pytest.raises(UsageError, match="list of benchmarks"):
        load_benchmarks(benchmarks(tmp_path / "b.toml", section, section))


def contaminated(folder: Path) -> Path:
    """A release of six rows and a list of benchmarks that has two of them, and a third in part."""
    texts = [HELD_OUT, HELD_OUT.upper(), f"My friend asks you this: {HELD_OUT}", "Is milk white?", PASSAGE]
    rows = [safety(2 * n, prompt=text) for n, text in enumerate(texts)]
    rows.append(safety(11, response=HELD_OUT))
    write_release(folder / "release", rows, [topic(1), topic(2, last_user_message=HELD_OUT)])
    section = {"name": "b", "path": a_file(folder, ".jsonl"), "columns": ["prompt"]}
    return benchmarks(folder / "b.toml", section)


def test_contaminated_rows_are_left_out_counted_and_named(tmp_path: Path) -> None:
    recipe = {"benchmarks": contaminated(tmp_path).name}
    parts = [{"release": "release", "task": task} for task in ("content_safety", "topic_control")]
    stated, made = mixed(write_mixture_recipe(tmp_path / "r.toml", *parts, decontaminate=recipe))
    assert len(made) == 4
    assert {(item["task"], item["reason"]): item["rows"] for item in stated["left_out"]} == {
        ("content_safety", "contaminated_exact"): 1,
        ("content_safety", "contaminated_normalised"): 1,
        ("content_safety", "contaminated_ngram"): 1,
        ("topic_control", "contaminated_exact"): 1,
    }
    (judged,) = stated["decontamination"]["benchmarks"]
    assert judged["rows_left_out"] == {"exact": 2, "normalised": 1, "ngram": 1}
    assert (judged["texts"], judged["texts_too_short_for_ngrams"], judged["path"]) == (2, 1, "rows.jsonl")
    table = pl.read_parquet(tmp_path / "mixture/left_out/content_safety.parquet")
    assert set(table["detail"]) == {"b, row 1, share 1.0"}
    assert stated["decontamination"]["rows_too_short"] == 1
    (short,) = pl.read_parquet(tmp_path / "mixture/decontamination/too_short.parquet").to_dicts()
    assert any(row["key"] == short["key"] and "Is milk white?" in row["prompt"][0]["content"] for row in made)
    assert "1 rows of the mixture have fewer than 8 words" in (tmp_path / "mixture/README.md").read_text("utf-8")


def test_rows_too_short_to_judge_can_be_left_out(tmp_path: Path) -> None:
    recipe = {"benchmarks": contaminated(tmp_path).name, "too_short": "leave_out"}
    stated, made = mixed(write_mixture_recipe(tmp_path / "r.toml", decontaminate=recipe))
    assert len(made) == 2
    assert {"task": "content_safety", "reason": "too_short_to_judge", "rows": 1} in stated["left_out"]
    assert stated["decontamination"]["rows_too_short"] == 0


def test_responses_are_compared_where_the_recipe_wants_it(tmp_path: Path) -> None:
    recipe = {"benchmarks": contaminated(tmp_path).name, "responses": True}
    _, made = mixed(write_mixture_recipe(tmp_path / "r.toml", decontaminate=recipe))
    assert len(made) == 2


def test_a_benchmark_without_a_text_is_refused(tmp_path: Path) -> None:
    contaminated(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": null}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="benchmark b has no text"):
        mixed(write_mixture_recipe(tmp_path / "r.toml", decontaminate={"benchmarks": "b.toml"}))


def test_release_and_benchmarks_come_from_the_hub_as_from_folders(tmp_path: Path, run: Run, hub: HubServer) -> None:
    contaminated(tmp_path)
    for name, folder in (("o/release", "release"), ("o/bench", "bench")):
        if folder == "bench":
            (tmp_path / folder).mkdir()
            pl.DataFrame(ROWS).write_parquet(tmp_path / folder / "test-00000-of-00001.parquet")
            (tmp_path / folder / "one.json").write_text(json.dumps(ROWS), encoding="utf-8")
        repo = hub.add_repo(name, folder=tmp_path / folder)
        repo.tags["v1"] = repo.branches["main"]
    sections = [
        {"name": "loaded", "path": "hf://datasets/o/bench", "revision": "v1", "split": "test", "columns": ["prompt"]},
        {"name": "file", "path": "hf://datasets/o/bench", "revision": "v1", "file": "one.json", "columns": ["prompt"]},
    ]
    benchmarks(tmp_path / "hub.toml", *sections)
    part = {"release": "hf://datasets/o/release@v1", "task": "content_safety"}
    recipe = write_mixture_recipe(tmp_path / "r.toml", part, decontaminate={"benchmarks": "hub.toml"})
    done = run("train", "mix", recipe, "--json", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    stated = json.loads(done.stdout)["mixture"]
    assert stated["rows"] == 3
    release = stated["parts"][0]["release"]
    assert release["commit"] == hub.repos["dataset", "o/release"].tags["v1"]
    assert list(release["files"]) == ["aegis_v2_efficient_reasoning.jsonl", "tf_efficient_reasoning.jsonl"]
    assert [b["texts"] for b in stated["decontamination"]["benchmarks"]] == [2, 2]
    assert [sum(b["rows_left_out"].values()) for b in stated["decontamination"]["benchmarks"]] == [3, 0]

    sections[0] |= {"split": "validation"}
    benchmarks(tmp_path / "hub.toml", *sections)
    done = run("train", "mix", recipe, env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "benchmark loaded: load_dataset does not give o/bench" in done.stderr
