"""Identities, their secrets, and their tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from gc_warm.local.service.state.records import Identity, Token
from gc_warm.local.service.state.refusals import Unauthenticated
from gc_warm.local.service.state.store import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gc_warm.local.service.state.store import Store

TOKEN_SECONDS = 172_800.0
"""How long a token is valid."""

KEPT_TOKENS = 10_000


class Identities:
    """The identities, and their tokens, of which only hashes are kept.

    Args:
        store: Keeps the records.
        clock: Returns the time, in seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._table = Table(store, Identity)
        self._tokens = Table(store, Token)
        self._drop_expired()

    def named(
        self, username: str, *, groups: Iterable[UUID] = (), linked: Iterable[UUID] = ()
    ) -> Identity:
        """Return the identity with a name; make it if there is none.

        Args:
            username: The name.
            groups: Globus groups to add the identity to.
            linked: Other identities of the same person; the links go both ways.
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

    def __getitem__(self, identity_id: UUID) -> Identity:
        return self._table[identity_id]

    def get(self, identity_id: UUID) -> Identity | None:
        """Return the identity with an id, if there is one."""
        return self._table.get(identity_id)

    def all_of(self, identity: Identity) -> list[Identity]:
        """Return an identity and those that are linked to it."""
        return [identity, *(self._table[each] for each in sorted(identity.linked))]

    def log_in(self, client_id: str, secret: str) -> Identity:
        """Return the identity with a client id and secret.

        Raises:
            Unauthenticated: There is none.
        """
        try:
            identity = self._table.get(UUID(client_id))
        except ValueError:
            identity = None
        # Compare in any case, so that the time taken does not tell which ids exist.
        expected = identity.secret if identity else secrets.token_urlsafe(32)
        if not hmac.compare_digest(secret.encode(), expected.encode()) or identity is None:
            raise Unauthenticated("invalid_client", "The client id or its secret is wrong.")
        return identity

    def issue(
        self, owner: Identity, resource_server: str, scopes: Iterable[str]
    ) -> tuple[str, Token]:
        """Issue a token for a service; return its text, which is not kept, and its record."""
        now = self._clock()
        text = secrets.token_urlsafe(32)
        token = Token(
            id=_hash(text),
            owner=owner.id,
            resource_server=resource_server,
            scopes=tuple(scopes),
            issued=now,
            expires=now + TOKEN_SECONDS,
        )
        self._drop_expired()
        if len(self._tokens) >= KEPT_TOKENS:
            self._tokens.drop(next(iter(self._tokens.keys())))
        self._tokens.put(token)
        return text, token

    def _drop_expired(self) -> None:
        now = self._clock()
        self._tokens.drop(*(each.id for each in self._tokens.values() if each.expires <= now))

    def token(self, text: str) -> Token | None:
        """Return the record of a token, if it is valid."""
        token = self._tokens.get(_hash(text))
        return token if token is not None and token.expires > self._clock() else None

    def bearer(self, text: str, resource_server: str) -> Identity:
        """Return the owner of a token for a service.

        Raises:
            Unauthenticated: It is not a token, is for another service, or has expired.
        """
        token = self.token(text)
        identity = self._table.get(token.owner) if token else None
        if token is None or identity is None or token.resource_server != resource_server:
            raise Unauthenticated("USER_UNAUTHENTICATED", "The token is missing, wrong or expired.")
        return identity

    def revoke(self, text: str) -> None:
        """Revoke a token."""
        self._tokens.drop(_hash(text))

    def expire_all(self) -> None:
        """Expire all tokens."""
        self._tokens.drop(*self._tokens.keys())


def _hash(text: str) -> UUID:
    """Return half of a token's SHA-256: tokens are random, so 128 bits are enough."""
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])
