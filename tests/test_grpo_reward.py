"""The reward as TRL asks for it: the one of the verl export, roll-out by roll-out."""

from typing import Any

import pytest

from safety_reasoning.train.grpo import weights
from safety_reasoning.train.preference_recipe import GrpoRecipe
from safety_reasoning.train.reward import compute_score
from safety_reasoning.train.reward_grpo import COUNTED, reward_function, score
from tests.mining import safety_answer

PLAIN = weights(GrpoRecipe(out="x"))
TRACE = "<think>\nIt is so.\n</think>\n\n"


def harm(prompt: str, response: str | None = None) -> dict[str, str | None]:
    return {"prompt_harm": prompt, "response_harm": response, "topic": None}


def rewards(rolled: list[tuple[str, dict[str, str | None], str]], **settings: float) -> list[float | None]:
    """Rewards of (text, labels, mode)."""
    columns: dict[str, Any] = {name: [labels[name] for _, labels, _ in rolled] for name in harm("harmful")}
    said = [[{"role": "assistant", "content": text}] for text, _, _ in rolled]
    return reward_function(PLAIN | settings)(completions=said, mode=[mode for _, _, mode in rolled], **columns)


@pytest.mark.parametrize(
    ("text", "labels", "mode", "worth"),
    [
        pytest.param(TRACE + safety_answer("harmful"), harm("harmful"), "reasoning", 1.2, id="right, in form"),
        pytest.param(safety_answer("harmful"), harm("harmful"), "reasoning", 1.0, id="right, no trace"),
        pytest.param(safety_answer("harmful"), harm("harmful"), "non_reasoning", 1.2, id="right, no trace wanted"),
        pytest.param(TRACE + safety_answer("unharmful"), harm("harmful"), "reasoning", -1.8, id="missed harm"),
        pytest.param(TRACE + safety_answer("harmful"), harm("unharmful"), "reasoning", -0.8, id="false alarm"),
        pytest.param("I cannot say.", harm("unharmful"), "reasoning", -2.0, id="no verdict"),
        pytest.param(TRACE[:-12] + safety_answer("harmful"), harm("harmful"), "reasoning", -2.0, id="open think"),
        pytest.param(
            TRACE + safety_answer("harmful", "unharmful"),
            harm("harmful", "harmful"),
            "reasoning",
            -0.3,
            id="half right",
        ),
        pytest.param(
            "off-topic", {"prompt_harm": None, "response_harm": None, "topic": "off-topic"}, "non_reasoning", 1.2
        ),
    ],
)
def test_a_roll_out_is_worth_what_its_verdict_is(
    text: str, labels: dict[str, str | None], mode: str, worth: float
) -> None:
    assert rewards([(text, labels, mode)]) == [pytest.approx(worth)]


def test_a_recipe_without_numbers_has_those_of_the_export() -> None:
    text, gold = TRACE + safety_answer("unharmful", "harmful"), '{"prompt_harm": "harmful", "response_harm": "harmful"}'
    assert score(text, harm("harmful", "harmful"), "reasoning", PLAIN) == compute_score(
        "", text, gold, {"mode": "reasoning"}
    )


def test_prompt_and_response_have_weights_of_their_own() -> None:
    half = (TRACE + safety_answer("harmful", "unharmful"), harm("harmful", "harmful"), "reasoning")
    assert rewards([half], prompt_weight=3.0, format_weight=0.0) == [pytest.approx((3 * 1 - 2) / 4)]
    assert rewards([half], prompt_weight=0.0, format_weight=0.0) == [-2.0]


def test_each_roll_out_is_held_to_its_own_row() -> None:
    text = TRACE + safety_answer("harmful")
    assert rewards([(text, harm("harmful"), "reasoning"), (text, harm("unharmful"), "reasoning")]) == [
        pytest.approx(1.2),
        pytest.approx(-0.8),
    ]


def test_what_the_rewards_are_made_of_is_logged_as_shares() -> None:
    logged: dict[str, float] = {}
    texts = [TRACE + safety_answer("harmful"), TRACE + safety_answer("unharmful"), "?", safety_answer("harmful")]
    reward_function(PLAIN)(
        completions=[[{"role": "assistant", "content": text}] for text in texts],
        prompt_harm=["harmful"] * 4,
        response_harm=[None] * 4,
        topic=[None] * 4,
        mode=["reasoning"] * 4,
        log_metric=logged.__setitem__,
    )
    assert logged == dict(zip(COUNTED, (0.5, 0.25, 0.0, 0.25, 0.5), strict=True))


@pytest.mark.parametrize("text", ["", "{0}{{ x }}", "\x00\ud800", "<think>" * 1000, "Prompt harm: " * 1000, "‮"])
def test_whatever_a_guard_writes_has_a_reward(text: str) -> None:
    assert rewards([(text, harm("harmful", "harmful"), "reasoning")]) == [-2.0]
