"""The SDK's own client, and as much of the web service as registering functions takes."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import globus_sdk
import pytest
from globus_compute_sdk import Client
from globus_compute_sdk.sdk import client as sdk_client


class Service(ThreadingHTTPServer):
    """Remembers functions, or refuses everything.

    Attributes:
        functions: What was registered, by id.
        refusal: The status of all answers, if they are to be refusals.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.functions = {}
        self.refusal = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.refused():
            assert "/v3/functions" == self.path
            function_id = str(uuid.uuid4())
            self.server.functions[function_id] = data
            self.answer(200, {"function_uuid": function_id})

    def do_GET(self):
        if not self.refused() and (found := self.known()):
            self.answer(200, found)

    def do_DELETE(self):
        if not self.refused() and self.known():
            del self.server.functions[self.path.rpartition("/")[2]]
            self.answer(200, {"result": 200})

    def known(self):
        found = self.server.functions.get(self.path.removeprefix("/v2/functions/"))
        if not found:
            self.answer(404, {"code": 4, "reason": "NOT_FOUND", "message": "no such function"})
        return found

    def refused(self):
        if status := self.server.refusal:
            self.answer(status, {"code": 1, "reason": "NO", "message": "it says no"})
        return status

    def answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connect(monkeypatch):
    """Make the SDK's client of a service at some address, which tries everything once."""

    def make(url):
        monkeypatch.setattr(sdk_client, "get_web_service_url", lambda _: url)
        authorizer = globus_sdk.AccessTokenAuthorizer("token")
        client = Client(authorizer=authorizer, do_version_check=False)
        for each in (client._compute_web_client.v2, client._compute_web_client.v3):
            each.retry_config.max_retries = 0
        return client

    return make


@pytest.fixture
def client(service, connect):
    return connect(service.url)
