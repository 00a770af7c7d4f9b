"""What a certificate's addresses lead to: CRL, OCSP and the issuing authority's certificate, over HTTP."""

import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from simulators.cards.authority import Authority

log = logging.getLogger("authority")
LARGEST_REQUEST = 64 * 1024


def server(homes: dict[str, Path], *, host: str, port: int) -> ThreadingHTTPServer:
    """A server for several authorities, each under the name that `homes` gives it: /NAME/crl, /NAME/ocsp, /NAME/ca."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, _slash, what = self.path.lstrip("/").partition("/")
            if name not in homes or what not in {"crl", "ca"}:
                self.send_error(404)
            elif what == "crl":
                self._answer((homes[name] / "ca.crl").read_bytes(), "application/pkix-crl")
            else:
                self._answer(Authority.load(homes[name]).certificate.dump(), "application/pkix-cert")

        def do_POST(self) -> None:
            name, _slash, what = self.path.lstrip("/").partition("/")
            length = int(self.headers.get("Content-Length") or 0)
            if name not in homes or what != "ocsp":
                self.send_error(404)
                return
            if not 0 < length <= LARGEST_REQUEST:
                self.send_error(413)
                return
            try:
                answer = Authority.load(homes[name]).answer_ocsp(self.rfile.read(length))
            except (ValueError, TypeError):
                self.send_error(400)
                return
            self._answer(answer, "application/ocsp-response")

        def _answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            log.debug(format, *args)

    return ThreadingHTTPServer((host, port), Handler)
