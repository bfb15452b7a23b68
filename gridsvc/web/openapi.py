"""The OpenAPI 3.1 document, made from the declared endpoints and their pydantic models at start-up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from gridsvc import __version__
from gridsvc.web.errors import PROBLEM_TYPE
from gridsvc.web.routing import Endpoint, Items

_REF = "#/components/schemas/{model}"
_CONVERTER = re.compile(r"<(?:(?P<kind>[a-z]+)(?:\([^)]*\))?:)?(?P<name>[a-z_][a-z0-9_]*)>")
# what any guarded endpoint may answer besides what it declares
_ALWAYS = (401, 403, 404, 422, 500, 503)
_REASONS = {
    400: "The request is not well-formed.",
    401: "No token, or one that is not valid (any more).",
    403: "The role or scope does not allow this.",
    404: "Not there, at that instant, in that scope.",
    409: "Contradicts what is stored.",
    410: "Was there, and is kept no more.",
    412: "The protocol version is missing or another.",
    413: "The body is larger than the server takes.",
    415: "The body is of another kind than is taken here, or compressed otherwise than with gzip.",
    422: "The request is well-formed but refused; code and errors say why.",
    429: "More came from this caller than the server takes; try again after Retry-After seconds.",
    460: "The bytes are not those of the checksum.",
    500: "An unexpected error of the server.",
    503: "The database is not reachable; try again after Retry-After seconds.",
}


class Problem(BaseModel):
    """A refusal, RFC 9457."""

    type: str = Field(examples=["urn:gridsvc:problem:datum-missing"])
    title: str
    status: int
    code: str = Field(description="Stable; programs decide by this.", examples=["datum-missing"])
    detail: str
    hint: str = Field(description="How to mend it; may be empty.")
    instance: str
    errors: list[dict[str, Any]] = Field(description="Each fault with field, code and message; may be empty.")
    details: dict[str, Any] | None = None


def rule_to_path(rule: str) -> str:
    """Return a Flask rule as an OpenAPI path.

    Examples
    --------
    >>> rule_to_path("/tiles/<layer>/<int:z>")
    '/tiles/{layer}/{z}'
    >>> rule_to_path("/photos/<sha256>")
    '/photos/{sha256}'
    """
    return _CONVERTER.sub(lambda m: "{" + m["name"] + "}", rule)


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    kinds = {"int": {"type": "integer", "minimum": 0}, "uuid": {"type": "string", "format": "uuid"}}
    return [
        {"name": m["name"], "in": "path", "required": True, "schema": kinds.get(m["kind"] or "", {"type": "string"})}
        for m in _CONVERTER.finditer(rule)
    ]


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = set(schema.get("required", ()))
    parameters = []
    for name, described in schema.get("properties", {}).items():
        described = dict(described)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": described}
        if "description" in described:
            parameter["description"] = described.pop("description")
        if described.get("type") == "array" or any(k.get("type") == "array" for k in described.get("anyOf", ())):
            parameter |= {"style": "form", "explode": False}
        parameters.append(parameter)
    return parameters


def _answers(endpoint: Endpoint, prefix: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, answer in endpoint.answers.items():
        described: dict[str, Any] = {"description": answer.description}
        answers[str(status)] = described
        if answer.model is not None:
            schema = {"$ref": _REF.format(model=answer.model.__name__)}
            described["content"] = {answer.media_type: {"schema": schema}} | {
                media_type: {"schema": {"$ref": _REF.format(model=model.__name__)}}
                for media_type, model in answer.also.items()
            }
        elif status not in (204, 304):
            described["content"] = {answer.media_type: {"schema": {"type": "string", "format": "binary"}}}
    has_body = endpoint.body is not None or endpoint.items is not None or endpoint.content is not None
    body_refusals = (400, 413, 415) if has_body else ()
    for status in sorted({*_ALWAYS, *body_refusals, *endpoint.refusals}):
        problem = {"schema": {"$ref": _REF.format(model="Problem")}}
        answers.setdefault(str(status), {"description": _REASONS[status], "content": {PROBLEM_TYPE: problem}})
    return answers


def _operation(endpoint: Endpoint, path: str, schemas: dict[str, Any], prefix: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": f"{endpoint.description}\n\nRoles: {', '.join(sorted(endpoint.roles))}.",
        "parameters": _path_parameters(path),
        "responses": _answers(endpoint, prefix),
    }
    if endpoint.query is not None:
        operation["parameters"] += _query_parameters(schemas[endpoint.query.__name__])
    operation["parameters"] += [
        {"name": h.name, "in": "header", "required": h.required, "description": h.description, "schema": h.schema}
        for h in endpoint.headers
    ]
    if endpoint.content is not None:
        encoding = {part: {"contentType": ", ".join(types)} for part, types in endpoint.part_types.items()}
        content = {
            media_type: {"schema": schema} | ({"encoding": encoding} if encoding else {})
            for media_type, schema in endpoint.content.items()
        }
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.body is not None:
        reference = {"$ref": _REF.format(model=endpoint.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}
    if endpoint.items is not None:
        operation["requestBody"] = {"required": True, "content": _items_content(endpoint.items)}
    return operation


def _items_content(items: Items) -> dict[str, Any]:
    reference = {"$ref": _REF.format(model=items.model.__name__)}
    array = {"type": "array", "minItems": 1, "maxItems": items.most, "items": reference}
    lines = {"type": "string", "description": f"One {items.model.__name__} a line, up to {items.most:,} lines."}
    return {"application/json": {"schema": array}, "application/x-ndjson": {"schema": lines}}


def _models(endpoints: Iterable[Endpoint]) -> list[tuple[type[BaseModel], str]]:
    wanted: dict[type[BaseModel], str] = {Problem: "serialization"}
    for e in endpoints:
        wanted.update({m: "validation" for m in (e.query, e.body, e.items.model if e.items else None) if m is not None})
        wanted.update({m: "serialization" for a in e.answers.values() for m in a.models})
    return list(wanted.items())


def build_openapi(endpoints: list[tuple[str, Endpoint]], *, server: str = "/") -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of ``endpoints``, given with the URL prefix of their blueprint.

    The document is the same on every build: paths in the order of declaration, schemas by name.
    """
    _, generated = models_json_schema(_models(e for _, e in endpoints), ref_template=_REF)  # type: ignore[arg-type]
    schemas = generated["$defs"]
    paths: dict[str, Any] = {}
    for prefix, endpoint in endpoints:
        path = prefix + endpoint.rule
        operation = _operation(endpoint, path, schemas, prefix)
        paths.setdefault(rule_to_path(path), {})[endpoint.method.lower()] = operation
    queries = {e.query.__name__ for _, e in endpoints if e.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gridsvc",
            "version": __version__,
            "summary": "Grid service management (网格化服务管理): grids, reports, workers, service circles.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"bearer": []}, {}],
        "tags": [{"name": name} for name in dict.fromkeys(e.tag for _, e in endpoints)],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in sorted(schemas) if name not in queries},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
