from search import search

from gc_warm import LocalExecutor, WarmExecutor

texts = ["socket timeout", "fork exec", "leap year", "unicode width"] * 250
with WarmExecutor(LocalExecutor(workers=2)) as executor:
    found = list(executor.map(search, texts))
    report = executor.report()
report.save("searches.html")
print(f"{len(found)} searches, at most 2 cold starts: {report.figures().cold <= 2}")
