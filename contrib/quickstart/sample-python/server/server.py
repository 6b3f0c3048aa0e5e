#!/usr/bin/env python3
"""A server that answers every request with its own version. It needs nothing but the standard library."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "@VERSION@"  # the build puts the first line of VERSION here


class Answer(BaseHTTPRequestHandler):
    """Every path is answered with the version."""

    def do_GET(self):
        body = f"{VERSION}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    if "--version" in sys.argv:
        print(VERSION)
        return
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Answer)
    print(f"server {VERSION} listens on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
