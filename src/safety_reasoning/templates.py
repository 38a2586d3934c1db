"""Templates: how every card and page is rendered. What fills them is escaped."""

from pathlib import Path

import jinja2


def environment(*folders: Path) -> jinja2.Environment:
    """The templates of the folders, the first one first; a name that is not filled is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
