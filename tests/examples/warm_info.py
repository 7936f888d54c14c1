import json

import gc_warm
from gc_warm import self_contained, warm


@warm
def model(name: str) -> str:
    return name.upper()


@self_contained
def work(name: str) -> str:
    return model(name) + model(name) + model(name)


receipt = work.receipted("small").receipt
print(f"the first call: {receipt.cold_starts} cold start, {receipt.hits} hits")
receipt = work.receipted("small").receipt
print(f"the second: {receipt.cold_starts} cold starts, {receipt.hits} hits")
work("large")

info = model.info()
print(f"{info.hits} hits, {info.misses} misses, {info.evictions} eviction")
for entry in info.entries:
    print(f"model({entry.arguments}): {entry.hits} hits")

print(json.dumps(gc_warm.stats(), indent=2))
