"""Croissant metadata of a release (https://docs.mlcommons.org/croissant): its files with their hashes, its fields.

The Hub makes a Croissant file of its own from the Parquet; this one is for a copy of the release anywhere, and says
what that one cannot: hashes, what every field means, and which fields identify a record.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from safety_reasoning.schemas.columns import Task
from safety_reasoning.schemas.record import Schema, record_schema
from safety_reasoning.schemas.rules import interaction

CROISSANT = "croissant.json"
"""Its file in a release."""
Json = dict[str, Any]

_CROISSANT_TERMS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
    *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
    *("source", "subField", "transform"),
)
_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
} | {term: f"cr:{term}" for term in _CROISSANT_TERMS}
"""The standard context of Croissant 1.1."""
_TYPES = {"string": "sc:Text", "integer": "sc:Integer", "boolean": "sc:Boolean"}
_FORMATS = {"parquet": "application/x-parquet", "jsonl": "application/jsonlines"}


def croissant(manifest: Mapping[str, Any]) -> Json:
    """The JSON-LD document of a release whose manifest states the hashes of its files; paths are relative to it."""
    configs = {task: manifest["configs"][task] for task in Task if task in manifest["configs"]}
    changes = manifest.get("changes") or {}
    about = {"url": f"https://huggingface.co/datasets/{manifest['repo']}"} if manifest["repo"] else {}
    about |= {"datePublished": changes["date"]} if changes.get("date") else {}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": manifest["name"],
        "description": _description(manifest),
        **about,
        "version": manifest["version"],
        "license": manifest["license"],
        "inLanguage": manifest["language"],
        "keywords": ["safety", "guardrails", "content-safety", "topic-control", "reasoning"],
        "citeAs": "https://arxiv.org/abs/2505.20087",
        "isLiveDataset": False,
        "distribution": [part for task, config in configs.items() for part in _distribution(task, config, manifest)],
        "recordSet": [_record_set(task, config, manifest) for task, config in configs.items()],
    }


def _description(manifest: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{config['records']} of {name}" for name, config in manifest["configs"].items())
    return f"Labelled inputs for LLM guardrails, each beside what several teacher models reasoned about it: {counts}."


def _distribution(task: Task, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[Json]:
    for name in (*config["parquet"], config["jsonl"]):
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{manifest['files'][name]['bytes']} B",
            "encodingFormat": _FORMATS[name.rpartition(".")[2]],
            "sha256": manifest["files"][name]["sha256"],
        }
    if len(config["parquet"]) > 1:
        yield {
            "@type": "cr:FileSet",
            "@id": f"{task}-parquet",
            "name": f"{task}-parquet",
            "encodingFormat": _FORMATS["parquet"],
            "includes": config["parquet"],
        }


def _record_set(task: Task, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> Json:
    schema = record_schema(task, config["teachers"], manifest["columns"])
    names, files = schema["properties"], config["parquet"]
    origin = {"fileObject": {"@id": files[0]}} if len(files) == 1 else {"fileSet": {"@id": f"{task}-parquet"}}
    return {
        "@type": "cr:RecordSet",
        "@id": task.value,
        "name": task.value,
        "description": schema["description"],
        "key": [{"@id": f"{task}/{name}"} for name in interaction({name: name for name in names}, task)],
        "field": [
            _field(f"{task}/{name}", name, of, origin | {"extract": {"column": name}}) for name, of in names.items()
        ],
    }


def _field(identity: str, name: str, of: Schema, source: Json) -> Json:
    """A column; one of turns is an array of fields of its own."""
    about = {"@type": "cr:Field", "@id": identity, "name": name, "description": of["description"]}
    kinds = [of["type"]] if isinstance(of["type"], str) else of["type"]
    if kinds != ["array"]:
        return about | {"dataType": _TYPES[next(kind for kind in kinds if kind != "null")], "source": source}
    parts = of["items"]["properties"].items()
    inner = [
        _field(f"{identity}/{part}", part, of_part, source | {"transform": {"jsonPath": part}})
        for part, of_part in parts
    ]
    return about | {"isArray": True, "arrayShape": "-1", "subField": inner}
