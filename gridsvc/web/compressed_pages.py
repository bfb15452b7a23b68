"""Pages compressed on their way to a browser that takes it."""

from __future__ import annotations

import gzip

from flask import Response, request


def compressed(page: Response) -> Response:
    """Return a page with its body compressed with gzip, where the request accepts that; the same page is the same bytes."""
    page.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        page.set_data(gzip.compress(page.get_data(), 6, mtime=0))
        page.headers["Content-Encoding"] = "gzip"
    return page
