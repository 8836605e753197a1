"""Who may hold how many connections of a service, and who makes room; for the gateway and the sidecar alike."""
