"""The program of a user endpoint's process, with the test in place of the web services' queues.

``python interchange.py ADDRESS CONFIG PERIOD`` loads a rendered config and runs the
endpoint's own interchange: what counts heartbeats, gives tasks to the engine, and decides when the
process ends. Only the two classes that speak AMQP are replaced, by a connection to the test; and
heartbeats come every PERIOD seconds, where a config cannot ask for less than five.
"""

import os
import sys
import threading
import uuid
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Client, Connection
from pathlib import Path

from globus_compute_endpoint.endpoint import interchange
from globus_compute_endpoint.endpoint.config.utils import load_config_yaml

QUEUES = {f"{name}_queue_info": {"kind": name} for name in ("task", "result", "heartbeat")}


class Publisher:
    """Stands for the class that publishes results and heartbeats."""

    connection: Connection
    lock = threading.Lock()

    def __init__(self, *, cred_fn):
        self.kind = cred_fn()["kind"]
        self.is_open = True

    def publish(self, message):
        done = Future()
        if not self.is_open:
            return done  # as with the real one, nobody will ever send it
        with self.lock, suppress(OSError):  # the test may be gone
            self.connection.send((self.kind, message))
        done.set_result(None)
        return done

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_open = False


class Subscriber:
    """Stands for the class that receives tasks."""

    connection: Connection

    def __init__(self, *, pending_task_queue, **_):
        self.pending = pending_task_queue

    def __enter__(self):
        threading.Thread(target=self.receive, daemon=True).start()
        return self

    def __exit__(self, *_):
        pass

    def receive(self):
        with suppress(EOFError, OSError):
            while True:
                self.pending.put(self.connection.recv())

    def ack(self, tag):
        pass


def main(address, config, period):
    run_dir = str(Path(config).parent)
    with Client(address) as connection:
        Publisher.connection = Subscriber.connection = connection
        interchange.ResultPublisher = Publisher
        interchange.TaskQueueSubscriber = Subscriber
        endpoint = interchange.EndpointInterchange(
            config=load_config_yaml(Path(config).read_text()),
            cred_fn=lambda: {"amqp_creds": QUEUES},
            ep_info={},
            logdir=run_dir,
            endpoint_id=str(uuid.uuid4()),
            endpoint_dir=run_dir,
            parent_pid=os.getppid(),  # it ends with the test, whatever happens
        )
        endpoint.heartbeat_period = float(period)
        endpoint.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
