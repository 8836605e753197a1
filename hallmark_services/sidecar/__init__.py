"""The runtime sidecar: one metrics endpoint whatever the engine, and models and adapters moved onto the machine safely."""
