"""Reasoning datasets for LLM guardrails: rebuild, publish, train, evaluate.

The sub-packages are folders at the root of the repository: `builders` make records, `schemas` say what a
record is, `filters` say why a trace goes, `cards` describe a release, `train` turns it into conversations.
"""

from importlib.metadata import version

__version__ = version("safety-reasoning")
