"""An HTTP server in this process that plays whoever is notified: an address of a webhook, a push service, Google's two."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Takes every POST to `url`. What is asked is answered by `answer`, one at a time; what that raises is kept in `wrong`, which is the
    test's to look at, and answered with `refusal`. `answers` is for those that are to be answered otherwise, in order."""

    refusal = 400

    def __init__(self):
        self.lock, self.answers, self.wrong, self.requests = threading.Lock(), [], [], 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver.lock:
                    try:
                        status, more, text = receiver.answer(self.path, headers, body)
                    except Exception as error:  # Whatever is wrong with a request is the test's to see.
                        receiver.wrong.append(repr(error))
                        status, more, text = receiver.refusal, {}, b""
                    receiver.requests += 1
                receiver.hold()
                try:
                    self.send_response(status)
                    for name, value in {**more, "content-length": str(len(text))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:
                    pass  # Whoever asked was killed meanwhile.

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, headers, body):
        """The status, headers and body of the answer. Header names come in lower case."""
        raise NotImplementedError

    def hold(self):
        """Waits here before the answer goes out, where a test wants that."""

    def stop(self):
        self.server.shutdown()
