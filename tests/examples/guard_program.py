from gc_warm import Limits, RestartPolicy, Sentinel, WarmProcess

# --8<-- start
program = WarmProcess(
    ["sh"],
    framing=Sentinel('echo "{token}"'),
    timeout=60,  # seconds for a call; then it is stopped, and the next call gets a fresh one
    start_timeout=120,  # seconds to become ready
    max_calls=10_000,  # then it is started anew: against leaks
    max_rss=2 * 1024**3,  # bytes; likewise
    idle_timeout=600,  # seconds without a call; then it is stopped until the next
    restarts=RestartPolicy(budget=5, window=60, backoff=0.1),
    limits=Limits(memory=4 * 1024**3, cpu_seconds=3600),
    env={"OMP_NUM_THREADS": "1", "DISPLAY": None},
)
# --8<-- end
with program:
    print(program.call("echo $OMP_NUM_THREADS"), end="")
