"""Endpoints of the JSON API: one declaration gives the route, the checks of its input and its place in OpenAPI.

Why not APIFlask, which was considered: its pydantic adapter reduces validation errors to texts (the stable code and the
field of each fault are lost), answers 400 where the media type is wrong, reads NaN as a number, and publishes
``{"type": "object"}`` silently when it cannot describe a model. pydantic's own JSON Schema is already the dialect of
OpenAPI 3.1, so what is left to write is short: this file and ``openapi.py``.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, current_app, request
from pydantic import BaseModel, ValidationError
from werkzeug.routing import BaseConverter

from gridsvc.errors import DatumMissingError, RequestInvalidError
from gridsvc.web.callers import READERS, require_role
from gridsvc.web.json_bodies import read_items, read_json

Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of answer of an endpoint: what it says, the model of its body, or a media type without a model.

    ``also`` are other media types it may have, depending on what was asked, each with its model.
    """

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    also: dict[str, type[BaseModel]] = field(default_factory=dict)

    @property
    def models(self) -> list[type[BaseModel]]:
        """Return the models of all media types."""
        return [model for model in (self.model, *self.also.values()) if model is not None]


class CodeConverter(BaseConverter):
    """A code in a path, ``<code:name>``: no colon, which begins the verb of another path (``/components/ID:state``)."""

    regex = "[^/:]+"


@dataclass(frozen=True, slots=True)
class Items:
    """A body of many items, each checked for itself: the model of one, and how many there may be."""

    model: type[BaseModel]
    most: int


@dataclass(frozen=True, slots=True)
class Header:
    """A request header an endpoint reads by itself; ``schema`` is its JSON Schema."""

    name: str
    description: str
    required: bool = False
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything known of one method of one path; the route and OpenAPI are both made from it.

    ``content`` describes a body that is not JSON and that the handler reads itself: media type -> JSON Schema; ``part_types``
    says of a form which media types a part of it may have: name of the part -> media types.
    """

    method: str
    rule: str
    name: str
    summary: str
    description: str
    tag: str
    answers: dict[int, Answer]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    items: Items | None = None
    roles: frozenset[str] = READERS
    refusals: tuple[int, ...] = ()
    content: dict[str, dict[str, Any]] | None = None
    part_types: dict[str, tuple[str, ...]] = field(default_factory=dict)
    headers: tuple[Header, ...] = ()


@dataclass(slots=True)
class Endpoints:
    """The endpoints of one blueprint. ``get`` and ``post`` are decorators; the handler receives ``query``, ``body``, ``items``."""

    blueprint: Blueprint
    declared: list[Endpoint] = field(default_factory=list)

    def get(self, rule: str, **declaration: Any) -> Callable:
        """Declare a GET endpoint."""
        return self._route("GET", rule, **declaration)

    def post(self, rule: str, **declaration: Any) -> Callable:
        """Declare a POST endpoint."""
        return self._route("POST", rule, **declaration)

    def patch(self, rule: str, **declaration: Any) -> Callable:
        """Declare a PATCH endpoint."""
        return self._route("PATCH", rule, **declaration)

    def delete(self, rule: str, **declaration: Any) -> Callable:
        """Declare a DELETE endpoint."""
        return self._route("DELETE", rule, **declaration)

    def _route(self, method: str, rule: str, **declaration: Any) -> Callable:
        def decorate(handler: Callable) -> Callable:
            endpoint = Endpoint(
                method=method,
                rule=rule,
                name=handler.__name__,
                description=(handler.__doc__ or "").strip(),
                **declaration,
            )
            self.declared.append(endpoint)

            @wraps(handler)
            def checked(**path: Any) -> Any:
                require_role(endpoint.roles)
                if endpoint.query is not None:
                    path["query"] = read_query(endpoint.query)
                elif request.query_string and request.args:
                    raise RequestInvalidError(
                        f"This path takes no query parameters, but {', '.join(sorted(request.args))} came.",
                        errors=[
                            {"field": name, "code": "extra", "message": "not a parameter here"} for name in request.args
                        ],
                    )
                if endpoint.body is not None:
                    path["body"] = validate(endpoint.body, read_json(request), where="body")
                if endpoint.items is not None:
                    request.max_content_length = current_app.config["GRIDSVC_MAX_BATCH_BYTES"]
                    path["items"] = read_items(request, endpoint.items.most)
                return handler(**path)

            self.blueprint.add_url_rule(rule, endpoint=handler.__name__, view_func=checked, methods=[method])
            return handler

        return decorate


def _is_list(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_is_list(a) for a in typing.get_args(annotation))
    return typing.get_origin(annotation) is list


def _is_number(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return any(_is_number(a) for a in typing.get_args(annotation))
    return annotation in (int, float)


def read_query(model: type[Asked]) -> Asked:
    """Return the query parameters of the request as ``model``; list fields take commas or repetition, others come once."""
    values: dict[str, Any] = {}
    for name, given in request.args.lists():
        known = model.model_fields.get(name)
        if known is not None and _is_list(known.annotation):
            values[name] = [part for text in given for part in text.split(",") if part]
        elif len(given) > 1:
            raise RequestInvalidError(
                f"The query parameter {name} came {len(given)} times.",
                hint="Give it once.",
                errors=[{"field": name, "code": "repeated", "message": f"came {len(given)} times"}],
            )
        else:
            values[name] = given[0]
            if known is not None and "_" in given[0] and _is_number(known.annotation):
                # as Python writes numbers, not as the document says
                raise RequestInvalidError(
                    f"The query parameter {name} is not a number.",
                    hint="Write digits without separators.",
                    errors=[{"field": name, "code": "number-malformed", "message": "not a number"}],
                )
    return validate(model, values, where="query")


def _fault(fault: Any) -> dict[str, str]:
    where = ".".join(str(part) for part in fault["loc"])
    return {"field": where, "code": fault["type"].replace("_", "-"), "message": fault["msg"]}


def validate(model: type[Asked], values: Any, *, where: str) -> Asked:
    """Return ``values`` as ``model``.

    Raises
    ------
    DatumMissingError
        When the one thing missing is the datum: that has its own code, because it is never guessed.
    RequestInvalidError
        With every fault and its field otherwise.
    """
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        faults = [_fault(f) for f in invalid.errors(include_url=False, include_input=False, include_context=False)]
    if all(f["field"] == "datum" and f["code"] == "missing" for f in faults):
        raise DatumMissingError(
            f"The {where} names no datum.",
            hint="Add datum: wgs84, cgcs2000, gcj02 or bd09; it is never guessed.",
            errors=faults,
            field="datum",
        )
    listed = "; ".join(f"{f['field'] or where}: {f['message']}" for f in faults[:3])
    rest = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    raise RequestInvalidError(
        f"The {where} is not valid. {listed}{rest}.", hint="See errors for each field.", errors=faults
    )
