"""The prompts of the rails: those that the guard is evaluated with, with the variables that NeMo Guardrails fills.

Its templates are Jinja, rendered once with the user's text as a value. What is fixed here, a taxonomy or an
instruction, becomes part of the template, so its braces are escaped: it is text, whatever it holds.
"""

from dataclasses import dataclass, replace

from safety_reasoning.builders.prompts import Prompt, load_prompt, render
from safety_reasoning.deploy.guard import DeployedGuard
from safety_reasoning.eval.guards.questions import guard_prompt_file
from safety_reasoning.train.conversations import Mark

USER, BOT = "{{ user_input }}", "{{ bot_response }}"
"""Names that the content-safety actions fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RailPrompts:
    """The templates of the rails."""

    input: str
    output: str
    topic: str | None
    """The system message of the topic rail, which appends the answer's format to it and the dialogue after it."""
    files: dict[str, str]
    """sha256 of each prompt file that was used, by name."""


def rail_prompts(guard: DeployedGuard, *, reasoning: bool, policy: str | None, instruction: str | None) -> RailPrompts:
    """The templates for a guard; `policy` stands in place of the taxonomy, no `instruction` means no topic rail."""
    suffix = "_no_reasoning" if guard.mode == "non_reasoning" else ""  # in two modes both have one prompt
    taxonomy = load_prompt("taxonomy_aegis")
    safety = load_prompt(f"classify_safety{suffix}") if guard.prompt is None else guard_prompt_file(guard.prompt)
    topic = load_prompt(f"classify_topic{suffix}")
    used: list[Prompt] = [safety, *([] if policy is not None else [taxonomy]), *([topic] if instruction else [])]

    def ask(response: str) -> str:
        rules = literal(taxonomy.body if policy is None else policy)
        variables = {"taxonomy": rules, "prompt": USER, "response": response}
        if guard.prompt is not None and guard.mark is not None:
            mode = guard.mark.on if reasoning else guard.mark.off
            return render(_literal_body(safety), variables | {"mode": literal(mode)})
        return _marked(guard.mark, render(_literal_body(safety), variables), reasoning=reasoning)

    return RailPrompts(
        input=ask("None"),
        output=ask(BOT),
        topic=None if instruction is None else _topic(topic, instruction),
        files={prompt.name: prompt.sha256 for prompt in used},
    )


def _topic(prompt: Prompt, instruction: str) -> str:
    """The rail sends the dialogue as messages of their own, so the prompt points at them."""
    return render(
        _literal_body(prompt),
        {
            "system_instruction": literal(instruction),
            "conversation_history": "The messages that follow this one, except the last.",
            "last_user_message": "The last of the messages that follow this one.",
        },
    )


def _marked(mark: Mark | None, text: str, *, reasoning: bool) -> str:
    """The text with the mark of the mode; the guard's chat template puts none to a text that has one."""
    if mark is None:
        return text
    plain = replace(mark, on=literal(mark.on), off=literal(mark.off))
    return plain.put(text, "reasoning" if reasoning else "non_reasoning")


def literal(text: str) -> str:
    """The text as a template that renders to it: without an opening brace nothing is Jinja."""
    return text.replace("{", '{{ "{" }}')


def _literal_body(prompt: Prompt) -> Prompt:
    """The prompt with its fixed text escaped; its variables are filled with templates."""
    pieces = tuple(piece if n % 2 else literal(piece) for n, piece in enumerate(prompt.pieces))
    return replace(prompt, pieces=pieces)
