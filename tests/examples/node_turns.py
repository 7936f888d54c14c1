import time

from gc_warm import LocalExecutor, self_contained, warm


@warm(builds_per_node=1)
def model(name: str) -> str:
    time.sleep(0.5)  # while it loads, it takes all cores, and twice its memory
    return name


@self_contained
def use(name: str) -> str:
    time.sleep(0.2)
    return model(name)


if __name__ == "__main__":
    with LocalExecutor(workers=2) as executor:
        futures = [executor.submit(use.receipted, "small") for _ in range(4)]
        receipts = [future.result().receipt for future in futures]
    print(sum(receipt.cold_starts for receipt in receipts), "builds")
    print("one of them waited:", max(receipt.node_wait_seconds for receipt in receipts) > 0.1)
