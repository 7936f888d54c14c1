"""Ray: functions as tasks, and given to an actor."""

import sys
from functools import partial

import client_side
import ray


@ray.remote
class Holder:
    """An actor that calls what it is given."""

    def call(self, function, *args):
        return function(*args)


def run() -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80_000_000,
        _temp_dir=sys.argv[4],
    )
    task = ray.remote(use)
    submitted = ray.get([task.remote(folder, n) for n in range(20)])
    reused = ray.get([ray.remote(reuse).remote(used) for used in submitted])
    scaled = ray.remote(self_contained(partial(lab.scaled, 2, folder)))
    made = ray.get([scaled.remote(n) for n in range(20)])
    holder = Holder.remote()
    called = ray.get([holder.call.remote(use, folder, n) for n in range(20)])
    ray.shutdown()
    client_side.report(remote=submitted, reuse=reused, made=made, actor=called)


if __name__ == "__main__":
    run()
