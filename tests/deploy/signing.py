"""Deliveries signed as each provider does, with the standard library and openssl. Shares no code with the project."""

import base64
import gzip
import hashlib
import hmac
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Delivery:
    """A request that is ready to send."""

    provider: str
    path: str
    headers: dict[str, str]
    body: bytes

    def with_headers(self, **headers: str) -> "Delivery":
        return replace(self, headers=self.headers | {name.replace("_", "-"): value for name, value in headers.items()})

    def tampered(self) -> "Delivery":
        """One byte of the body changed after it was signed; the JSON stays JSON."""
        at = len(self.body) // 2 if self.body.startswith(b"\x1f\x8b") else self.body.rindex(b'"') - 1
        other = b"x" if self.body[at:at + 1] != b"x" else b"y"
        return replace(self, body=self.body[:at] + other + self.body[at + 1:])


@dataclass(frozen=True)
class ApiKey:
    name: str
    secret: str


@dataclass(frozen=True)
class RsaKey:
    """A new RSA key."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="livehooks-key-")))

    def __post_init__(self):
        openssl("genrsa", "-out", self.private, "2048")

    @property
    def private(self) -> Path:
        return self.folder / "private.pem"

    @property
    def public_pem(self) -> str:
        """PKCS#1, like VideoSDK's."""
        return openssl("rsa", "-in", self.private, "-RSAPublicKey_out").decode()

    def sign(self, body: bytes) -> str:
        (self.folder / "body").write_bytes(body)
        return base64.b64encode(openssl("dgst", "-sha256", "-sign", self.private, self.folder / "body")).decode()


def openssl(*arguments) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


def hms(event: dict, header: str, value: str) -> Delivery:
    return Delivery("100ms", "/webhooks/100ms", {"Content-Type": "application/json", header: value}, compact(event))


def hms_signed(event: dict, secret: str) -> Delivery:
    body = compact(event)
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-100ms-Signature": f"sha256={mac}"}
    return Delivery("100ms", "/webhooks/100ms", headers, body)


def videosdk(event: dict, key: RsaKey, token: str | None) -> Delivery:
    body = compact(event)
    path = "/webhooks/videosdk" + (f"/{token}" if token else "")
    return Delivery("videosdk", path, {"Content-Type": "application/json", "videosdk-signature": key.sign(body)}, body)


def plugnmeet(event: dict, key: ApiKey, now: float | None = None) -> Delivery:
    body = compact(event)
    token = body_hash_token(body, key, now)
    headers = {"Content-Type": "application/json", "Authorization": token, "Hash-Token": token}
    return Delivery("plugnmeet", "/webhooks/plugnmeet", headers, body)


def livekit(event: dict, key: ApiKey, now: float | None = None) -> Delivery:
    body = compact(event)
    headers = {"Content-Type": "application/webhook+json", "Authorization": body_hash_token(body, key, now)}
    return Delivery("livekit", "/webhooks/livekit", headers, body)


def mux(event: dict, secret: str, now: float | None = None) -> Delivery:
    body = compact(event)
    headers = {"Content-Type": "application/json", "mux-signature": timestamped(body, secret, now, bytes.hex)}
    return Delivery("mux", "/webhooks/mux", headers, body)


def zoom(event: dict, secret: str, now: float | None = None) -> Delivery:
    body, now = compact(event), int(time.time() if now is None else now)
    mac = hmac.new(secret.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "x-zm-signature": f"v0={mac}", "x-zm-request-timestamp": str(now)}
    return Delivery("zoom", "/webhooks/zoom", headers, body)


def jaas(event: dict, secret: str, now: float | None = None) -> Delivery:
    body = compact(event)
    in_base64 = lambda mac: base64.b64encode(mac).decode()
    headers = {"Content-Type": "application/json", "X-Jaas-Signature": timestamped(body, secret, now, in_base64)}
    return Delivery("jaas", "/webhooks/jaas", headers, body)


def realtimekit(event: dict, key: RsaKey, token: str | None) -> Delivery:
    body = compact(event)
    path = "/webhooks/realtimekit" + (f"/{token}" if token else "")
    headers = {"Content-Type": "application/json", "rtk-signature": key.sign(body), "rtk-uuid": str(uuid.uuid4())}
    return Delivery("realtimekit", path, headers, body)


def getstream(event: dict, secret: str, is_compressed: bool = False) -> Delivery:
    body = compact(event)
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature": mac, "X-Webhook-Id": str(uuid.uuid4())}
    if is_compressed:
        headers |= {"Content-Encoding": "gzip"}
        body = gzip.compress(body)
    return Delivery("getstream", "/webhooks/getstream", headers, body)


def timestamped(body: bytes, secret: str, now: float | None, encode: Callable[[bytes], str]) -> str:
    now = int(time.time() if now is None else now)
    mac = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).digest()
    return f"t={now},v1={encode(mac)}"


def body_hash_token(body: bytes, key: ApiKey, now: float | None) -> str:
    now = int(time.time() if now is None else now)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": key.name, "exp": now + 300, "nbf": now, "iat": now, "sha256": digest}
    signed = f"{base64url(compact({'alg': 'HS256', 'typ': 'JWT'}))}.{base64url(compact(claims))}"
    return f"{signed}.{base64url(hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(value) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
