"""A consumer's functions in a process of their own, with tables in the local stack's DynamoDB."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import boto3
import yaml
from meetings import ROOT

CONSUMERS = ROOT / "examples/consumers"
FEED = ROOT / "tests/consumers"
FEEDS = {
    "typescript": (os.environ["CONSUMERS_TYPESCRIPT"], ["node", "--import", "tsx", FEED / "feed.mjs"]),
    "python": (CONSUMERS / "python/src", [sys.executable, FEED / "feed.py"]),
    "rust": (CONSUMERS / "rust", [os.environ["CONSUMERS_RUST"]]),
}
AWS = {"region_name": "eu-central-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


class Consumer:
    """A consumer's functions in a process, with tables of its own."""

    def __init__(self, name: str, dynamodb: str, suffix: str = "", remaining_ms: int = 30_000):
        self.name, self.facts, idempotency = name, f"facts-{name}{suffix}", f"idempotency-{name}{suffix}"
        self.environment = {
            "FACTS_TABLE": self.facts, "IDEMPOTENCY_TABLE": idempotency, "RETENTION_DAYS": "90",
            "FEED_REMAINING_MS": str(remaining_ms),
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb, "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        template = load(CONSUMERS / name / "template.yaml")
        for resource, table in [("FactsTable", self.facts), ("IdempotencyTable", idempotency)]:
            if resource in template["Resources"]:
                wanted = template["Resources"][resource]["Properties"]
                client = boto3.client("dynamodb", endpoint_url=dynamodb, **AWS)
                client.create_table(
                    TableName=table, **{key: wanted[key] for key in ("BillingMode", "AttributeDefinitions", "KeySchema")})
        self.policy = template["Resources"]["Subscription"]["Properties"]["FilterPolicy"]
        self.start()

    def start(self) -> None:
        folder, command = FEEDS[self.name]
        self.process = subprocess.Popen(command, cwd=folder, env=os.environ | self.environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(self, function: str, event):
        self.process.stdin.write(json.dumps({"function": function, "event": event}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{self.name} ended"
        return json.loads(line)

    def collect(self, messages: list[str]) -> list[str]:
        """Hands the messages over in batches of ten. Returns those that failed."""
        failed = []
        for start in range(0, len(messages), 10):
            batch = {str(uuid.uuid4()): message for message in messages[start:start + 10]}
            records = [{"messageId": id, "receiptHandle": id, "body": body, "attributes": {}, "messageAttributes": {},
                        "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "eu-central-1",
                        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:queue"} for id, body in batch.items()]
            answer = self.call("collect", {"Records": records})
            failed += [batch[failure["itemIdentifier"]] for failure in answer["batchItemFailures"]]
        return failed

    def attendance(self, provider: str, room: str) -> list[dict]:
        return self.call("report", {"provider": provider, "room": room})

    def stop(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(timeout=20) == 0


def load(path: Path) -> dict:
    class Loader(yaml.SafeLoader):
        pass

    def plain(loader, tag, node):
        if isinstance(node, yaml.ScalarNode):
            return {tag: node.value}
        construct = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
        return {tag: construct(node, deep=True)}

    Loader.add_multi_constructor("!", plain)
    return yaml.load(path.read_text(), Loader)
