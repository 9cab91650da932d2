"""What a hub takes for a student's server, in a tenth of a second: for tests that are about the hub."""
import http.server
import json
import os
import signal
from urllib.parse import urlsplit

KEYS = ("SATCHEL_URL", "SATCHEL_TICKET", "SATCHEL_KEYS", "JUPYTER_ENV_VARS_TO_UNSET", "SITE")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({k: os.environ[k] for k in KEYS if k in os.environ}).encode()
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", os.environ["SMALL_SERVER_HUB"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


for s in (signal.SIGINT, signal.SIGTERM):
    signal.signal(s, lambda *_: os._exit(0))
at = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((at.hostname, at.port), Handler).serve_forever()
