import uuid
from typing import NamedTuple

import pytest

from gc_warm.local.service.state.records import (
    Endpoint,
    Function,
    Group,
    Registration,
    UserEndpoint,
)
from gc_warm.local.service.state.refusals import (
    Forbidden,
    Locked,
    TooLarge,
    Unauthenticated,
    Unknown,
)
from gc_warm.local.service.state.state import State, Submission
from gc_warm.local.service.state.store import SqliteStore
from gc_warm.local.service.state.tasks import Ended
from gc_warm.units import MAX_SUBMISSION_BYTES


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(clock):
    return State(clock=clock)


@pytest.fixture
def alice(state):
    return state.identities.named("alice")


@pytest.fixture
def bob(state):
    return state.identities.named("bob")


def function_of(state, owner, **options):
    function = Function(owner=owner.id, name="f", code="code", **options)
    state.functions.register(function)
    return function


def endpoint_of(state, owner, **options):
    endpoint = Endpoint(owner=owner.id, registration=Registration(name="e", **options))
    state.endpoints.register(endpoint)
    return endpoint


class Submitted(NamedTuple):
    group: Group
    tasks: dict[uuid.UUID, list[uuid.UUID]]
    user_endpoint: UserEndpoint


def submit(state, owner, endpoint, function, n=1, **options):
    payloads = {function.id: ["payload"] * n}
    group, tasks = state.submit(owner, endpoint.id, Submission(tasks=payloads, **options))
    ids = {function.id: [each.id for each in tasks]}
    return Submitted(group, ids, state.endpoints.user(tasks[0].user_endpoint))


# Functions


def test_a_function_is_its_owners(state, alice, bob):
    function = function_of(state, alice)

    with pytest.raises(Forbidden, match=str(function.id)):
        state.functions.find(bob, function.id)


def test_a_public_function_is_everyones(state, alice, bob):
    function = function_of(state, alice, public=True)

    assert function == state.functions.find(bob, function.id)


def test_a_function_of_a_group_is_its_members(state, alice, bob):
    group = uuid.uuid4()
    function = function_of(state, alice, group=group)
    carol = state.identities.named("carol", groups=[group])

    assert function == state.functions.find(carol, function.id)
    with pytest.raises(Forbidden):
        state.functions.find(bob, function.id)


def test_a_linked_identity_is_the_same_person(state, alice):
    function = function_of(state, alice)
    other = state.identities.named("alice2", linked=[alice.id])

    assert function == state.functions.find(other, function.id)


def test_a_public_function_is_deleted_by_its_owner_only(state, alice, bob):
    function = function_of(state, alice, public=True)

    with pytest.raises(Forbidden):
        state.functions.delete(bob, function.id)


def test_a_deleted_function_is_unknown(state, alice):
    function = function_of(state, alice)
    state.functions.delete(alice, function.id)

    with pytest.raises(Unknown):
        state.functions.find(alice, function.id)


def test_a_function_may_be_too_large(state, alice):
    with pytest.raises(TooLarge):
        state.functions.register(
            Function(owner=alice.id, name="f", code="x" * (MAX_SUBMISSION_BYTES + 1))
        )


# Endpoints


def test_an_endpoint_is_offline_until_it_is_heard(state, alice):
    endpoint = endpoint_of(state, alice)

    assert not state.endpoints.is_online(endpoint.id)
    state.endpoints.note_heartbeat(endpoint.id, {"heartbeat_period": 30})
    assert state.endpoints.is_online(endpoint.id)


def test_an_endpoint_that_misses_heartbeats_is_offline(state, alice, clock):
    endpoint = endpoint_of(state, alice)
    state.endpoints.note_heartbeat(endpoint.id, {"heartbeat_period": 30})

    clock.now += 74
    assert state.endpoints.is_online(endpoint.id)
    clock.now += 1
    assert not state.endpoints.is_online(endpoint.id)


