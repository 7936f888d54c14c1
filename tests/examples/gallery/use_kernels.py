from kernels import energy

for positions in ([0.0, 1.0], [0.0, 1.0, 3.0]):
    call = executor.submit(energy.receipted, positions).result()
    print(f"{call.value:.4f} | cold starts: {call.receipt.cold_starts}")
