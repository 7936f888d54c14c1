from gc_warm.functions.counter import increase_count


def test_workers_stay_warm(gc_endpoint):
    endpoint = gc_endpoint("endpoint_configs/mine")
    executor = endpoint.executor(user_endpoint_config={"workers": 1})
    counts = [executor.submit(increase_count).result()["count"] for _ in range(3)]
    assert counts == [1, 2, 3]


def test_results_come_although_connections_are_lost(gc_endpoint, gc_service):
    executor = gc_endpoint("endpoint_configs/mine").executor()
    futures = [executor.submit(pow, number, 2) for number in range(20)]
    gc_service.faults.drop_connections()
    assert [future.result() for future in futures] == [number**2 for number in range(20)]
