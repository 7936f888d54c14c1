"""A stand-in for the SDK's ``Client``: its own code, over services inside this process.

Only the transport is ours: requests never leave the process, so whatever the SDK does before and
after them (checks, serialization, errors, tables of tasks) it does here, too. Here, too, are the
SDK's private names that this needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from globus_compute_sdk import Client
from globus_sdk import NullAuthorizer
from requests.adapters import BaseAdapter

from gc_warm.local.services import SERVICES

if TYPE_CHECKING:
    import requests
    from globus_compute_sdk.serialize import SerializationStrategy


class LocalClient(Client):
    """The SDK's ``Client`` without the cloud: it knows the executors of this process.

    It asks for no login and opens no connection. The executors' `endpoint_id` are its endpoints.
    What takes an endpoint that connects, such as ``register_endpoint``, fails with an API error.

    Args:
        code_serialization_strategy: How functions are serialized.
        data_serialization_strategy: How arguments are serialized.
    """

    def __init__(
        self,
        *,
        code_serialization_strategy: SerializationStrategy | None = None,
        data_serialization_strategy: SerializationStrategy | None = None,
    ) -> None:
        super().__init__(
            do_version_check=False,
            code_serialization_strategy=code_serialization_strategy,
            data_serialization_strategy=data_serialization_strategy,
            authorizer=NullAuthorizer(),
        )
        for web_client in (self._compute_web_client.v2, self._compute_web_client.v3):
            for scheme in ("https://", "http://"):
                web_client.transport.session.mount(scheme, InProcess())


class InProcess(BaseAdapter):
    """Asks the services of this process instead of sending anything."""

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Answer one request."""
        return SERVICES.ask(request)

    def close(self) -> None:
        """Do nothing: there is no connection."""
