"""The services beside an engine: the gateway before it, and the runtime sidecar for metrics, LoRA and downloads."""
