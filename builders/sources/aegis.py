"""Aegis 2.0, the Nemotron Content Safety Dataset V2: prompts and responses labelled safe or unsafe.

Source: https://huggingface.co/datasets/nvidia/Aegis-AI-Content-Safety-Dataset-2.0 (CC-BY-4.0).
Each file is one JSON array of rows such as

    {"id": "9f…", "reconstruction_id_if_redacted": null, "prompt": "Which knife …?", "response": null,
     "prompt_label": "safe", "response_label": null, "violated_categories": "",
     "prompt_label_source": "human", "response_label_source": null}
"""

from collections.abc import Mapping
from pathlib import Path

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.samples import HARM_OF_SAFETY, ContentSafetySample, content_safety_key
from safety_reasoning.builders.sources import fields
from safety_reasoning.errors import UsageError

FILES: Mapping[str, tuple[str, ...]] = {
    "train": ("train.json", "refusals_train.json"),
    "validation": ("validation.json", "refusals_validation.json"),
    "test": ("test.json",),
}
COLUMNS = (
    "id",
    "reconstruction_id_if_redacted",
    "prompt",
    "response",
    "prompt_label",
    "response_label",
    "prompt_label_source",
    "response_label_source",
    "violated_categories",
)
"""In the card's order, which is not the order of the source files."""
RESPONSE_LABEL_SOURCES = ("human", "llm_jury", "refusal_data_augmentation")
REDACTED = "REDACTED"
RECONSTRUCTION_FILE = "Suicide_Detection.csv"


def to_sample(value: object, reconstructions: Mapping[int, str] | None) -> ContentSafetySample:
    """The sample of one row; `reconstructions` gives the text of redacted prompts by their id.

    None leaves REDACTED prompts as they are, for rows that no teacher will be asked about.


    Raises: BadRow with the reason why the row cannot be used.
    """
    row = fields.as_row(value, COLUMNS)
    prompt = fields.text(row, "prompt")
    response = fields.optional_text(row, "response")
    prompt_label = fields.choice(row, "prompt_label", HARM_OF_SAFETY)
    response_label = fields.optional_choice(row, "response_label", HARM_OF_SAFETY)
    reconstruction_id = fields.optional_whole_number(row, "reconstruction_id_if_redacted")
    if response is None and response_label is not None:
        raise BadRow(Reason.LABEL_WITHOUT_RESPONSE, "response_label", "the response is null")
    sample_id = fields.text(row, "id")
    return ContentSafetySample(
        key=content_safety_key(sample_id, prompt, response),
        prompt=_reconstructed(prompt, reconstruction_id, reconstructions),
        response=response,
        prompt_harm=HARM_OF_SAFETY[prompt_label],
        response_harm=None if response_label is None else HARM_OF_SAFETY[response_label],
        refusal=None,
        taxonomy="aegis",
        published={
            "id": sample_id,
            "reconstruction_id_if_redacted": reconstruction_id,
            "prompt": prompt,
            "response": response,
            "prompt_label": prompt_label,
            "response_label": response_label,
            "prompt_label_source": fields.optional_choice(row, "prompt_label_source", ("human",)),
            "response_label_source": fields.optional_choice(row, "response_label_source", RESPONSE_LABEL_SOURCES),
            "violated_categories": fields.text(row, "violated_categories"),
        },
    )


def _reconstructed(prompt: str, reconstruction_id: int | None, reconstructions: Mapping[int, str] | None) -> str:
    if prompt != REDACTED or reconstructions is None:
        return prompt
    if reconstruction_id is None or reconstruction_id not in reconstructions:
        where = "it has no reconstruction id" if reconstruction_id is None else f"id {reconstruction_id}"
        raise BadRow(Reason.REDACTED, "prompt", f"no reconstruction: {where}")
    return reconstructions[reconstruction_id]


def load_reconstructions(folder: Path | None) -> dict[int, str]:
    """Texts of the Suicide Detection data by row id, from the CSV that the user downloaded; {} without it.

    The first column of that CSV, whose header is empty, is the id that Aegis 2.0 refers to.
    Raises: UsageError if the folder has no such file or the file has other columns.
    """
    if folder is None:
        return {}
    path = folder / RECONSTRUCTION_FILE
    if not path.is_file():
        raise UsageError(
            f"{path} does not exist",
            why="the recipe's `suicide_detection` names this folder for the REDACTED rows",
            fix=f"download the Suicide Detection data and put {RECONSTRUCTION_FILE} there",
        )
    import polars as pl  # 20 MB that a run over JSON does without

    try:
        frame = pl.read_csv(path, infer_schema=False, glob=False)
        ids, texts = frame.to_series(0).cast(pl.Int64), frame.get_column("text")
    except pl.exceptions.PolarsError as error:
        raise UsageError(
            f"{path} is not the Suicide Detection file",
            why=str(error).splitlines()[0],
            fix="expected the columns '' (a number), 'text' and 'class'",
        ) from error
    return {i: t for i, t in zip(ids, texts, strict=True) if i is not None and t is not None}
