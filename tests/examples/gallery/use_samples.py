import sqlite3
from pathlib import Path

from samples import measure

path = str(Path("lab.db").absolute())
with sqlite3.connect(path) as database:
    database.execute("create table measurements (sample, value)")
    rows = [("a", 1.5), ("a", 2.5), ("b", 9.0)]
    database.executemany("insert into measurements values (?, ?)", rows)
database.close()

for sample in ("a", "b"):
    call = executor.submit(measure.receipted, path, sample).result()
    print(call.value, "| cold starts:", call.receipt.cold_starts)
