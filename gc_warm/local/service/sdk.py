"""The SDK's clients, pointed at a local service: the SDK's private names are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from globus_compute_sdk import Client
from globus_compute_sdk.sdk.client import _ComputeWebClient
from globus_compute_sdk.sdk.executor import _RESULT_WATCHERS
from globus_sdk import ClientCredentialsAuthorizer, ConfidentialAppAuthClient

from gc_warm.local.service.rest.auth import COMPUTE_SCOPE

if TYPE_CHECKING:
    from gc_warm.local.service.state.records import Identity


def environment(url: str, identity: Identity) -> dict[str, str]:
    """Return the variables that make the SDK and the agent use a local service."""
    return {
        "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_SDK_SERVICE_URL_AUTH": url,
        "GLOBUS_SDK_SERVICE_URL_COMPUTE": url,
        "GLOBUS_COMPUTE_CLIENT_ID": str(identity.id),
        "GLOBUS_COMPUTE_CLIENT_SECRET": identity.secret,
    }


def client(url: str, identity: Identity) -> Client:
    """Return an unmodified SDK client of a service that may be anywhere."""
    auth = ConfidentialAppAuthClient(identity.id, identity.secret, base_url=url)
    authorizer = ClientCredentialsAuthorizer(auth, COMPUTE_SCOPE)
    made = Client(authorizer=authorizer, do_version_check=False)
    # Its constructor takes no address, only the names of environments.
    made.web_service_address = url
    web_client: Any = _ComputeWebClient
    made._compute_web_client = web_client(base_url=url, authorizer=authorizer)  # noqa: SLF001
    made.version_check()
    return made


def stop_watching(url: str) -> None:
    """End the threads that wait for results of a service, which outlive their executors."""
    watchers: list[Any] = list(_RESULT_WATCHERS.values())
    for watcher in watchers:
        if watcher.client.web_service_address == url:
            watcher.shutdown(cancel_futures=True)
