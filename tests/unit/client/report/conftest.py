import pytest

from gc_warm.client.calls.records import TaskRecord

BEGIN = 1_800_000_000.0


def task(number, **fields):
    given = {
        "id": f"task{number}",
        "client": "laptop:1",
        "function": "lab.classify",
        "submitted": BEGIN,
        "received": BEGIN + 10,
        "host": "node",
        "pid": 100,
        "started": BEGIN + 1,
        "seconds": 8.0,
        "calls": 10,
        "warm": 9,
        "cold": 1,
        "hits": 9,
        "call_seconds": 8.0,
        "build_seconds": 4.0,
        "builds": (("lab.model", "'small'", 4.0, 0.0),),
        "slowest": ((5.0, 0), (1.0, 3)),
    }
    return TaskRecord(**given | fields)


@pytest.fixture
def records():
    """Two workers, of which one builds a model twice; and a task that is lost and tried again."""
    return [
        task(1),
        task(2, started=BEGIN + 10, received=BEGIN + 20, calls=100, warm=99, slowest=((7.5, 8),)),
        task(3, pid=200, failed=2, calls=9, warm=8),
        TaskRecord(
            *("lost", "laptop:1", "lab.classify", BEGIN, BEGIN + 5),
            lost="WorkerLost: Task failure due to loss of worker 0 on host node",
        ),
        task(
            4, client="laptop:2", pid=200, attempt=2, cold=0, builds=(), build_seconds=0.0, warm=10
        ),
    ]
