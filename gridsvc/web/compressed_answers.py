"""Answers compressed on their way to a program that takes it."""

from __future__ import annotations

import gzip

from flask import Response, request

# smaller ones take no longer to send than to compress
FROM_BYTES = 8 * 1024
# most of what the highest level saves, in a third of its time
_LEVEL = 4


def compressed(answer: Response) -> Response:
    """Return an answer with its body compressed with gzip where that pays and the request accepts it; the same body is the same bytes."""
    body = answer.get_data()
    if len(body) < FROM_BYTES:
        return answer
    answer.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        answer.set_data(gzip.compress(body, _LEVEL, mtime=0))
        answer.headers["Content-Encoding"] = "gzip"
    return answer
