"""A function that dies while it handles a message loses nothing and does nothing twice."""

import json
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from consumer import CONSUMERS, FEEDS, Consumer
from meetings import dev  # noqa: F401

CASE = json.loads((CONSUMERS / "cases.json").read_text())


class Trap:
    """Forwards to DynamoDB, and once kills the consumer instead of answering a request for one table."""

    def __init__(self, dynamodb: str):
        trap = self

        class Forward(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                operation, table = self.headers["x-amz-target"].split(".")[-1], json.loads(body)["TableName"]
                is_trapped = (operation, table) == trap.at
                if not is_trapped or trap.is_forwarded:
                    headers = {name: self.headers[name] for name in ("x-amz-target", "content-type", "authorization")}
                    try:
                        with urllib.request.urlopen(urllib.request.Request(dynamodb, body, headers)) as answer:
                            status, text = answer.status, answer.read()
                    except urllib.error.HTTPError as error:
                        status, text = error.code, error.read()
                if is_trapped:
                    trap.at = None
                    trap.consumer.process.kill()
                    return
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.0")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        self.at: tuple[str, str] | None = None
        self.is_forwarded = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def set(self, consumer: Consumer, operation: str, table: str, is_forwarded: bool) -> None:
        self.consumer, self.at, self.is_forwarded = consumer, (operation, table), is_forwarded


@pytest.mark.parametrize("moment", ["before the effect", "after the effect"])
@pytest.mark.parametrize("name", FEEDS)
def test_a_message_whose_function_died_is_handled_when_it_comes_again(dev, name, moment):
    trap = Trap(dev.banner["dynamodb"].split()[0])
    consumer = Consumer(name, trap.url, suffix=f"-{moment[:5]}", remaining_ms=1_500)
    [case] = [case for case in CASE["cases"] if case["name"].startswith("a lost start is taken from the end")]
    messages = [json.dumps(CASE["defaults"] | {"recordedtime": event["time"]} | event) for event in case["events"]]
    assert consumer.collect(messages[1:]) == []
    trap.set(consumer, "PutItem", consumer.facts, is_forwarded=moment == "after the effect")
    with pytest.raises(AssertionError, match="ended"):
        consumer.collect(messages)
    consumer.start()
    until = time.monotonic() + 20
    while failed := consumer.collect(messages):
        assert failed == messages[:1] and time.monotonic() < until
        time.sleep(0.2)
    assert consumer.attendance("livekit", "standup") == case["attendance"]
    consumer.stop()
