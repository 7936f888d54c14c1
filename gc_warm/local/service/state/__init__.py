"""The services' state and rules, without HTTP and AMQP."""
