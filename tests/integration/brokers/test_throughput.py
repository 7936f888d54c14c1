"""How many messages a second go through each broker, with pika on both sides, each a process."""

import subprocess
import sys
import textwrap
import uuid

import pika
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCRIPT = textwrap.dedent("""
    import sys, time, pika

    role, url, queue, number, size = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    if role == "publish":
        for _ in range(number):
            channel.basic_publish("", queue, bytes(size))
    else:
        channel.basic_qos(prefetch_count=500)
        print("ready", flush=True)
        for count, (method, _, _) in enumerate(channel.consume(queue), 1):
            if count == 1:
                start = time.perf_counter()
            if count % 100 == 0:
                channel.basic_ack(method.delivery_tag, multiple=True)
            if count == number:
                break
        print(number / (time.perf_counter() - start))
    connection.close()
""")


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_throughput(embedded, rabbitmq, size, record_property):
    brokers = {"embedded": embedded, "RabbitMQ": rabbitmq}
    rates = {name: measure(broker.url, size) for name, broker in brokers.items()}
    for name, rate in rates.items():
        record_property(f"{name} messages per second of {size} bytes", round(rate))
        print(f"{name}: {rate:.0f} messages of {size} bytes per second")  # noqa: T201 - -s shows it
    assert rates["embedded"] > rates["RabbitMQ"] / 5


def measure(url, size):
    number = 10_000 if size < 10_000 else 2_000
    queue = f"queue-{uuid.uuid4()}"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue)
        arguments = [url, queue, str(number), str(size)]
        consume = [sys.executable, "-c", SCRIPT, "consume", *arguments]
        with subprocess.Popen(consume, stdout=subprocess.PIPE, text=True) as consumer:
            assert consumer.stdout
            consumer.stdout.readline()
            subprocess.run([sys.executable, "-c", SCRIPT, "publish", *arguments], check=True)
            rate = float(consumer.stdout.readline())
        channel.queue_delete(queue)
        return rate
