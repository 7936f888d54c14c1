"""Several people, what they may see of each other, and a file that remembers."""

from gc_warm.local.service.service import LocalService

with LocalService(port=0, identities=("alice", "bob"), state="state.db") as service:
    alice, bob = (service.client(service.identity(name)) for name in ("alice", "bob"))
    private = alice.register_function(pow)
    public = alice.register_function(divmod, public=True)
    print(bob.get_function(public)["function_name"])
    try:
        bob.get_function(private)
    except Exception as error:
        print(error.http_status)

with LocalService(port=0, identities=("alice", "bob"), state="state.db") as service:
    print(service.client().get_function(private)["function_name"])  # as alice
