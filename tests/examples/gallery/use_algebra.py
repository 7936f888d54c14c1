from algebra import evaluate

for expression in ("4 * a(1)", "2 ^ 100"):
    call = executor.submit(evaluate.receipted, expression).result()
    print(call.value, "| cold starts:", call.receipt.cold_starts)
