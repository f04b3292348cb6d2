"""Starts the local stack as a process and sends deliveries to it."""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The provider in tests that work with any.
EXAMPLE = "plugnmeet"
sys.path.insert(0, str(ROOT / "tests/deploy"))
from signing import ApiKey, Delivery, livekit  # noqa: E402

LIVEHOOKS = os.environ["LIVEHOOKS"]


class Dev:
    """`livehooks dev`, by default in memory."""

    def __init__(self, folder: Path, *arguments: str):
        self.folder = folder
        self.process = subprocess.Popen(
            [LIVEHOOKS, "dev", "--port", "0", *(arguments or ("--memory",))],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.banner: dict[str, str] = {}
        while "ready" not in self.banner:
            line = self.process.stdout.readline()
            assert line, "livehooks dev ended before it was ready"
            name, _, rest = line.strip().partition(" ")
            self.banner.setdefault(name, rest.strip())
        self.url = self.banner["ready"]
        self.keys = json.loads(Path(self.banner["keys"]).read_text())
        # Drain the output so that the pipe does not fill.
        self.drain = ThreadPoolExecutor(1).submit(lambda: [None for _ in self.process.stdout])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)

    def send(self, *arguments: str) -> str:
        """Runs `livehooks send` and returns its output."""
        done = subprocess.run([LIVEHOOKS, "send", *arguments, "--url", self.url, "--keys", self.banner["keys"]],
                              cwd=self.folder, capture_output=True, text=True)
        return done.stdout + done.stderr

    def simulate(self, *arguments: str) -> None:
        """Runs `livehooks simulate`."""
        command = [LIVEHOOKS, "simulate", *arguments, "--url", self.url, "--keys", self.banner["keys"]]
        subprocess.run(command, cwd=self.folder, capture_output=True, check=True)

    def forge(self, *arguments: str) -> str:
        """The same, signed with unknown keys."""
        forged = self.folder / "forged.json"
        forged.write_text(json.dumps({EXAMPLE: {"keys": {f"{EXAMPLE}-dev": "x" * 40}}}))
        done = subprocess.run([LIVEHOOKS, "send", *arguments, "--url", self.url, "--keys", forged],
                              cwd=self.folder, capture_output=True, text=True)
        return done.stdout + done.stderr

    def livekit(self, event: dict) -> str:
        """Sends a LiveKit delivery with this body and returns the event's id."""
        name, secret = next(iter(self.keys["livekit"]["keys"].items()))
        return self.post(livekit(event, ApiKey(name, secret)))["id"]

    def post(self, delivery: Delivery) -> dict:
        request = urllib.request.Request(self.url + delivery.path, delivery.body, delivery.headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


STACK = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
<StackName>meetings</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>
<member><OutputKey>TableName</OutputKey><OutputValue>Events</OutputValue></member>
<member><OutputKey>TopicArn</OutputKey><OutputValue>arn:aws:sns:eu-central-1:000000000000:livehooks</OutputValue></member>
</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""


class Inspect:
    """`livehooks inspect` with a fake CloudFormation.

    The table is at `dynamodb`. Without it, `answers` maps each DynamoDB operation to a function of the request."""

    def __init__(self, dynamodb: str | None = None, answers: dict[str, Callable[[dict], dict]] | None = None):
        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                request = self.rfile.read(int(self.headers.get("content-length", 0)))
                operation = self.headers.get("x-amz-target", "").split(".")[-1]
                body = json.dumps(answers[operation](json.loads(request))) if operation else STACK
                self.send_response(200)
                self.send_header("content-type", "application/x-amz-json-1.0" if operation else "text/xml")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{self.server.server_port}"
        environment = os.environ | {
            "AWS_ENDPOINT_URL_CLOUDFORMATION": here,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb or here, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": dynamodb or here,
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        self.process = subprocess.Popen(
            [LIVEHOOKS, "inspect", "--stack", "meetings", "--region", "eu-central-1", "--port", "0"],
            env=environment, stdout=subprocess.PIPE, text=True)
        lines = iter(self.process.stdout.readline, "")
        self.url = next(line.split()[1].rstrip("/") for line in lines if line.startswith("page"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        self.server.shutdown()


def event(kind: str, at: float, room: str, **parts) -> dict:
    """A LiveKit body; `at` is in seconds."""
    body = {"event": kind, "room": {"sid": f"RM_{room[:8]}", "name": room, "turnPassword": "turn-secret"}, **parts}
    return body | {"id": f"EV_{kind}_{at}_{json.dumps(parts, sort_keys=True).__hash__() & 0xffffff:x}", "createdAt": str(int(at))}


def person(identity: str, name: str | None = None, stay: int = 1, **more) -> dict:
    return {"participant": {"sid": f"PA_{identity[:12]}{stay}", "identity": identity, "name": name or identity, **more}}


def egress(number: int, status: str, kind: str = "fileResults", **more) -> dict:
    what = {"fileResults": [{"filename": "meeting.mp4"}]} if kind == "fileResults" else {
        "streamResults": [{"url": "rtmps://live.example.com/app/{key...001}"}]}
    return {"egressInfo": {"egressId": f"EG_{number:012}", "roomName": "x", "status": status, **what, **more}}


START = 1_772_733_600  # 2026-03-05 18:00:00 UTC


def meeting(room: str) -> list[dict]:
    """One hour with everything: several stays, a failed stream, and missing starts and ends."""
    at = lambda minutes: START + round(minutes * 60)  # noqa: E731
    joined = lambda minutes, who, name, stay=1: event("participant_joined", at(minutes), room, **person(who, name, stay, joinedAt=str(at(minutes))))  # noqa: E731
    left = lambda minutes, who, name, stay=1: event("participant_left", at(minutes), room, **person(who, name, stay))  # noqa: E731
    ingress = {"ingressInfo": {"ingressId": "IN_obs", "name": "obs studio", "streamKey": "stream-secret", "roomName": room, "state": {"startedAt": str(at(5)) + "0" * 9}}}
    return [
        event("room_started", at(0), room),
        joined(0.3, "ada", "Ada Lovelace"), joined(0.9, "ben", "Ben Okri"), joined(3, "chidi", "Chidi Anagonye"),
        event("egress_started", at(1), room, **egress(1, "EGRESS_ACTIVE")),
        event("ingress_started", at(5), room, **ingress),
        left(12, "ben", "Ben Okri"), joined(14.5, "ben", "Ben Okri", 2),
        event("egress_started", at(20), room, **egress(2, "EGRESS_ACTIVE", "streamResults")),
        event("participant_connection_aborted", at(26), room, **person("mei", "梅 Mei")),
        event("egress_ended", at(31), room, **egress(2, "EGRESS_FAILED", "streamResults", error="rtmp: connection refused")),
        event("egress_started", at(33), room, **egress(3, "EGRESS_ACTIVE", "streamResults")),
        joined(40, "zoe", "Zoë <b>"), left(45, "eve", "Eve"),
        event("egress_ended", at(55), room, **egress(3, "EGRESS_COMPLETE", "streamResults")),
        left(58, "ada", "Ada Lovelace"), left(58.4, "ben", "Ben Okri", 2), left(58.8, "chidi", "Chidi Anagonye"),
        event("egress_ended", at(59), room, **egress(1, "EGRESS_COMPLETE")),
        event("room_finished", at(60), room),
    ]
