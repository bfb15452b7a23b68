"""The texts that the map's scripts show, translated on the server so that there is one catalogue only."""

from __future__ import annotations

from flask_babel import gettext as _


def map_texts() -> dict[str, str]:
    """Return the texts by the name the scripts use, in the language of the request."""
    return {
        "area": _("Area"),
        "attribution": _("Data: gridsvc"),
        "circle": _("15-minute circle"),
        "circleNow": _("Click the map to see how far one walks from there."),
        "circleFrom": _("Walking time from here"),
        "close": _("Close"),
        "code": _("Code"),
        "community": _("Community"),
        "compliance": _("Circle compliance"),
        "coordinates": _("Position"),
        "district": _("District"),
        "distanceToBorder": _("To the nearest border"),
        "empty": _("Nothing here yet."),
        "emptyTown": _("No divisions have been imported yet. Run: ./run demo"),
        "error": _("This did not work: {detail}"),
        "facility": _("Facility"),
        "full_time": _("full-time"),
        "part_time": _("part-time"),
        "leader": _("leader"),
        "adviser": _("adviser"),
        "deputy": _("deputy"),
        "gridNumber": _("Grid"),
        "grids": _("Grids"),
        "households": _("Households"),
        "kind": _("Kind"),
        "loading": _("Loading ..."),
        "locate": _("Who answers here"),
        "locateNow": _("Click the map to see who answers there."),
        "minutes": _("min"),
        "more": _("Show more"),
        "nobody": _("nobody"),
        "noGrid": _("no grid"),
        "noHits": _("Nothing found."),
        "noWebgl": _("This browser cannot draw the map (WebGL is off). The list on the left still works."),
        "offline": _("The server does not answer. Trying again ..."),
        "population": _("Population"),
        "report": _("Report"),
        "reports": _("Reports"),
        "reportsHere": _("Reports in this place"),
        "responsible": _("Responsible"),
        "security": _("Security"),
        "social": _("Social service"),
        "street": _("Street office"),
        "top": _("All"),
        "unified": _("Unified"),
        "urban": _("City management"),
        "validFrom": _("In force since"),
        "workers": _("Workers"),
    }
