"""What the Hub looks at in a card before it takes it."""

import yaml


def card_errors(content: str) -> list[str]:
    """What is wrong with a card's metadata block; nothing where there is none."""
    if not content.startswith("---\n"):
        return []
    block, closed, _ = content.removeprefix("---\n").partition("\n---")
    try:
        data = yaml.safe_load(block)
    except yaml.YAMLError as error:
        return [f"Invalid YAML: {error}"]
    return [] if closed and isinstance(data, dict) else ["The metadata must be a mapping between two lines of ---"]
