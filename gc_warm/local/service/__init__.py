"""A stand-in for the services of Globus Compute: REST, Auth and AMQP, on loopback."""
