"""Runs every file in events/ through its function: one of each folder by `sam local invoke` in Docker, if it works, and
the others by the runtime emulator that sam puts into the container.

A file's folder names the function and its own name the result: `tampered` and `expired` are rejected, `duplicate` is
a duplicate, everything else is accepted. The environment is events/env.json with this test's endpoint.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import ARCHITECTURE, BUILD, NAMES, PROVIDERS, ROOT, RUNNER
from samcli.local.docker.lambda_image import LambdaImage
from stack import EMULATOR, StandIn, free_port, until

EVENTS = ROOT / "events"
FUNCTIONS = {name: f"{provider}Function" for provider, name in NAMES.items()} | {"notify": "NotifyFunction"}
# Exists if docker-image started the daemon.
DAEMON = ROOT / "target/deploy-docker/dockerd.pid"
IMAGE = f"{LambdaImage._INVOKE_REPO_PREFIX}/provided:al2023-{ARCHITECTURE}"


def files() -> list[Path]:
    """All files, each duplicate right after its original."""
    def order(path: Path):
        return path.parent, path.name.replace("duplicate", "participant~")

    return sorted(EVENTS.glob("*/*.json"), key=order)


@pytest.fixture(scope="module")
def invoke():
    """Invokes the function of a file. In Docker an invocation takes ten seconds, so only one per folder goes there."""
    emulator = Emulator()
    docker = Docker() if docker_works() else emulator
    print(f"\none event per folder: {docker.name}; the others: {emulator.name}")
    stand_in = StandIn(docker.bind)
    in_docker = {path.parent: path for path in reversed(files())}
    try:
        environment = json.loads((EVENTS / "env.json").read_text())
        prepare(stand_in, environment)

        def invoke(function: str, path: Path, event: Path):
            how = docker if path == in_docker[path.parent] else emulator
            endpoint = {"AWS_ENDPOINT_URL": f"http://{how.host}:{stand_in.port}"}
            return how.invoke(function, event, environment[function] | endpoint), how.attempts > 1

        yield invoke
    finally:
        stand_in.stop()
        if DAEMON.exists():
            os.kill(int(DAEMON.read_text()), signal.SIGTERM)


NONE = pytest.param(None, id="none", marks=pytest.mark.skip(reason="events/ contains no envelopes"))


@pytest.mark.parametrize("path", files() or [NONE], ids=lambda path: str(path.relative_to(EVENTS)))
def test_every_event_file_has_the_result_that_its_name_says(invoke, path, tmp_path):
    function = FUNCTIONS[path.relative_to(EVENTS).parts[0]]
    answer, was_retried = invoke(function, path, received_now(path, tmp_path))
    if function == "NotifyFunction":
        assert answer == {"batchItemFailures": []}
    elif "tampered" in path.name or "expired" in path.name:
        assert answer["statusCode"] == 401
    else:
        is_repeated = "duplicate" in path.name or was_retried
        assert answer["statusCode"] == 200, answer
        assert json.loads(answer["body"])["status"] == ("duplicate" if is_repeated else "accepted")


RECEIVED = {}


def received_now(path: Path, folder: Path) -> Path:
    """The event with a current receive time, the same for all files of a folder.

    In Docker the first file takes ten seconds, after which VideoSDK's repeat would be a new event.
    """
    event = json.loads(path.read_text())
    context = event.get("requestContext", {})
    for name in context.keys() & {"timeEpoch", "requestTimeEpoch"}:
        context[name] = RECEIVED.setdefault(path.parent, int(time.time() * 1_000))
    copy = folder / path.name
    copy.write_text(json.dumps(event))
    return copy


def prepare(stand_in: StandIn, environment: dict) -> None:
    """Creates the environment's table, topic and queue in the stand-in."""
    dynamodb = stand_in.client("dynamodb")
    for table in {variables["TABLE_NAME"] for variables in environment.values()}:
        dynamodb.create_table(
            TableName=table, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "event_key", "AttributeType": "S"},
                                  {"AttributeName": "occurrence", "AttributeType": "N"}],
            KeySchema=[{"AttributeName": "event_key", "KeyType": "HASH"},
                       {"AttributeName": "occurrence", "KeyType": "RANGE"}])
    topic = stand_in.client("sns").create_topic(Name="events")["TopicArn"]
    queue = stand_in.client("sqs").create_queue(QueueName="quarantine")["QueueUrl"]
    environment["NotifyFunction"] |= {"TOPIC_ARN": topic, "QUARANTINE_QUEUE_URL": queue}


class Emulator:
    attempts = 1
    name, host, bind = "runtime emulator", "127.0.0.1", "127.0.0.1"

    def invoke(self, function: str, path: Path, variables: dict):
        api, port = free_port(), free_port()
        folder = BUILD / function
        process = subprocess.Popen(
            [EMULATOR, "--runtime-api-address", f"127.0.0.1:{api}",
             "--runtime-interface-emulator-address", f"127.0.0.1:{port}", *RUNNER, folder / "bootstrap"],
            cwd=folder, env=os.environ | variables | {"AWS_REGION": os.environ["AWS_DEFAULT_REGION"]},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

            def call():
                with urllib.request.urlopen(urllib.request.Request(url, path.read_bytes()), timeout=30) as answer:
                    return [json.loads(answer.read())]

            return until(call, "the emulator")[0]
        finally:
            process.kill()
            process.wait()


class Docker:
    # Containers reach the host under this name, and not on its loopback address.
    name, host, bind = "sam local invoke in Docker", "host.docker.internal", "0.0.0.0"

    def invoke(self, function: str, path: Path, variables: dict):
        environment = ROOT / "target/deploy-state/env.json"
        environment.write_text(json.dumps({function: variables}))
        command = [
            "sam", "local", "invoke", function, "-e", path, "-n", environment, "--skip-pull-image",
            "--add-host", "host.docker.internal:host-gateway",
            "--parameter-overrides", f"Architecture={ARCHITECTURE}", f"Providers={','.join(PROVIDERS)}"]
        # sam reads the answer from the container's output. Sometimes the container is gone before sam starts reading.
        for self.attempts in range(1, 4):
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
            assert run.returncode == 0, run.stdout + run.stderr
            if lines := run.stdout.strip().splitlines():
                return json.loads(lines[-1])
        raise AssertionError(run.stderr)


def docker_works() -> bool:
    """Whether a daemon with the base image is available. tests/deploy/docker-image provides both if it can.

    LIVEHOOKS_DOCKER=0 disables Docker. RUNNER disables it too, because the base image has this machine's architecture.
    """
    if os.environ.get("LIVEHOOKS_DOCKER") == "0" or RUNNER:
        return False
    run = subprocess.run([Path(__file__).with_name("docker-image"), IMAGE], stdout=sys.stdout, stderr=sys.stdout)
    return run.returncode == 0
