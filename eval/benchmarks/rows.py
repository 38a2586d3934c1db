"""One row of a benchmark as an item, or why it is none."""

from collections.abc import Iterable
from dataclasses import dataclass

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.sources import fields
from safety_reasoning.builders.sources.aegis import REDACTED
from safety_reasoning.builders.sources.fields import Row
from safety_reasoning.eval.benchmarks.declaration import Declaration, Preset
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.benchmarks.rules import RULES, written
from safety_reasoning.eval.benchmarks.task import Unused


@dataclass(frozen=True, slots=True)
class Taken:
    """What one row gave."""

    items: tuple[Item, ...] = ()
    left_out: tuple[str, ...] = ()
    """A code for each row, or turn, that is no item."""
    bad: BadRow | None = None
    """What is wrong with a row that cannot be read."""


def take_row(name: str, value: object, declared: Declaration, preset: Preset) -> Taken:
    """The item of a row under a preset."""
    try:
        row = fields.as_row(value)
        unused = _refused(row, declared, preset)
        return Taken(left_out=(unused,)) if unused else _labelled(name, row, declared, preset)
    except BadRow as bad:
        return Taken(left_out=(bad.reason,), bad=bad)


def _refused(row: Row, declared: Declaration, preset: Preset) -> Unused | None:
    wanted = {**declared.where, **preset.where}
    other = any(written(row.get(column)) != written(value) for column, value in wanted.items())
    return Unused.OTHER_PART if other else None


def _labelled(name: str, row: Row, declared: Declaration, preset: Preset) -> Taken:
    positive = RULES[declared.label.rule](row, declared.label)
    if positive is None and preset.null_label == "left out":
        return Taken(left_out=(Unused.NO_LABEL,))
    prompt = fields.text(row, _column(row, preset.prompt or declared.columns.prompt))
    if prompt == REDACTED and preset.redacted == "left out":
        return Taken(left_out=(Unused.REDACTED,))
    response = _response(row, declared)
    if response is not None and not response.strip() and preset.empty_response == "left out":
        return Taken(left_out=(Unused.EMPTY_RESPONSE,))
    item = Item(
        task=name,
        subject=declared.subject,
        prompt=prompt,
        response=response,
        policy=_policy(row, declared),
        positive=bool(positive),
        category=_category(row, declared),
        domain=_domain(row, declared),
    )
    return Taken(items=(item,))


def _column(row: Row, names: tuple[str, ...]) -> str:
    """The first of the names that the row has."""
    return next((name for name in names if name in row), names[0])


def _response(row: Row, declared: Declaration) -> str | None:
    if declared.subject != Subject.RESPONSE:
        return None
    column = _column(row, declared.columns.response)
    response = fields.optional_text(row, column)
    if response is None:
        raise BadRow(Reason.LABEL_WITHOUT_RESPONSE, column, "the response is null")
    return response


def _policy(row: Row, declared: Declaration) -> str | None:
    if declared.policy is not None:
        return declared.policy.text
    return fields.text(row, _column(row, declared.columns.policy)) if declared.columns.policy else None


def _category(row: Row, declared: Declaration) -> str | None:
    """The categories of harm, several of them joined by `; `; None where the row names none."""
    label, columns = declared.label, declared.columns
    if label.rule == "any_flag":
        return _joined(label.names.get(column, column) for column in label.columns if written(row.get(column)) == "1")
    if not columns.category:
        return None
    column = _column(row, columns.category)
    value = row.get(column)
    if isinstance(value, dict):
        return _joined(fields.text({column: name}, column) for name in sorted(map(str, value)) if value.get(name))
    text = fields.optional_text(row, column) or ""
    return _joined(text.split(columns.category_separator) if columns.category_separator else [text])


def _domain(row: Row, declared: Declaration) -> str | None:
    if declared.domain or not declared.columns.domain:
        return declared.domain or None
    column = _column(row, declared.columns.domain)
    value = row.get(column)
    if not isinstance(value, str | int | float) or (text := written(value)) is None:
        return None
    return declared.columns.domain_names.get(text, fields.text({column: text}, column)) or None


def _joined(names: Iterable[str]) -> str | None:
    return "; ".join(name for name in names if name) or None
