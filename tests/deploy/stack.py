"""The stand-in's process, and a stack deployed to it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import samcli
from conftest import ARCHITECTURE, MACHINE, PROVIDERS, ROOT, RUNNER, STAND_IN_PYTHON
from signing import Delivery

STATE = ROOT / "target/deploy-state"
EMULATOR = Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{MACHINE}"


class StandIn:
    """ministack in its own process, which stops the functions when it ends."""

    def __init__(self, bind: str = "127.0.0.1"):
        self.port = free_port()
        shutil.rmtree(STATE, ignore_errors=True)
        STATE.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(STATE / "stand-in.log", "wb")
        self.process = subprocess.Popen(
            [STAND_IN_PYTHON, Path(__file__).with_name("stand_in.py"), str(self.port), STATE, EMULATOR, *RUNNER],
            env=os.environ | {"BIND_HOST": bind}, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        until(lambda: self.client("sts").get_caller_identity(), "the stand-in to answer", seconds=60)

    def client(self, service: str):
        return boto3.client(service, endpoint_url=self.url)

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


class Stack:
    """A deployed stack."""

    name = "livehooks"

    def __init__(self, stand_in: StandIn):
        self.stand_in = stand_in
        self.client = stand_in.client
        self.outputs: dict[str, str] = {}

    def sam(self, *arguments: str) -> str:
        env = os.environ | {"AWS_ENDPOINT_URL": self.stand_in.url}
        run = subprocess.run(["sam", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def deploy(self, **parameters: str) -> None:
        parameters = {"Architecture": ARCHITECTURE, "Providers": ",".join(PROVIDERS)} | parameters
        self.sam("deploy", "--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar",
                 "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items()))
        [stack] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def physical_id(self, logical_id: str) -> str:
        detail = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id)
        return detail["StackResourceDetail"]["PhysicalResourceId"]

    def secret(self, provider: str) -> dict:
        id = self.outputs[f"{provider}SecretId"]
        return json.loads(self.client("secretsmanager").get_secret_value(SecretId=id)["SecretString"])

    def put_secret(self, provider: str, keys) -> None:
        text = keys if isinstance(keys, str) else json.dumps(keys)
        id = self.outputs[f"{provider}SecretId"]
        self.client("secretsmanager").put_secret_value(SecretId=id, SecretString=text)

    def post(self, delivery: Delivery) -> "Answer":
        """Sends a delivery through the deployed HTTP API.

        The stand-in may answer 502 to the first call after a process was killed, before any function has seen it.
        """
        answer = self._post(delivery)
        return self._post(delivery) if answer.status == 502 else answer

    def _post(self, delivery: Delivery) -> "Answer":
        url = next(value for name, value in self.outputs.items() if name.endswith("Url") and "execute-api" in value)
        api = url.split("/")[2].split(".")[0]
        request = urllib.request.Request(self.stand_in.url + delivery.path, delivery.body, delivery.headers, method="POST")
        request.add_unredirected_header("Host", f"{api}.execute-api.localhost:{self.stand_in.port}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def invoke(self, function: str, envelope: dict) -> "Answer":
        """Invokes the function directly with this envelope."""
        result = self.client("lambda").invoke(
            FunctionName=self.physical_id(function), Payload=json.dumps(envelope).encode())
        answer = json.loads(result["Payload"].read())
        assert "statusCode" in answer, answer
        return Answer(answer["statusCode"], answer.get("headers", {}), answer["body"].encode())

    def items(self) -> list[dict]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["TableName"])
        return [item for page in pages for item in page["Items"]]

    def log(self, function: str) -> str:
        """The function's log, without the lines that Lambda drops."""
        return (STATE / f"{self.physical_id(function)}.log").read_text(errors="replace")

    def log_lines(self, function: str) -> list[dict]:
        return [json.loads(line) for line in self.log(function).splitlines() if line.startswith("{")]

    def signal(self, function: str, number: signal.Signals) -> None:
        """Signals the function's process, once it runs."""
        def send():
            os.killpg(int((STATE / f"{self.physical_id(function)}.pid").read_text()), number)
            return True
        until(send, f"{function} to run")

    def replace_environments(self, function: str) -> None:
        """Makes the next call start a new process."""
        pid = (STATE / f"{self.physical_id(function)}.pid").read_text()
        self.signal(function, signal.SIGKILL)

        def is_dead():
            stat = Path(f"/proc/{pid}/stat")
            return not stat.exists() or stat.read_text().rsplit(") ", 1)[1][0] in "ZX"
        until(is_dead, f"the process of {function} to end")

    def peak_kib(self, function: str) -> int:
        """The most that was ever resident of the function's process, without what QEMU holds for itself."""
        emulator = (STATE / f"{self.physical_id(function)}.pid").read_text()
        pid = subprocess.check_output(["ps", "-o", "pid=", "--ppid", emulator], text=True).strip()
        status, smaps = (Path(f"/proc/{pid}/{name}").read_text() for name in ("status", "smaps"))
        # QEMU maps the function at addresses of ten digits, and itself and its translations at longer ones.
        own = re.findall(r"^[0-9a-f]{12}-.*\n(?:.*\n){3}Rss: +(\d+) kB$", smaps, re.MULTILINE) if RUNNER else []
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) - sum(map(int, own))

    def failed_batches(self) -> int:
        """How often the notifier failed or died with a batch."""
        return (STATE / "stand-in.log").read_text().count("failed processing DynamoDB stream batch")

    def secret_reads(self, provider: str) -> int:
        log = STATE / "secret-reads.log"
        return log.read_text().split().count(self.outputs[f"{provider}SecretId"]) if log.exists() else 0


class Answer:
    def __init__(self, status: int, headers, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def result(self) -> tuple:
        """The status code, and the status in the body of a success."""
        return (self.status, self.json["status"]) if self.status == 200 else (self.status,)

    def __repr__(self):
        return f"{self.status} {self.body.decode(errors='replace')}"


class Subscriber:
    """An SQS queue subscribed to the topic, with a dead-letter queue, as in docs/deploying.md."""

    def __init__(self, stack: Stack, name: str, filter_policy: dict | None = None):
        sqs, sns = stack.client("sqs"), stack.client("sns")
        self.sqs = sqs
        arn = lambda url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        dead = arn(sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"])
        redrive = {"deadLetterTargetArn": dead, "maxReceiveCount": 5}
        self.url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(redrive)})["QueueUrl"]
        attributes = {"RawMessageDelivery": "true", "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})}
        if filter_policy:
            attributes["FilterPolicy"] = json.dumps(filter_policy)
        sns.subscribe(TopicArn=stack.outputs["TopicArn"], Protocol="sqs", Endpoint=arn(self.url), Attributes=attributes)
        self.received: list[dict] = []

    def poll(self) -> None:
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.received.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def ids(self) -> list[str]:
        self.poll()
        return [event["id"] for event in self.received]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, what: str, seconds: float = 30):
    """Polls a condition. Errors count as false."""
    deadline, error = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
        except Exception as caught:
            error = caught
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what}") from error
