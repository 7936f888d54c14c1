from pathlib import Path

from simulation import note

from gc_warm import LocalExecutor

path = str(Path("journal.txt").absolute())
with LocalExecutor(workers=1) as executor:
    executor.submit(note, path, "first").result()
    executor.submit(note, path, "second").result()
    print("written while the worker lives:", Path(path).exists())
print(Path(path).read_text())
