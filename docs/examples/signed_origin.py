"""An origin that accepts only requests that the gateway has signed (an upstream with `sign` and hmac-sha256).

Needs only Python 3.9:
    ORIGIN_HMAC=... ORIGIN_URL=http://127.0.0.1:9202 python3 docs/examples/signed_origin.py
For FastAPI, or another ASGI framework, see fastapi_origin.py.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Exactly the form that the gateway writes: any other was not signed by it.
INPUT = re.compile(
    r'sig1=(\(([^)]*)\);created=([0-9]{1,12});expires=([0-9]{1,12});nonce="([A-Za-z0-9_-]{1,64})"'
    r';keyid="[^"]*";alg="hmac-sha256")'
)
SIGNATURE = re.compile(r"sig1=:([A-Za-z0-9+/]{43}=):")
CLOCK_SKEW_SECONDS = 5
# Of two threads with the same nonce only one may accept it.
NONCE_LOCK = threading.Lock()


def joined(fields):
    """Values by lower-case name; several lines of one name are joined (RFC 9421 2.1), so that an added line changes the value."""
    headers = {}
    for name, value in fields:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def objection_to(method, url, headers, body, secret, seen, now=None):
    """The reason why a request was not signed by the gateway; None when it was.

    url: the target as in the gateway's routes.json, with the raw path and query of the request.
    headers: values by lower-case name. body, secret: bytes.
    seen: nonce -> expiry in seconds; one dict for the whole process, shared storage if there are several.
    """
    now = time.time() if now is None else now
    given = INPUT.fullmatch(headers.get("signature-input", ""))
    signature = SIGNATURE.fullmatch(headers.get("signature", ""))
    if not given or not signature:
        return "not signed"
    parameters, names, created, expires, nonce = given.groups()
    covered = [name[1:-1] for name in names.split(" ")]
    required = ["@method", "@target-uri"] + (["content-digest"] if body else [])
    if not all(name in covered for name in required):
        return "does not cover enough"

    values = {**headers, "@method": method, "@target-uri": url}
    lines = [f'"{name}": {values.get(name)}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    expected = hmac.new(secret, base.encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(expected, base64.b64decode(signature[1])):
        return "signature does not match"

    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
    if "content-digest" in covered and headers["content-digest"] != digest:
        return "another body"
    if int(created) > now + CLOCK_SKEW_SECONDS or int(expires) + CLOCK_SKEW_SECONDS <= now:
        return "not its time"
    with NONCE_LOCK:
        while seen and next(iter(seen.values())) + CLOCK_SKEW_SECONDS <= now:
            del seen[next(iter(seen))]
        if nonce in seen:
            return "sent before"
        seen[nonce] = int(expires)
    return None


class SignedOnly:
    """ASGI middleware: 401 for a request that the gateway has not signed. It reads the whole body first, up to max_body bytes."""

    def __init__(self, app, origin, secret, max_body=1024 * 1024):
        self.app, self.origin, self.secret, self.max_body = app, origin, secret.encode(), max_body
        self.seen = {}

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            raise RuntimeError(f"a {scope['type']} connection is not signed")
        body, more = b"", True
        while more and len(body) <= self.max_body:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        query = scope["query_string"]
        # Some servers leave the query in raw_path.
        path = scope["raw_path"].split(b"?")[0] + (b"?" + query if query else b"")
        headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        url = self.origin + path.decode("latin-1")
        objection = "body too large" if more else objection_to(scope["method"], url, headers, body, self.secret, self.seen)
        if objection:
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/json")]})
            return await send({"type": "http.response.body", "body": json.dumps({"error": objection}).encode()})

        replayed = False

        async def replay():
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def serve(url, secret):
    """Runs a server of the standard library, for tests."""
    origin, seen = urlsplit(url), {}

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = joined(self.headers.items())
            objection = objection_to(self.command, url + self.path, headers, body, secret.encode(), seen)
            text = json.dumps({"error": objection} if objection else {"ok": True, "bytes": len(body)}).encode()
            self.send_response(401 if objection else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((origin.hostname, origin.port), Handler)
    print(f"listening on {url}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(os.environ["ORIGIN_URL"], os.environ["ORIGIN_HMAC"])
