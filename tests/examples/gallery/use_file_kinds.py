from file_kinds import kind

for text in ("import os\nprint(os.getcwd())\n" * 9, "name,count\n" + "row,17\n" * 99):
    call = executor.submit(kind.receipted, text).result()
    print(call.value, "| cold starts:", call.receipt.cold_starts)
