"""The services and an endpoint in a script."""

import tempfile
from pathlib import Path

from gc_warm.functions.counter import increase_count
from gc_warm.local.service.service import LocalService

folder = Path(tempfile.mkdtemp(), "two-workers")
folder.mkdir()
(folder / "config.yaml").write_text("display_name: Two workers\n")
(folder / "user_config_template.yaml.j2").write_text("""\
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: {{ workers|default(2) }}
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
""")

# --8<-- start
with LocalService() as service:
    endpoint = service.start_endpoint(folder)  # online when this returns
    with service.executor(endpoint.id, user_endpoint_config={"workers": 1}) as executor:
        futures = [executor.submit(increase_count) for _ in range(3)]
        print([future.result()["count"] for future in futures])
    print(service.client().get_endpoint_status(endpoint.id)["status"])
# --8<-- end
