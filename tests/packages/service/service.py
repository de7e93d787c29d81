import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answer(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Answer.asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def serve(port: int, after: float = 0.0) -> None:
    """Serves for as long as it may, `after` seconds of getting ready."""
    time.sleep(after)
    HTTPServer(("0.0.0.0", port), Answer).serve_forever()


def last_word(port: int) -> str:
    """Serves until somebody has asked for something."""
    with HTTPServer(("0.0.0.0", port), Answer) as server:
        while not Answer.asked:
            server.handle_request()
    return "over"


def gives_up(port: int) -> str:
    """Ends without having served at `port`."""
    return f"not at {port}"
