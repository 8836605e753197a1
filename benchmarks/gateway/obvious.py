"""The proxy that one writes first: FastAPI, httpx, StreamingResponse. No token, no limits, no health.

python obvious.py PORT ENGINE_URL
"""

from __future__ import annotations

import sys

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

port, engine_url = int(sys.argv[1]), sys.argv[2]
app = FastAPI()
client = httpx.AsyncClient(base_url=engine_url, timeout=600)
LEFT_OUT = {"host", "content-length", "transfer-encoding", "connection"}


@app.api_route("/v1/{path:path}", methods=["GET", "POST"])
async def proxy(request: Request, path: str) -> StreamingResponse:
    headers = {name: value for name, value in request.headers.items() if name not in LEFT_OUT}
    url = httpx.URL(path=f"/v1/{path}", query=request.url.query.encode())
    sent = client.build_request(request.method, url, headers=headers, content=await request.body())
    answer = await client.send(sent, stream=True)
    kept = {name: value for name, value in answer.headers.items() if name not in LEFT_OUT}
    return StreamingResponse(answer.aiter_raw(), answer.status_code, headers=kept, background=BackgroundTask(answer.aclose))


if __name__ == "__main__":
    uvicorn.run(app, port=port, log_level="info")
