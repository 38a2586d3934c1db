"""Any instruct model, asked with H.3: the baselines of the paper's Tables 1 and 9, and teachers judged as guards."""

from safety_reasoning.eval.guards.h3 import H3Guard, Mode, Taxonomy


def instruct(*, reasoning: Mode = "on", taxonomy: Taxonomy = "aegis", enable_thinking: bool | None = None) -> H3Guard:
    """An instruct model.

    `enable_thinking` is handed to its chat template, for models of two modes (Qwen3); None: nothing is. Without
    reasoning the prompt does not ask for thinking (prompts classify_safety_no_reasoning, classify_topic_no_reasoning).
    """
    kwargs = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    return H3Guard(name="instruct", mode=reasoning, taxonomy=taxonomy, template_kwargs=kwargs)
