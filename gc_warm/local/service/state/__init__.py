"""What the services know, and what they do with it: no HTTP here, and no AMQP."""
