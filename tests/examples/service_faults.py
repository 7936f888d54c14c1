"""What goes wrong on request, without an endpoint."""

from gc_warm.local.service.service import LocalService

with LocalService(port=0) as service:  # any free port will do: no agent is to find it
    client = service.client()
    service.faults.server_error(2)  # the SDK asks again
    service.faults.expire_tokens()  # the SDK gets a new one
    function_id = client.register_function(pow)
    service.faults.refuse()
    try:
        client.get_function(function_id)
    except Exception as error:
        print(type(error).__name__, error.http_status)
