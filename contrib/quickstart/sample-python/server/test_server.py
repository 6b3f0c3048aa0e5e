"""The sample's own test: what is served is the version."""

import threading
import unittest
import urllib.request
from http.server import ThreadingHTTPServer

import server


class TheServer(unittest.TestCase):
    def test_every_path_is_answered_with_the_version(self):
        with ThreadingHTTPServer(("127.0.0.1", 0), server.Answer) as http:
            threading.Thread(target=http.serve_forever, daemon=True).start()
            with urllib.request.urlopen(f"http://127.0.0.1:{http.server_port}/any/path", timeout=5) as answer:
                self.assertEqual(answer.read().decode(), f"{server.VERSION}\n")
            http.shutdown()


if __name__ == "__main__":
    unittest.main()
