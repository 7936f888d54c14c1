from primes import count_primes

from gc_warm import LocalExecutor

with LocalExecutor(workers=2) as executor:
    print(executor.submit(count_primes, 1000).result(), "primes below 1000")

    futures = [executor.submit(count_primes.receipted, n) for n in range(0, 1_000_000, 2000)]
    receipts = [future.result().receipt for future in futures]

workers = {receipt.pid for receipt in receipts}
cold = sum(receipt.cold_starts for receipt in receipts)
print(f"{len(receipts)} more calls in {len(workers)} workers, {cold} cold start")
