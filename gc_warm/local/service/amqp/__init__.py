"""AMQP 0-9-1 as a broker speaks it: frames, queues, channels, peers."""
