"""The application factory. The application keeps nothing between requests, so that any number of processes can serve."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from gridsvc.services.event_stream import EventHub
from gridsvc.services.photos import photo_rules
from gridsvc.services.point_locator import PointLocator
from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.services.report_queue import ReportQueue
from gridsvc.settings import Settings
from gridsvc.web.api import BLUEPRINTS
from gridsvc.web.api.reports import MAX_BATCH
from gridsvc.web.callers import register_callers
from gridsvc.web.errors import register_errors
from gridsvc.web.health import health
from gridsvc.web.localisation import register_localisation
from gridsvc.web.method_override import register_method_override
from gridsvc.web.openapi import build_openapi
from gridsvc.web.pages.command_centre import command_centre
from gridsvc.web.pages.documentation import documentation
from gridsvc.web.pages.login import login
from gridsvc.web.rate_limits import RateLimit
from gridsvc.web.routing import CodeConverter
from gridsvc.web.security_headers import register_security_headers
from gridsvc.web.short_way import ShortWay
from gridsvc.web.static_files import register_static_files
from gridsvc.web.tiles.vector_tiles import endpoints as tile_endpoints
from gridsvc.web.tiles.vector_tiles import vector_tiles

if TYPE_CHECKING:
    from gridsvc.store.photo_files import PhotoFiles


class AppServices(Protocol):
    """What the web room needs of ``bootstrap.App``."""

    @property
    def unit_of_work(self) -> UnitOfWorkMaker:
        """Maker of units of work."""

    @property
    def photo_files(self) -> PhotoFiles:
        """Where photos are kept."""

    @property
    def events(self) -> EventHub:
        """What live streams read from."""

    @property
    def unit_of_statements(self) -> UnitOfWorkMaker:
        """Maker of units of work whose every statement commits by itself."""

    @property
    def point_locator(self) -> PointLocator:
        """What locates single positions."""

    @property
    def report_queue(self) -> ReportQueue:
        """Where reports that come at the same moment are stored together."""


class _Flask(Flask):
    """Flask whose views and hooks are all plain functions, and are not asked at every call whether they are coroutines."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func


def make_rate_limit(settings: Settings) -> RateLimit:
    """Return what every caller may post by the settings; a whole batch always fits."""
    return RateLimit(settings.reports_per_minute, max(settings.reports_per_minute, MAX_BATCH))


def create_app(app_services: AppServices, settings: Settings, rate_limit: RateLimit | None = None) -> Flask:
    """Return the WSGI application.

    Parameters
    ----------
    app_services
        The composition root (``bootstrap.App``): gives units of work within a scope.
    settings
        Limits, language, whether requests without a token are answered, the key that signs session cookies. Without a
        key a random one is used, and sessions end with the process.
    rate_limit
        That of all processes which serve together; None: one of this process alone.
    """
    app = _Flask(__name__, static_folder="static", static_url_path="/static", template_folder="templates")
    app.config.update(
        SECRET_KEY=settings.secret_key or secrets.token_hex(32),
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        GRIDSVC_MAX_BATCH_BYTES=settings.max_batch_bytes,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        SESSION_COOKIE_NAME="gridsvc_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        GRIDSVC_ANONYMOUS=settings.anonymous,
        GRIDSVC_TIMEZONE=settings.timezone,
        GRIDSVC_PHOTO_RULES=photo_rules(settings),
        GRIDSVC_AUTO_ROUTE_ODDS=settings.auto_route_odds,
    )
    if isinstance(app.json, DefaultJSONProvider):
        app.json.ensure_ascii = False
    app.url_map.strict_slashes = True
    app.url_map.converters["code"] = CodeConverter
    app.extensions["gridsvc"] = app_services
    app.extensions["gridsvc_rate_limit"] = rate_limit or make_rate_limit(settings)
    register_static_files(app)
    register_errors(app)
    register_security_headers(app)
    register_localisation(app, settings)
    register_callers(app)
    register_method_override(app)
    for blueprint, _ in BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix="/api/v1")
    for blueprint in (health, vector_tiles, documentation, login, command_centre):
        app.register_blueprint(blueprint)
    app.extensions["gridsvc_short_way"] = ShortWay(app).answer
    declared = [("/api/v1", e) for _, endpoints in BLUEPRINTS for e in endpoints.declared]
    app.extensions["gridsvc_openapi"] = build_openapi(declared + [("", e) for e in tile_endpoints.declared])
    return app
