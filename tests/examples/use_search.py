from search import search

from gc_warm import LocalExecutor

with LocalExecutor(workers=2) as executor:
    for text in ("socket timeout", "fork exec", "leap year"):
        call = executor.submit(search.receipted, text).result()
        cold = "1 cold start" if call.receipt.cold_starts else "0 cold starts"
        print(f"{text}: {len(call.value)} modules, {cold}, pid {call.receipt.pid}")
