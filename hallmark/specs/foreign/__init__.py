"""Other projects' files, read as they stand: tt-inference-server's model specifications, vllm-spyre's model configs."""
