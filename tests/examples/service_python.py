"""The services and an endpoint in a script."""

import tempfile
from pathlib import Path

from gc_warm.functions.counter import increase_count
from gc_warm.local.service.service import LocalService

folder = Path(tempfile.mkdtemp(), "two-workers")
folder.mkdir()
(folder / "config.yaml").write_text("display_name: Two workers\n")
(folder / "user_config_template.yaml.j2").write_text(
    "engine: {type: ProcessPoolEngine, max_workers: {{ workers|default(2) }}}\n"
)

# --8<-- start
with LocalService() as service:
    endpoint = service.start_endpoint(folder)  # online when this returns
    with service.executor(endpoint.id, user_endpoint_config={"workers": 1}) as executor:
        futures = [executor.submit(increase_count) for _ in range(3)]
        print([future.result()["count"] for future in futures])
    print(service.client().get_endpoint_status(endpoint.id)["status"])
# --8<-- end
