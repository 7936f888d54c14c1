import sys
from pathlib import Path

from gc_warm import WarmProcess
from gc_warm.errors import RequestFailedError

SOLVER = Path(__file__).with_name("solver.py")

with WarmProcess([sys.executable, SOLVER], timeout=60) as solver:
    print(solver.call({"n": 12}))
    try:
        solver.call({"m": 12})
    except RequestFailedError as error:
        print(error.type_name, error.text)
    info = solver.info()
    print(info.calls, "calls,", info.restarts, "restarts")
