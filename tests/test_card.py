"""The dataset card: what the Hub reads of it, what a person does, and that names from the data stay text."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from safety_reasoning.cards.render import render_card
from tests.conftest import (
    LiveTeacher,
    aegis_row,
    build_here,
    dialogue,
    json_lines,
    openai_teacher,
    write_aegis,
    write_dialogues,
    write_recipe,
)

MARKUP = {
    "pipe": "a|b",
    "script": "<script>alert(1)</script>",
    "newline": "first\nsecond | third\n\n# head",
    "backtick": "`code` ``",
    "link": "[x](javascript:alert(1)) ![y](z)",
    "backslash": "\\| \\` a\\",
    "emphasis": "*bold* **very**",
    "entity": "&lt;b&gt; &amp; &#124;",
    "jinja": "{{ 7*7 }}{% raw %}",
    "heading": "# head",
    "table": "| --- | --- |",
}


def cells(card: str) -> set[str]:
    """The text that a reader sees in the tables, headings and paragraphs of a card; fails on any HTML in it."""
    body = card.split("\n---\n", 1)[1]
    seen = set()
    for token in MarkdownIt("commonmark").enable("table").parse(body):
        assert token.type != "html_block", token.content
        if token.type == "inline":
            assert not {child.type for child in token.children or []} & {"html_inline", "link_open", "image"} or (
                "huggingface.co" in token.content
            ), token.content
            seen.add("".join(child.content for child in token.children or []))
    return seen


@pytest.mark.parametrize("text", MARKUP.values(), ids=MARKUP.keys())
def test_whatever_a_name_holds_it_stays_text_in_the_card(made: tuple[Path, dict[str, Any]], text: str) -> None:
    manifest: dict[str, Any] = json.loads(json.dumps(made[1]))
    manifest["name"] = text
    manifest["configs"]["content_safety"]["statistics"]["violated_categories"] = {text: 4711}
    manifest["configs"]["topic_control"]["statistics"]["domain"] = {text: 4712}
    manifest["teachers"][0]["model"] = text
    manifest["sources"][0]["origin"] = text
    card = render_card(manifest)
    one_line = " ".join(text.split())
    assert one_line in cells(card)
    assert {"4711", "4712"} <= cells(card)
    assert DatasetCard(card).data.get("pretty_name") == text


def test_categories_and_domains_of_the_sources_reach_the_card(tmp_path: Path, live: LiveTeacher) -> None:
    domain, category = "bank|<b>ing", "Vio`lence|<script>"
    path = write_recipe(
        tmp_path / "recipe.toml",
        sources=[
            {"kind": "aegis", "path": write_aegis(tmp_path / "aegis", [aegis_row(violated_categories=category)])},
            {"kind": "canttalkaboutthis", "path": write_dialogues(tmp_path / "topics", [dialogue(domain=domain)])},
        ],
        teachers=[openai_teacher("a", live.url)],
    )
    build_here(path)
    assert {domain, category} <= cells((tmp_path / "release" / "README.md").read_text(encoding="utf-8"))


def test_the_cards_metadata_are_what_the_hub_reads(release: Path) -> None:
    data = DatasetCard.load(release / "README.md").data.to_dict()
    assert (data["pretty_name"], data["license"], data["language"]) == ("Test", "cc-by-4.0", ["en"])
    assert data["size_categories"] == ["n<1K"]
    configs = {config["config_name"]: config for config in data["configs"]}
    assert list(configs) == ["content_safety", "topic_control"]
    assert [configs[name].get("default") for name in configs] == [True, None]
    infos = {info["config_name"]: info for info in data["dataset_info"]}
    assert infos["content_safety"]["splits"][0]["num_examples"] == 5
    assert [field["name"] for field in infos["topic_control"]["features"]][:4] == [
        "system_instruction",
        "conversation_history",
        "last_user_message",
        "gt_topic_classification",
    ]


def test_a_card_for_the_embedded_teacher_warns(made: tuple[Path, dict[str, Any]]) -> None:
    manifest: dict[str, Any] = json.loads(json.dumps(made[1]))
    warning = "must not be used to"
    assert warning not in render_card(manifest)
    manifest["teachers"][1]["engine"] = "embedded"
    card = render_card(manifest)
    assert warning in card
    assert "`b` is the embedded teacher" in card


@pytest.mark.parametrize(
    ("release_options", "sentence"),
    [
        ({"verdict": "with_trace"}, "by a teacher that was told the label"),
        ({"verdict": "blind"}, "does not tell the teacher the label (blind)"),
    ],
)
def test_the_card_says_how_the_verdict_was_got(
    made: tuple[Path, dict[str, Any]], release_options: dict[str, str], sentence: str
) -> None:
    assert sentence in render_card(made[1] | release_options)


def test_statistics_are_counts_of_the_records(made: tuple[Path, dict[str, Any]]) -> None:
    release, manifest = made
    statistics = manifest["configs"]["content_safety"]["statistics"]
    found = json_lines(release / "aegis_v2_efficient_reasoning.jsonl")
    assert statistics["prompt_harm_label"] == {"unharmful": 4, "harmful": 1}
    assert statistics["response_harm_label"] == {"none": 3, "harmful": 1, "unharmful": 1}
    assert statistics["violated_categories"] == {"Threat": 1, "Violence": 1}
    words = sorted(len(row["safety_reasoning_a"].split()) for row in found)
    told = statistics["teachers"]["a"]["full_words"]
    assert (told["traces"], told["max"], told["median"]) == (5, words[-1], words[2])
    assert statistics["teachers"]["a"]["agrees_with_gold"] == 1.0
    assert statistics["agreement"] == [{"teachers": ["a", "b"], "verdicts": 5, "same": 1.0}]