def test_with_an_endpoint_its_user_endpoints_stop(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    both = [endpoint.id, submit(state, alice, endpoint, function).user_endpoint.id]
    for each in both:
        state.endpoints.note_heartbeat(each, {"heartbeat_period": 30})
    state.endpoints.stop_all(endpoint.id)

    assert [False, False] == [state.endpoints.is_online(each) for each in both]


@pytest.mark.parametrize("said", [{"heartbeat_period": 0}, {"active": False}, {"error": "no"}])
def test_an_endpoint_says_that_it_stops(state, alice, said):
    endpoint = endpoint_of(state, alice)
    state.endpoints.note_heartbeat(endpoint.id, {"heartbeat_period": 30})
    state.endpoints.note_heartbeat(endpoint.id, {"heartbeat_period": 30, **said})

    assert not state.endpoints.is_online(endpoint.id)


def test_a_locked_endpoint_cannot_register_for_a_while(state, alice, clock):
    endpoint = endpoint_of(state, alice)
    until = state.endpoints.lock(alice, endpoint.id)

    with pytest.raises(Locked):
        state.endpoints.update(alice, endpoint.id, endpoint.registration)
    clock.now = until
    assert endpoint.id == state.endpoints.update(alice, endpoint.id, endpoint.registration).id


def test_an_endpoint_may_have_admins(state, alice, bob):
    endpoint = endpoint_of(state, alice, admins=(bob.id,))

    assert endpoint == state.endpoints.owned(bob, endpoint.id)


def test_others_see_what_is_public(state, alice, bob):
    endpoint_of(state, alice)
    shared = endpoint_of(state, alice, multi_user=True)
    public = endpoint_of(state, alice, public=True)

    assert shared == state.endpoints.visible(bob, shared.id)
    assert [] == state.endpoints.listed(bob, include_shared=False)
    assert [public] == state.endpoints.listed(bob, include_shared=True)


def test_the_same_config_is_the_same_user_endpoint(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    options = {"user_endpoint_config": {"a": 1, "b": 2}, "user_runtime": {"python": "3"}}
    reordered = {"user_endpoint_config": {"b": 2, "a": 1}, "user_runtime": {"python": "3"}}

    first = submit(state, alice, endpoint, function, **options)
    assert (
        first.user_endpoint == submit(state, alice, endpoint, function, **reordered).user_endpoint
    )


@pytest.mark.parametrize("other", [{"user_endpoint_config": {"a": 2}}, {"user_runtime": {"a": 1}}])
def test_another_config_or_runtime_is_another_user_endpoint(state, alice, other):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    first = submit(state, alice, endpoint, function, user_endpoint_config={"a": 1})

    assert first.user_endpoint != submit(state, alice, endpoint, function, **other).user_endpoint


def test_a_user_endpoint_wants_to_be_started_once(state, alice, clock):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    state.endpoints.note_heartbeat(endpoint.id, {"heartbeat_period": 300})
    user = submit(state, alice, endpoint, function).user_endpoint

    assert state.endpoints.wants_start(user)
    state.endpoints.asked_to_start(user)
    assert not state.endpoints.wants_start(user)
    clock.now += 60
    assert state.endpoints.wants_start(user)


def test_a_user_endpoint_is_not_started_while_its_endpoint_is_offline(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)

    assert not state.endpoints.wants_start(submit(state, alice, endpoint, function).user_endpoint)


def test_unknown_heartbeats_are_ignored(state):
    stranger = uuid.uuid4()
    state.endpoints.note_heartbeat(stranger, {"heartbeat_period": 30})

    assert not state.endpoints.is_online(stranger)


# Tasks


def test_a_function_that_an_endpoint_does_not_allow(state, alice):
    function = function_of(state, alice)
    endpoint = endpoint_of(state, alice, allowed_functions=(uuid.uuid4(),))

    with pytest.raises(Forbidden, match="not permitted"):
        submit(state, alice, endpoint, function)


def test_a_submission_is_refused_as_a_whole(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    tasks = {function.id: ["payload"], uuid.uuid4(): ["payload"]}

    with pytest.raises(Unknown):
        state.submit(alice, endpoint.id, Submission(tasks=tasks))
    assert [] == state.tasks.take_waiting()


def test_a_group_that_nobody_made_is_made(state, alice, bob):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    group_id = uuid.uuid4()

    assert group_id == submit(state, alice, endpoint, function, task_group_id=group_id).group.id
    assert state.tasks.is_of(alice, group_id)
    with pytest.raises(Forbidden, match="group"):
        state.tasks.group(bob, group_id)


def test_someone_elses_group_cannot_be_joined(state, alice, bob):
    endpoint, function = endpoint_of(state, alice, public=True), function_of(state, alice)
    public = function_of(state, bob, public=True)
    group = submit(state, alice, endpoint, function).group

    with pytest.raises(Forbidden, match="group"):
        submit(state, bob, endpoint, public, task_group_id=group.id)


def test_the_first_of_two_results_counts(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    submitted = submit(state, alice, endpoint, function)
    (task_id,) = submitted.tasks[function.id]
    sender = submitted.user_endpoint.id

    state.tasks.finish([Ended(task_id, "first", is_error=False, sender=sender)])
    state.tasks.finish([Ended(task_id, "second", is_error=True, sender=sender)])
    assert "first" == state.tasks.find(alice, task_id).outcome.message


def test_nobody_is_believed_about_others_tasks(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    (task_id,) = submit(state, alice, endpoint, function).tasks[function.id]

    state.tasks.finish([Ended(task_id, "forged", is_error=False, sender=uuid.uuid4())])
    assert state.tasks.find(alice, task_id).outcome is None


def test_what_was_taken_is_taken_once_until_all_starts_over(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    submit(state, alice, endpoint, function, 2)

    first, second = state.tasks.take_waiting()
    state.tasks.delivered([first.id])
    assert [] == state.tasks.take_waiting()
    state.tasks.start_over()
    assert [second] == state.tasks.take_waiting()


def test_only_groups_with_a_queue_are_told(state, alice):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    silent = submit(state, alice, endpoint, function).tasks[function.id]
    told = submit(state, alice, endpoint, function, create_queue=True).tasks[function.id]

    state.tasks.finish([Ended(each, "", is_error=False) for each in (*silent, *told)])
    assert told == [each.id for each in state.tasks.take_unannounced()]


def test_results_are_kept_for_two_weeks(state, alice, clock):
    endpoint, function = endpoint_of(state, alice), function_of(state, alice)
    submitted = submit(state, alice, endpoint, function, 2)
    first, second = submitted.tasks[function.id]

    state.tasks.finish([Ended(first, "", is_error=False)])
    clock.now += 15 * 86_400
    state.tasks.finish([Ended(second, "", is_error=False)])
    assert [second] == [each.id for each in state.tasks.members(submitted.group)]


# Restarts


@pytest.fixture
def reopen(tmp_path, clock):
    stores = []

    def again():
        while stores:
            stores.pop().close()
        stores.append(SqliteStore(tmp_path / "state.db"))
        return State(stores[0], clock=clock)

    yield again
    stores.pop().close()


def test_everything_is_there_after_a_restart(reopen):
    state = reopen()
    alice = state.identities.named("alice")
    endpoint, function = endpoint_of(state, alice), function_of(state, alice, description="what")
    submitted = submit(state, alice, endpoint, function, 3, create_queue=True)
    waiting, delivered, done = submitted.tasks[function.id]
    state.tasks.delivered([delivered])
    state.tasks.finish([Ended(done, "result", is_error=False)])

    state = reopen()
    assert alice == state.identities.log_in(str(alice.id), alice.secret)
    assert function == state.functions.find(alice, function.id)
    assert endpoint == state.endpoints.visible(alice, endpoint.id)
    assert [waiting] == [each.id for each in state.tasks.take_waiting()]
    assert [done] == [each.id for each in state.tasks.take_unannounced()]
    assert {waiting, delivered} == state.tasks.open_at(submitted.user_endpoint.id)
    again = submit(state, alice, endpoint, function)
    assert submitted.user_endpoint == again.user_endpoint


def test_who_was_online_still_is_after_a_restart(reopen, clock):
    state = reopen()
    endpoint = endpoint_of(state, state.identities.named("alice"))
    state.endpoints.note_heartbeat(endpoint.id, {"heartbeat_period": 30})

    state = reopen()
    assert state.endpoints.is_online(endpoint.id)
    clock.now += 75
    assert not state.endpoints.is_online(endpoint.id)


def test_what_fails_halfway_is_not_kept(reopen):
    state = reopen()

    def half() -> None:
        with state.store.together():
            state.identities.named("alice")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()

    assert {} == dict(reopen().identities._table)


def test_tokens_hold_across_a_restart(reopen, clock, tmp_path):
    state = reopen()
    alice = state.identities.named("alice")
    old, _ = state.identities.issue(alice, "compute", ["all"])
    clock.now += 1
    good, token = state.identities.issue(alice, "compute", ["all"])
    revoked, _ = state.identities.issue(alice, "compute", ["all"])
    state.identities.revoke(revoked)
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert [False, False] == [each.encode() in kept for each in (good, good[:16])]

    clock.now = token.expires - 0.5
    state = reopen()
    assert alice == state.identities.bearer(good, "compute")
    for text in (old, revoked, str(token.id)):
        with pytest.raises(Unauthenticated):
            state.identities.bearer(text, "compute")
    assert {token.id} == set(state.identities._tokens.keys())

    state.identities.expire_all()
    assert reopen().identities.token(good) is None


# Identities


def test_a_secret_must_be_right(state, alice):
    with pytest.raises(Unauthenticated):
        state.identities.log_in(str(alice.id), "wrong")
    with pytest.raises(Unauthenticated):
        state.identities.log_in("nobody", alice.secret)


def test_a_token_expires(state, alice, clock):
    text, token = state.identities.issue(alice, "compute", ["all"])

    assert alice == state.identities.bearer(text, "compute")
    clock.now = token.expires
    with pytest.raises(Unauthenticated):
        state.identities.bearer(text, "compute")


def test_a_token_is_for_one_service(state, alice):
    text, _ = state.identities.issue(alice, "auth", ["openid"])

    with pytest.raises(Unauthenticated):
        state.identities.bearer(text, "compute")
