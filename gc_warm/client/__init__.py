"""Over any executor: registering functions, and remembering their ids."""
