"""A client of a service that lives in this process, with the real client's own serialization."""

import uuid

import globus_sdk
import pytest
import requests
from globus_compute_sdk.sdk.client import FunctionRegistrationData


class Client:
    """Answers as the SDK's client does: it serializes as that, and raises what that raises."""

    def __init__(self):
        self.functions = {}
        self.calls = []

    def register_function(
        self,
        function,
        description=None,
        metadata=None,
        public=False,  # noqa: FBT002 - the SDK's signature
        group=None,
    ):
        data = FunctionRegistrationData(
            function=function, description=description, public=public, group=group
        )
        function_id = str(uuid.uuid4())
        self.functions[function_id] = data.to_dict()
        return function_id

    def get_function(self, function_id):
        if function_id not in self.functions:
            raise refusal(404, "FUNCTION_NOT_FOUND")
        return self.functions[function_id]

    def delete_function(self, function_id):
        self.get_function(function_id)
        del self.functions[function_id]


def refusal(status, code):
    """Make the error that the SDK raises for an answer of the service."""
    request = requests.Request("GET", "https://compute.example.org/v2/x").prepare()
    answer = requests.Response()
    answer.status_code, answer.request, answer.url = status, request, request.url
    answer.headers["Content-Type"] = "application/json"
    answer._content = f'{{"code": 1, "reason": "{code}", "message": "{code}"}}'.encode()
    return globus_sdk.GlobusAPIError(answer)


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def refuse():
    return refusal
