"""Who may ask: identities, their secrets, and the tokens that they were given."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from gc_warm.local.service.records import Identity
from gc_warm.local.service.refusals import Unauthenticated
from gc_warm.local.service.store import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gc_warm.local.service.store import Store

TOKEN_SECONDS = 172_800.0
"""How long a token is good for."""

KEPT_TOKENS = 10_000


@dataclass(frozen=True)
class Token:
    """What says who is asking.

    Attributes:
        text: What is sent with each request.
        owner: Whose it is.
        resource_server: Which service it is for.
        scopes: What it is for.
        expires: Until when it is good.
    """

    text: str
    owner: UUID
    resource_server: str
    scopes: tuple[str, ...]
    issued: float
    expires: float


class Identities:
    """The identities, and their tokens, which nothing keeps: who has none gets one.

    Args:
        store: What keeps the identities.
        clock: What time it is, in seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._table = Table(store, Identity)
        self._tokens: dict[str, Token] = {}

    def named(
        self, username: str, *, groups: Iterable[UUID] = (), linked: Iterable[UUID] = ()
    ) -> Identity:
        """Return the identity that has a name, made now if there is none.

        Args:
            username: The name.
            groups: The Globus groups that it is a member of; more than it was before.
            linked: Other identities of the same person; they are linked to it, too.
        """
        known = next((each for each in self._table.values() if each.username == username), None)
        identity = known or Identity(username=username, secret=secrets.token_urlsafe(32))
        identity.groups |= frozenset(groups)
        identity.linked |= frozenset(linked)
        others = [self._table[each] for each in identity.linked]
        for other in others:
            other.linked |= {identity.id}
        self._table.put(identity, *others)
        return identity

    def get(self, identity_id: UUID) -> Identity | None:
        """Return the identity that has an id."""
        return self._table.get(identity_id)

    def all_of(self, identity: Identity) -> list[Identity]:
        """Return an identity and those that are linked to it."""
        return [identity, *(self._table[each] for each in sorted(identity.linked))]

    def log_in(self, client_id: str, secret: str) -> Identity:
        """Return whose client id and secret these are.

        Raises:
            Unauthenticated: Nobody's.
        """
        try:
            identity = self._table.get(UUID(client_id))
        except ValueError:
            identity = None
        # Compared even where there is nothing to compare with, so that time tells nothing.
        expected = identity.secret if identity else secrets.token_urlsafe(32)
        if not hmac.compare_digest(secret.encode(), expected.encode()) or identity is None:
            raise Unauthenticated("invalid_client", "The client id or its secret is wrong.")
        return identity

    def issue(self, owner: Identity, resource_server: str, scopes: Iterable[str]) -> Token:
        """Give someone a token for a service."""
        now = self._clock()
        text = secrets.token_urlsafe(32)
        token = Token(
            text, owner.id, resource_server, tuple(scopes), issued=now, expires=now + TOKEN_SECONDS
        )
        self._tokens[text] = token
        while len(self._tokens) > KEPT_TOKENS:
            self._tokens.pop(next(iter(self._tokens)))
        return token

    def token(self, text: str) -> Token | None:
        """Return a token that is still good."""
        token = self._tokens.get(text)
        if token is not None and token.expires <= self._clock():
            del self._tokens[text]
            return None
        return token

    def bearer(self, text: str, resource_server: str) -> Identity:
        """Return whose token for a service this is.

        Raises:
            Unauthenticated: It is no token, or is for another service, or has expired.
        """
        token = self.token(text)
        identity = self._table.get(token.owner) if token else None
        if token is None or identity is None or token.resource_server != resource_server:
            raise Unauthenticated("USER_UNAUTHENTICATED", "The token is missing, wrong or expired.")
        return identity

    def revoke(self, text: str) -> None:
        """Let a token be good for nothing."""
        self._tokens.pop(text, None)

    def expire_all(self) -> None:
        """Let all tokens be good for nothing."""
        self._tokens.clear()
