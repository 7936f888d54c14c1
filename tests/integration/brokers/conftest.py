"""The two brokers: ours, in a thread with a loop of its own, and RabbitMQ."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from gc_warm.local.service.amqp.broker import Broker

USER, PASSWORD = "someone", "p@ss/word"


@dataclass
class Embedded:
    """A broker and the thread in which it runs."""

    broker: Broker
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self):
        self._thread = threading.Thread(target=self.loop.run_forever, name="broker")
        self._thread.start()
        self.wait(self.broker.start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait(self.broker.stop())
            left = self.call(lambda: [task for task in asyncio.all_tasks() if not task.done()])
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()
        assert [] == left

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the broker's thread."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return future.result(30)

    @property
    def url(self) -> str:
        return self.broker.url(USER)

    @property
    def port(self) -> int:
        return self.broker.port


@pytest.fixture
def embedded() -> Iterator[Embedded]:
    with Embedded(Broker({USER: PASSWORD})) as running:
        yield running


@pytest.fixture
def start_broker():
    """Start brokers with options."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Embedded(Broker({USER: PASSWORD}, **options)))


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest):
    """Each of the brokers."""
    return request.getfixturevalue(request.param)
