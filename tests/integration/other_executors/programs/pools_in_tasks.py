"""Pools that are started inside a task."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import client_side


def run() -> None:
    client_side.begin()
    import lab_family

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        functions = {"loky": lab_family.by_loky, "joblib": lab_family.by_joblib}
        found = {name: executor.submit(each).result(60) for name, each in functions.items()}
    print(json.dumps(found))  # noqa: T201  (its answer)


if __name__ == "__main__":
    run()
