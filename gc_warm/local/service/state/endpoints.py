"""The registered endpoints: who may use them, and which of them are online."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from gc_warm.local.service.state.records import Endpoint, UserEndpoint
from gc_warm.local.service.state.refusals import Forbidden, Locked, Unknown
from gc_warm.local.service.state.store import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.local.service.state.records import Identity, Registration
    from gc_warm.local.service.state.store import Store

LOCK_SECONDS = 600.0
"""How long an endpoint stays locked."""

MISSED_HEARTBEATS = 2.5
"""After this many periods without a heartbeat an endpoint counts as offline."""

START_SECONDS = 60.0
"""How long a user endpoint may take to start before its endpoint is asked again."""


@dataclass
class Pulse:
    """An endpoint's last heartbeat.

    Attributes:
        at: When it arrived.
        report: What it said about the endpoint's workers.
    """

    at: float
    report: Mapping[str, Any] = field(default_factory=dict)


class Endpoints:
    """The endpoints, and the user endpoints that they start.

    The methods raise `Unknown` for a missing endpoint, and `Forbidden` for someone else's that is
    not shared.

    Args:
        store: Keeps the records.
        clock: Returns the time, in seconds.

    Attributes:
        held_offline: Endpoints that are treated as offline, whatever they report.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._endpoints = Table(store, Endpoint)
        self._users = Table(store, UserEndpoint)
        self._by_config = {
            _key(each.parent, each.owner, each.config, each.runtime): each
            for each in self._users.values()
        }
        every = [*self._endpoints.values(), *self._users.values()]
        self._pulses = {each.id: Pulse(clock()) for each in every if each.was_online}
        self._asked_to_start: dict[UUID, float] = {}
        self.held_offline: set[UUID] = set()

    # Registering

    def register(self, endpoint: Endpoint) -> None:
        """Add an endpoint."""
        self._endpoints.put(endpoint)

    def update(self, asker: Identity, endpoint_id: UUID, registration: Registration) -> Endpoint:
        """Register an endpoint again, or for the first time with an id that it has chosen.

        Raises:
            Forbidden: It is someone else's.
            Locked: It may not register for a while.
        """
        if endpoint_id not in self._endpoints:
            self.register(Endpoint(id=endpoint_id, owner=asker.id, registration=registration))
        endpoint = self.owned(asker, endpoint_id)
        if endpoint.locked_until > self._clock():
            raise Locked("ENDPOINT_LOCKED", f"Endpoint {endpoint_id} is temporarily locked.")
        endpoint.registration = registration
        self._endpoints.put(endpoint)
        return endpoint

    def delete(self, asker: Identity, endpoint_id: UUID) -> list[UUID]:
        """Delete an endpoint and its user endpoints; return the ids of these."""
        self.owned(asker, endpoint_id)
        users = [each.id for each in self.users_of(endpoint_id)]
        self._by_config = {k: each for k, each in self._by_config.items() if each.id not in users}
        self._users.drop(*users)
        self._endpoints.drop(endpoint_id)
        for each in (endpoint_id, *users):
            self._pulses.pop(each, None)
        return users

    def lock(self, asker: Identity, endpoint_id: UUID) -> float:
        """Lock an endpoint, so that it cannot register; return when the lock ends."""
        endpoint = self.owned(asker, endpoint_id)
        endpoint.locked_until = self._clock() + LOCK_SECONDS
        self._endpoints.put(endpoint)
        self.stop_all(endpoint_id)
        return endpoint.locked_until

    # Finding

    def owned(self, asker: Identity, endpoint_id: UUID) -> Endpoint:
        """Return an endpoint that the asker may change."""
        endpoint = self._find(endpoint_id)
        if not _may_change(asker, endpoint):
            raise _forbidden(endpoint_id)
        return endpoint

    def visible(self, asker: Identity, endpoint_id: UUID) -> Endpoint:
        """Return an endpoint that the asker may see and submit to."""
        endpoint = self._find(endpoint_id)
        if not _may_see(asker, endpoint):
            raise _forbidden(endpoint_id)
        return endpoint

    def listed(self, asker: Identity, *, include_shared: bool) -> list[Endpoint]:
        """Return the asker's endpoints, or all that the asker may find."""
        may = _may_find if include_shared else _is_owner
        return [each for each in self._endpoints.values() if may(asker, each)]

    def knows(self, endpoint_id: UUID) -> bool:
        """Return whether an endpoint exists."""
        return endpoint_id in self._endpoints

    def is_high_assurance(self, endpoint_id: UUID) -> bool:
        """Return whether an endpoint's results must not be in queues."""
        endpoint = self._endpoints.get(endpoint_id)
        return endpoint is not None and endpoint.registration.high_assurance

    def every(self) -> list[Endpoint]:
        """Return all endpoints."""
        return list(self._endpoints.values())

    def users_of(self, endpoint_id: UUID) -> list[UserEndpoint]:
        """Return the user endpoints of an endpoint."""
        return [each for each in self._users.values() if each.parent == endpoint_id]

    def user(self, user_endpoint_id: UUID) -> UserEndpoint | None:
        """Return a user endpoint."""
        return self._users.get(user_endpoint_id)

    def user_for(
        self,
        asker: Identity,
        endpoint: Endpoint,
        config: dict[str, Any] | None,
        runtime: dict[str, Any] | None,
    ) -> UserEndpoint:
        """Return the user endpoint for a configuration; make it if there is none."""
        owner, config, runtime = asker.id, config or {}, runtime or {}
        if endpoint.direct:  # the endpoint itself runs everyone's tasks
            owner, config, runtime = endpoint.owner, {}, {}
        key = _key(endpoint.id, owner, config, runtime)
        user = self._by_config.get(key)
        if user is None:
            user = UserEndpoint(
                id=endpoint.id if endpoint.direct else uuid4(),
                parent=endpoint.id,
                owner=owner,
                config=config,
                runtime=runtime,
            )
            self._users.put(user)
            self._by_config[key] = user
        return user

    def _find(self, endpoint_id: UUID) -> Endpoint:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None:
            text = f"Endpoint {endpoint_id} could not be resolved."
            raise Unknown("ENDPOINT_NOT_FOUND", text)
        return endpoint

    # Heartbeats

    def note_heartbeat(self, endpoint_id: UUID, report: Mapping[str, Any]) -> None:
        """Note a heartbeat, which may say that the endpoint stops."""
        if endpoint_id not in self._endpoints and endpoint_id not in self._users:
            return
        period = report.get("heartbeat_period")
        period = float(period) if isinstance(period, int | float) else 30.0
        if period <= 0 or report.get("active") is False or "error" in report:
            self.stop(endpoint_id)
            return
        self._pulses[endpoint_id] = Pulse(self._clock(), report)
        self._asked_to_start.pop(endpoint_id, None)
        self._note(endpoint_id, online=True, period=period)

    def stop(self, endpoint_id: UUID) -> None:
        """Note that an endpoint, or a user endpoint, is offline."""
        self._pulses.pop(endpoint_id, None)
        self._asked_to_start.pop(endpoint_id, None)
        self._note(endpoint_id, online=False)

    def stop_all(self, endpoint_id: UUID) -> None:
        """Note that an endpoint and its user endpoints are offline."""
        self.stop(endpoint_id)
        for each in self.users_of(endpoint_id):
            self.stop(each.id)

    def is_online(self, endpoint_id: UUID) -> bool:
        """Return whether an endpoint, or a user endpoint, has sent a heartbeat recently."""
        pulse = self._pulses.get(endpoint_id)
        user = self._users.get(endpoint_id)
        living = user or self._endpoints.get(endpoint_id)
        if pulse is None or living is None:
            return False
        if (user.parent if user else endpoint_id) in self.held_offline:
            return False
        return self._clock() - pulse.at < MISSED_HEARTBEATS * living.heartbeat_period

    def report(self, endpoint_id: UUID) -> Mapping[str, Any]:
        """Return the report of an endpoint's last heartbeat."""
        pulse = self._pulses.get(endpoint_id)
        return pulse.report if pulse else {}

    def wants_start(self, user: UserEndpoint) -> bool:
        """Return whether its endpoint must now be asked to start a user endpoint."""
        if user.id == user.parent or self.is_online(user.id) or not self.is_online(user.parent):
            return False
        return self._clock() - self._asked_to_start.get(user.id, -START_SECONDS) >= START_SECONDS

    def asked_to_start(self, user: UserEndpoint) -> None:
        """Note that its endpoint has just been asked to start a user endpoint."""
        self._asked_to_start[user.id] = self._clock()

    def _note(self, endpoint_id: UUID, *, online: bool, period: float | None = None) -> None:
        # Only changes are written: most heartbeats cost no write.
        for table in (self._endpoints, self._users):
            living = table.get(endpoint_id)
            if living is None:
                continue
            changed = living.was_online != online
            living.was_online = online
            if period is not None and living.heartbeat_period != period:
                living.heartbeat_period = period
                changed = True
            if changed:
                table.put(living)  # type: ignore[arg-type]  # it came from there


def _key(
    endpoint_id: UUID, owner: UUID, config: Mapping[str, Any], runtime: Mapping[str, Any]
) -> tuple[UUID, UUID, str]:
    text = json.dumps([config, runtime], sort_keys=True) if config or runtime else ""
    return endpoint_id, owner, text


def _is_owner(asker: Identity, endpoint: Endpoint) -> bool:
    return asker.is_same_as(endpoint.owner)


def _may_change(asker: Identity, endpoint: Endpoint) -> bool:
    return _is_owner(asker, endpoint) or asker.id in endpoint.registration.admins


def _may_see(asker: Identity, endpoint: Endpoint) -> bool:
    registration = endpoint.registration
    return registration.public or registration.multi_user or _may_change(asker, endpoint)


def _may_find(asker: Identity, endpoint: Endpoint) -> bool:
    return endpoint.registration.public or _may_change(asker, endpoint)


def _forbidden(endpoint_id: UUID) -> Forbidden:
    text = f"Unauthorized access to endpoint {endpoint_id}"
    return Forbidden("ENDPOINT_ACCESS_FORBIDDEN", text)
