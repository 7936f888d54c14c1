"""Who is at work."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from gc_warm.worker.state.slot import Token


def work(then):
    token = Token()
    return then(token)


def test_a_call_is_at_work_while_it_runs():
    assert work(Token.at_work)


def test_a_traceback_keeps_the_token_of_a_call_that_has_ended():
    def fail(token):
        kept.append(weakref.ref(token))
        raise ValueError

    kept = []
    with pytest.raises(ValueError) as raised:
        work(fail)
    token = kept[0]()
    assert token is not None  # so that it lives does not say that its call does
    assert not token.at_work()
    del token, raised
    gc.collect()
    assert kept[0]() is None


def test_a_call_in_another_thread_is_at_work():
    started, done = threading.Event(), threading.Event()
    tokens = []

    def wait(token):
        tokens.append(token)
        started.set()
        done.wait()

    thread = threading.Thread(target=work, args=[wait])
    thread.start()
    started.wait()
    assert tokens[0].at_work()
    done.set()
    thread.join()
    assert not tokens[0].at_work()
