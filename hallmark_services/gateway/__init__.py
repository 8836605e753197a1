"""Floor 3: the service in front of an engine - who may ask, is it really generating, and every byte passed on at once.

    client -> connection -> admission -> exchange -> pool -> engine
                         -> bridge -> control (FastAPI: /livez /healthz /version)

`python -m hallmark_services.gateway` starts it; `settings.py` says by which variables and arguments.
"""
