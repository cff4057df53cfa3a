"""Google Cloud Storage's XML API, as object_store's client for it uses it.

The API is S3's but for its preconditions: each write gives an object a generation, a number that only grows,
and a write can ask for the one that is there (0: for none). That is what this adds to moto. Their meaning is
that of cloud.google.com/storage/docs/request-preconditions and …/xml-api/reference-headers:
``x-goog-if-generation-match`` in a request, ``x-goog-generation`` in an answer, 412 where they do not meet.

fake-gcs-server, which is better known, has no writes by the XML API: what stood between it and the client
would be larger than this, and as much our own.

Not here: more than one write of an object a second, which Google answers by 429; logins.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from urllib.parse import parse_qs

from tests.emulators.faults import App, Environ, Start, refused

# moto gives objects only to those who sign; it does not look at the signature.
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class WithGenerations:
    """An S3 whose objects have generations. It must get one request at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._generations: dict[str, int] = {}
        self._last = 0

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        name, asked = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        method, wanted = environ["REQUEST_METHOD"], environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH")
        if wanted is not None and int(wanted) != self._generations.get(name, 0):
            return refused(environ, start, 412, "PreconditionFailed")
        writes = (method == "PUT" and "uploadId" not in asked) or (method == "POST" and "uploadId" in asked)

        def started(status: str, headers: list[tuple[str, str]], *more: object) -> object:
            if status.startswith("2"):
                if writes:
                    self._generations[name] = self._next()
                elif method == "DELETE" and "uploadId" not in asked:
                    self._generations.pop(name, None)
            if name in self._generations:
                headers = [*headers, ("x-goog-generation", str(self._generations[name]))]
            return start(status, headers, *more)

        return self._app({**environ, "HTTP_AUTHORIZATION": _SIGNED}, started)

    def _next(self) -> int:
        self._last = max(self._last + 1, time.time_ns() // 1_000)
        return self._last
