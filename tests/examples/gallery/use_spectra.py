from spectra import closest

for number in (0, 1):
    call = executor.submit(closest.receipted, number, 5000).result()
    receipt = call.receipt
    print(call.value, "| folders filled:", receipt.node_cold_starts, "| hits:", receipt.hits)
