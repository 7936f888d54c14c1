"""What goes wrong on request, asked for as from another process."""

import requests

from gc_warm.local.service.service import LocalService

with LocalService(port=0) as service:
    user = service.identity()
    answer = requests.post(
        f"{service.url}/control/faults",
        json={"server_error": {"n": 2, "status": 502}, "expire_tokens": {}},
        auth=(str(user.id), user.secret),
        timeout=10,
    )
    print(answer.status_code, service.client().get_endpoints())  # the SDK asked again
