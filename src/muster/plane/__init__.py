"""Messages: the only room that knows NATS and MQTT. It asks the core and tells the broker."""
