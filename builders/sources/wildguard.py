"""WildGuardMix: prompts and responses labelled for harm, responses for refusal.

Source: https://huggingface.co/datasets/allenai/wildguardmix (ODC-BY, gated): one Parquet file a split, rows
such as

    {"prompt": "…", "adversarial": true, "response": "…", "prompt_harm_label": "harmful",
     "response_refusal_label": "refusal", "response_harm_label": "unharmful", "subcategory": "cyberattack"}

Any label can be null. A row without a prompt label cannot be held against a verdict and is left out.
"""

from collections.abc import Mapping
from typing import cast

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.samples import (
    SAFETY_OF_HARM,
    ContentSafetySample,
    Harm,
    Refusal,
    content_safety_key,
    digest,
)
from safety_reasoning.builders.sources import fields

FILES: Mapping[str, tuple[str, ...]] = {
    "train": ("train/wildguard_train.parquet",),
    "test": ("test/wildguard_test.parquet",),
}
COLUMNS = (
    "prompt",
    "adversarial",
    "response",
    "prompt_harm_label",
    "response_refusal_label",
    "response_harm_label",
    "subcategory",
)
KNOWN_COLUMNS = (*COLUMNS, "prompt_harm_agreement", "response_refusal_agreement", "response_harm_agreement")
"""With those that only the test split has."""
_REFUSALS = ("refusal", "compliance")


def to_sample(value: object) -> ContentSafetySample:
    """The sample of one row. WildGuardMix has no ids: the published id is the hash of prompt and response.

    Raises: BadRow with the reason why the row cannot be used.
    """
    row = fields.as_row(value, COLUMNS)
    prompt = fields.text(row, "prompt")
    response = fields.optional_text(row, "response")
    prompt_harm = fields.optional_choice(row, "prompt_harm_label", SAFETY_OF_HARM)
    response_harm = fields.optional_choice(row, "response_harm_label", SAFETY_OF_HARM)
    refusal = fields.optional_choice(row, "response_refusal_label", _REFUSALS)
    if prompt_harm is None:
        raise BadRow(Reason.NO_PROMPT_LABEL, "prompt_harm_label", "it is null")
    if response is None and response_harm is not None:
        raise BadRow(Reason.LABEL_WITHOUT_RESPONSE, "response_harm_label", "the response is null")
    harmful = "harmful" in (prompt_harm, response_harm)
    sample_id = digest(["wildguardmix", prompt, response])
    return ContentSafetySample(
        key=content_safety_key(sample_id, prompt, response),
        prompt=prompt,
        response=response,
        prompt_harm=cast(Harm, prompt_harm),
        response_harm=cast(Harm | None, response_harm),
        refusal=cast(Refusal | None, refusal),
        taxonomy="wildguard",
        published={
            "id": sample_id,
            "reconstruction_id_if_redacted": None,
            "prompt": prompt,
            "response": response,
            "prompt_label": SAFETY_OF_HARM[cast(Harm, prompt_harm)],
            "response_label": None if response_harm is None else SAFETY_OF_HARM[cast(Harm, response_harm)],
            "prompt_label_source": None,
            "response_label_source": None,
            "violated_categories": (fields.optional_text(row, "subcategory") or "") if harmful else "",
        },
    )
