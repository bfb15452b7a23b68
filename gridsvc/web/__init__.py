"""Flask: create_app, the JSON API, vector tiles and pages. Never imports the store; works through services and bootstrap."""

from gridsvc.web.application import create_app

__all__ = ["create_app"]
