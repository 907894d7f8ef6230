"""A FastAPI service that accepts only requests that the gateway has signed.

ORIGIN_HMAC=... ORIGIN_URL=http://127.0.0.1:9203 python3 -m uvicorn fastapi_origin:app --app-dir docs/examples --port 9203
"""

import os

from fastapi import FastAPI, Request
from signed_origin import SignedOnly

app = FastAPI()
app.add_middleware(SignedOnly, origin=os.environ["ORIGIN_URL"], secret=os.environ["ORIGIN_HMAC"])


@app.api_route("/{path:path}", methods=["GET", "POST"])
async def echo(request: Request):
    return {"ok": True, "bytes": len(await request.body())}
