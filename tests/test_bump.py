"""The next version of a release: what is stamped, what follows from what, and what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from safety_reasoning.builders.load_back import load_back
from safety_reasoning.cards.render import render_card
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.diff import diff
from safety_reasoning.hub.versions import Version
from safety_reasoning.hub.versions_bump import bump
from safety_reasoning.schemas.folder import validate_folder
from tests.conftest import Run, tree
from tests.hub_server.client import online
from tests.hub_server.server import HubServer
from tests.releases import CONTENT, content, make_release, topic, write_lines, write_tables

pytest_plugins = ["tests.hub_server.fixture"]

HEAD = """\
# Changelog

The form is that of [Keep a Changelog](https://keepachangelog.com). A change of schema makes a major version, one of
records a minor version, one of anything else a patch.
"""
FIRST = """
## [1.0.0] - 2026-11-21

### Added

- 2 records of `content_safety`.
- 1 record of `topic_control`.
"""
SECOND = """
## [1.1.0] - 2026-11-22

### Added

- 1 record of `content_safety`, which had 2 and now has 3.

### Changed

- 1 record of `content_safety`, which had 2 and now has 3: `prompt_label` in 1, `prompt_harm_label` in 1.
- The column `prompt_label` of `content_safety` became `unsafe` in 1 record where it was `safe`.
- The column `prompt_harm_label` of `content_safety` became `harmful` in 1 record where it was `unharmful`.
"""
THIRD = """
## [2.0.0]

### Added

- The column `efficient_safety_reasoning_trace_b` of `content_safety`.
- The column `prediction_gt_mismatch_b` of `content_safety`.
- The column `safety_reasoning_b` of `content_safety`.

### Changed

- The full traces of `b` in `content_safety`, 0 before and 3 now.
- The efficient traces of `b` in `content_safety`, 0 before and 3 now.

### Removed

- The config `topic_control`, with 1 record.
"""
FLIPPED = {"prompt_label": "unsafe", "prompt_harm_label": "harmful"}
STAMPS = ("README.md", "CHANGELOG.md", "croissant.json", "manifest.json")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three releases that were built and not stamped, in folders 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("plain")
    make_release(folder / "1", [content(1), content(2)], [topic(1)], version="1.0.0")
    make_release(folder / "2", [content(1), content(2, **FLIPPED), content(3)], [topic(1)])
    make_release(folder / "3", [content(1, "a", "b"), content(2, "a", "b", **FLIPPED), content(3, "a", "b")])
    return folder


@pytest.fixture
def releases(plain: Path, tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(plain / number / "release", tmp_path / number)) for number in "123"]


def text(release: Path, name: str = "CHANGELOG.md") -> str:
    return (release / name).read_text(encoding="utf-8")


def manifest(release: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text(release, "manifest.json"))
    return loaded


def test_versions_follow_each_other_and_the_changelog_keeps_them_all(releases: list[Path]) -> None:
    one, two, three = releases
    assert bump(one, "none", date="2026-11-21").version == Version(1, 0, 0)
    assert bump(two, str(one), date="2026-11-22").version == Version(1, 1, 0)
    assert bump(three, str(two)).version == Version(2, 0, 0)
    assert text(one) == HEAD + FIRST
    assert text(two) == HEAD + SECOND + FIRST
    assert text(three) == HEAD + THIRD + SECOND + FIRST
    for release, version in zip(releases, ("1.0.0", "1.1.0", "2.0.0"), strict=True):
        assert validate_folder(release).total == 0
        assert manifest(release)["version"] == version
        assert {*STAMPS} - {"manifest.json"} <= manifest(release)["files"].keys()
        card = DatasetCard.load(release / "README.md")
        assert card.data.get("version") == version
        assert f"version {version}: labelled inputs" in card.text
        assert load_back(release, manifest(release)) == {
            n: c["records"] for n, c in manifest(release)["configs"].items()
        }


def test_the_card_tells_of_its_own_version_alone(releases: list[Path]) -> None:
    one, two, _ = releases
    bump(one, "none")
    bump(two, str(one))
    section = text(two, "README.md").split("\n## Changelog\n")[1].split("\n## ")[0]
    assert " ".join(section.split("\n### ")[0].split()) == (
        "Version 1.1.0, after 1.0.0; every version is in `CHANGELOG.md` and has a tag, `v1.1.0` this one:"
    )
    assert [line for line in section.splitlines() if line.startswith("- ")] == re.findall(r"(?m)^- .*$", SECOND)


def test_the_data_are_untouched(releases: list[Path]) -> None:
    one, two, _ = releases
    before = tree(two)
    bump(two, str(one))
    after = tree(two)
    assert {name: data for name, data in before.items() if name not in STAMPS} == {
        name: data for name, data in after.items() if name not in STAMPS
    }
    assert [p.name for p in two.parent.iterdir() if p.name.startswith(".")] == []


def test_again_is_the_same_and_no_day_is_told_unless_it_is_given(releases: list[Path], tmp_path: Path) -> None:
    one, two, _ = releases
    bump(one, "none")
    copy = Path(shutil.copytree(two, tmp_path / "copy"))
    bump(two, str(one))
    first = tree(two)
    bump(two, str(one))
    assert tree(two) == first
    bump(copy, str(one))
    assert tree(copy) == first
    assert not re.search(rb"20\d\d-\d\d-\d\d", b"".join(first[name] for name in STAMPS))
    bump(two, str(one), date="2026-11-22")
    assert b'"datePublished": "2026-11-22"' in tree(two)["croissant.json"]
    assert "## [1.1.0] - 2026-11-22" in text(two)


def test_a_release_in_which_nothing_changed_becomes_the_old_one_again(releases: list[Path], tmp_path: Path) -> None:
    one, two, _ = releases
    rebuilt = Path(shutil.copytree(two, tmp_path / "rebuilt"))
    bump(one, "none", date="2026-11-21")
    bump(two, str(one), date="2026-11-22")
    done = bump(rebuilt, str(two))
    assert (done.version, done.diff and done.diff.nothing_changed) == (Version(1, 1, 0), True)
    assert tree(rebuilt) == tree(two)
    assert diff(str(rebuilt), str(two)).nothing_changed


def test_a_release_in_which_nothing_changed_since_one_that_was_never_stamped_stays_as_it_is(
    releases: list[Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(releases[0], tmp_path / "copy"))
    assert bump(copy, str(releases[0])).version == Version(1, 0, 0)
    assert tree(copy) == tree(releases[0])


def test_a_card_alone_makes_a_patch(tmp_path: Path) -> None:
    old = make_release(tmp_path / "old", [content(1)])
    new = make_release(tmp_path / "new", [content(1)], name="Another name")
    assert bump(new, str(old)).version == Version(0, 1, 1)
    assert text(new).splitlines()[5:] == [
        *("## [0.1.1]", "", "### Changed", ""),
        "- `README.md`, `manifest.json: name`; the records are the same, 1 of `content_safety`.",
    ]


def test_a_version_may_be_chosen_if_it_is_high_enough(releases: list[Path]) -> None:
    one, two, three = releases
    assert bump(one, "none", chosen="0.9.0").version == Version(0, 9, 0)
    assert bump(two, str(one), chosen="4.0.0").version == Version(4, 0, 0)
    assert bump(three, str(two)).version == Version(5, 0, 0)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("1.0.1", "1.0.1 is too low\nwhy: rows changed since 1.0.0, which makes it a minor version"),
        ("1.0.0", "1.0.0 is too low"),
        ("0.9.9", "0.9.9 is too low"),
        ("v1.2.0", "is no version"),
        ("1.2", "is no version"),
        ("01.2.0", "is no version"),
        ("1.2.0-rc1", "is no version"),
        ("9999999999.0.0", "is no version"),
    ],
)
def test_a_version_that_cannot_be_is_refused_and_nothing_is_written(
    releases: list[Path], chosen: str, said: str
) -> None:
    one, two, _ = releases
    before = tree(two)
    with pytest.raises(UsageError, match=re.escape(said)):
        bump(two, str(one), chosen=chosen)
    assert tree(two) == before


def test_a_version_in_the_old_changelog_exists(releases: list[Path]) -> None:
    one, two, three = releases
    bump(one, "none")
    bump(two, str(one), chosen="7.0.0")
    older = manifest(two)
    older["version"] = "1.1.0"
    (two / "manifest.json").write_text(json.dumps(older), encoding="utf-8")
    with pytest.raises(UsageError, match=r"version 2\.0\.0 is not free: 7\.0\.0 exists"):
        bump(three, str(two))
    assert bump(three, str(two), chosen="7.0.1").version == Version(7, 0, 1)


def test_versions_that_are_tagged_on_the_hub_exist(
    hub: HubServer, releases: list[Path], tmp_path: Path, run: Run
) -> None:
    one, two, three = releases
    bump(one, "none")
    repo = hub.add_repo("o/n", folder=one)
    head = repo.branches["main"]
    repo.tags |= {"v1.0.0": head, "v1.1.0": head, "v1.0": head, "latest": head, "v9.0.0-rc1": head}
    environment = online(hub, tmp_path / "hf")
    done = run("bump", two, "o/n", env=environment)
    assert done.returncode == 2
    assert "version 1.1.0 is not free: 1.1.0 exists" in done.stderr
    assert "the tag of one that exists is never moved" in done.stderr
    done = run("bump", two, "o/n", "--set", "1.2.0", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["version"], told["since"], told["diff"]["level"]) == ("1.2.0", "1.0.0", "minor")
    assert text(two).count("\n## [") == 2
    done = run("bump", three, "o/n@v1.0.0", "--date", "2026-11-23", env=environment)
    assert done.stdout == f"{three}: version 2.0.0, after 1.0.0 (major, since the schema changed)\n"
    assert repo.tags["v1.1.0"] == head
    assert not [request for request in hub.requests if request.method not in {"GET", "HEAD"}]


def test_after_a_data_set_without_a_version_the_release_keeps_its_own(releases: list[Path], tmp_path: Path) -> None:
    old = write_lines(tmp_path / "old", {CONTENT: [content(1)]})
    assert bump(releases[0], str(old)).version == Version(1, 0, 0)
    assert "- 1 record of `content_safety`, which had 1 and now has 2." in text(releases[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none", "--date", "21.11.2026"], "is no date"),
        (["nothing/at all"], "no folder"),
        (["none", "--set", "1"], "is no version"),
    ],
    ids=["date", "old side", "version"],
)
def test_arguments_that_cannot_be_used_are_errors(
    releases: list[Path], run: Run, arguments: list[str], said: str
) -> None:
    done = run("bump", releases[0], *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def edited_card(release: Path) -> None:
    (release / "README.md").write_text("by hand", encoding="utf-8")


def lost_file(release: Path) -> None:
    next((release / "left_out").iterdir()).unlink()


def no_manifest(release: Path) -> None:
    (release / "manifest.json").unlink()


def no_folder(release: Path) -> None:
    shutil.rmtree(release)


@pytest.mark.parametrize("damage", [edited_card, lost_file, no_manifest, no_folder])
def test_what_is_no_whole_release_is_refused_and_left_alone(
    releases: list[Path], damage: Callable[[Path], None]
) -> None:
    damage(releases[0])
    before = tree(releases[0])
    with pytest.raises(UsageError, match=r"is not as the manifest says|is no release"):
        bump(releases[0], "none")
    assert tree(releases[0]) == before


def without_fields(stated: dict[str, Any]) -> None:
    del stated["regenerate"], stated["left_out"]


def without_counts(stated: dict[str, Any]) -> None:
    del stated["configs"]["content_safety"]["records"]


def without_configs(stated: dict[str, Any]) -> None:
    stated["configs"] = {}


def with_teachers_of_another_name(stated: dict[str, Any]) -> None:
    stated["configs"]["content_safety"]["teachers"] = ["../x"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_fields, "lacks what its card says"),
        (with_teachers_of_another_name, "lacks what its card says"),
        (without_counts, "is no release"),
        (without_configs, "is no release"),
    ],
)
def test_a_manifest_that_lacks_what_the_card_says_is_an_error(
    releases: list[Path], spoil: Callable[[dict[str, Any]], None], said: str
) -> None:
    stated = manifest(releases[0])
    spoil(stated)
    (releases[0] / "manifest.json").write_text(json.dumps(stated), encoding="utf-8")
    before = tree(releases[0])
    with pytest.raises(UsageError, match=said):
        bump(releases[0], "none")
    assert tree(releases[0]) == before


def test_a_link_to_a_release_stays_one_and_hidden_files_stay_where_they_are(
    releases: list[Path], tmp_path: Path
) -> None:
    (releases[0] / ".gitattributes").write_text("* text\n", encoding="utf-8")
    link = tmp_path / "link"
    link.symlink_to(releases[0].name)
    bump(link, "none", chosen="1.2.3")
    assert link.is_symlink()
    assert manifest(releases[0])["version"] == "1.2.3"
    assert (releases[0] / ".gitattributes").is_file()


def test_a_foreign_name_of_a_column_does_nothing_in_card_and_changelog(releases: list[Path], tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>|`x` [l](https://example.com)\n## [9.9.9]\n\x1b[31m"
    old = write_lines(tmp_path / "old", {CONTENT: [content(1, **{hostile: "x"})]})
    bump(releases[0], str(old))
    for name in ("README.md", "CHANGELOG.md"):
        (line,) = [line for line in text(releases[0], name).splitlines() if "script" in line]
        assert re.fullmatch(r"- The column ``<script>[^`]*`x`[^`]*`` of `content_safety`\.", line)
        assert "\x1b" not in line
    assert validate_folder(releases[0]).total == 0
    assert bump(releases[0], str(old)).version == Version(1, 0, 0)


@pytest.mark.parametrize(
    "note",
    [
        "<script>alert(1)</script>",
        "[l](javascript:alert(1)) ![i](x) **b** | p",
        "`` open ` code",
        "line\n## Head\n<b>",
        "\\`x`<b>",
    ],
)
def test_notes_in_a_manifest_are_text_but_for_their_code_spans(releases: list[Path], note: str) -> None:
    changes = {"since": None, "notes": {"Added": [f"{note} in `code`."]}}
    card = render_card(manifest(releases[0]) | {"changes": changes})
    section = card.split("\n## Changelog\n")[1].split("\n## Limits\n")[0]
    tokens = MarkdownIt("commonmark").enable("table").parse(section)
    assert not [token for token in tokens if token.type == "html_block"]
    assert [token.content for token in tokens if token.type == "inline" and token.level == 1] == [
        section.split("\n\n")[0].strip(),
        "Added",
    ]
    shown = {child.type for token in tokens for child in token.children or []}
    assert shown <= {"text", "code_inline", "softbreak"}


def test_tables_without_a_manifest_can_be_the_old_side(releases: list[Path], tmp_path: Path) -> None:
    old = write_tables(tmp_path / "old", {CONTENT: [content(1), content(2)]})
    done = bump(releases[0], str(old), chosen="3.0.0")
    assert (done.version, done.since) == (Version(3, 0, 0), None)
