"""The SDK's clients, pointed at a local service. This module uses the SDK's private names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from globus_compute_sdk import Client
from globus_compute_sdk.sdk.client import _ComputeWebClient
from globus_compute_sdk.sdk.executor import _REGISTERED_EXECUTORS, _RESULT_WATCHERS
from globus_sdk import ClientCredentialsAuthorizer, ConfidentialAppAuthClient

from gc_warm.local.service.rest.auth import COMPUTE_SCOPE

if TYPE_CHECKING:
    from gc_warm.local.service.state.records import Identity


def environment(url: str, identity: Identity) -> dict[str, str]:
    """Return the variables that make the SDK and the agent use a local service, not a proxy."""
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return {
        "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_SDK_SERVICE_URL_AUTH": url,
        "GLOBUS_SDK_SERVICE_URL_COMPUTE": url,
        "GLOBUS_COMPUTE_CLIENT_ID": str(identity.id),
        "GLOBUS_COMPUTE_CLIENT_SECRET": identity.secret,
        "no_proxy": f"127.0.0.1,localhost,{others}".rstrip(","),
    }


def client(url: str, identity: Identity) -> Client:
    """Return an unmodified SDK client of the service at a URL."""
    auth = ConfidentialAppAuthClient(identity.id, identity.secret, base_url=url)
    auth.transport.session.trust_env = False  # no proxy leads to this machine
    authorizer = ClientCredentialsAuthorizer(auth, COMPUTE_SCOPE)
    made = Client(authorizer=authorizer, do_version_check=False)
    # The constructor takes no URL, only the name of an environment.
    made.web_service_address = url
    web_client: Any = _ComputeWebClient
    compute = made._compute_web_client = web_client(base_url=url, authorizer=authorizer)  # noqa: SLF001
    for each in (compute.v2, compute.v3):
        each.transport.session.trust_env = False
    made.version_check()
    return made


def end_executors(url: str) -> None:
    """Shut down this process's executors of a service, and cancel their tasks."""
    executors: list[Any] = list(_REGISTERED_EXECUTORS.values())
    for executor in executors:
        if executor.client.web_service_address == url:
            executor.shutdown(wait=False, cancel_futures=True)
    stop_watching(url)


def stop_watching(url: str) -> None:
    """Stop the threads that wait for a service's results: they outlive their executors."""
    watchers: list[Any] = list(_RESULT_WATCHERS.values())
    for watcher in watchers:
        if watcher.client.web_service_address == url:
            watcher.shutdown(cancel_futures=True)
