"""Two languages: simplified Chinese first, English by choice. Strings of pages only; data stay as they are."""

from __future__ import annotations

from flask import Blueprint, Flask, redirect, request
from flask_babel import Babel, get_locale
from werkzeug.wrappers import Response as BaseResponse

from gridsvc.errors import RequestInvalidError
from gridsvc.settings import Settings

LANGUAGES = {"zh_Hans_CN": "中文", "en": "English"}
COOKIE = "gridsvc_language"
_YEAR_S = 365 * 24 * 3600

language = Blueprint("language", __name__)


@language.get("/language/<code>")
def choose(code: str) -> BaseResponse:
    """Remember a language in a cookie and go back to the page the link was on."""
    if code not in LANGUAGES:
        raise RequestInvalidError(f"There is no language {code!r}.", hint=f"The languages are {', '.join(LANGUAGES)}.")
    answer = redirect(local_path(request.args.get("next", "/")))
    answer.set_cookie(COOKIE, code, max_age=_YEAR_S, samesite="Lax", httponly=True)
    return answer


def local_path(path: str) -> str:
    """Return ``path`` when it is a path on this server, else "/": redirects never lead elsewhere."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def html_language() -> str:
    """Return the ``lang`` attribute of pages: zh-Hans or en."""
    return "en" if str(get_locale()) == "en" else "zh-Hans"


def register_localisation(app: Flask, settings: Settings) -> None:
    """Give ``app`` its translations, and its templates ``_()`` and ``html_language``."""

    def select() -> str:
        chosen = request.cookies.get(COOKIE)
        return chosen if chosen in LANGUAGES else settings.locale

    # the source texts of templates are English; Chinese is in translations/
    app.config["BABEL_DEFAULT_LOCALE"] = "en"
    Babel(app, locale_selector=select, default_timezone=settings.timezone)
    app.jinja_env.globals.update(html_language=html_language, languages=LANGUAGES)
    app.register_blueprint(language)
