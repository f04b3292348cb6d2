"""Every file in events/ through `sam local invoke` in Docker, or else through the emulator that is inside of it.

A file's folder says the function, its name what is expected: `tampered` and `expired` are refused, `duplicate` is
one, everything else is accepted. The environment is events/env.json, as for `sam local invoke -n events/env.json`,
with this test's own endpoint.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from conftest import BUILD, ROOT
from stack import StandIn, until

EVENTS = ROOT / "events"
FUNCTIONS = {
    "100ms": "HmsFunction", "videosdk": "VideosdkFunction", "plugnmeet": "PlugnmeetFunction",
    "livekit": "LivekitFunction", "notify": "NotifyFunction",
}
IMAGE = "public.ecr.aws/lambda/provided:al2023-x86_64"


def files() -> list[Path]:
    """Duplicates last: what they repeat has to be there."""
    found = [path for path in EVENTS.glob("**/*.json") if path.name != "env.json"]
    return sorted(found, key=lambda path: ("duplicate" in path.name, str(path)))


@pytest.fixture(scope="module")
def invoker():
    if not files():
        pytest.skip("events/ holds no envelopes")
    stand_in = StandIn()
    try:
        environment = json.loads((EVENTS / "env.json").read_text())
        prepare(stand_in, environment)
        how = Docker() if docker_works() else Emulator()
        print(f"\nsam local invoke: through {how.name}")
        yield how, environment
    finally:
        stand_in.stop()


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(EVENTS)))
def test_every_event_file_is_answered_as_its_name_says(invoker, path):
    how, environment = invoker
    function = FUNCTIONS[path.relative_to(EVENTS).parts[0]]
    answer = how.invoke(function, path, environment[function])
    if function == "NotifyFunction":
        assert answer == {"batchItemFailures": []}
    elif "tampered" in path.name or "expired" in path.name:
        assert answer["statusCode"] == 401
    else:
        expected = "duplicate" if "duplicate" in path.name else "accepted"
        assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, expected)


def prepare(stand_in: StandIn, environment: dict) -> None:
    """The table, topic and queue that the environment names, in the stand-in."""
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
    for function, variables in environment.items():
        variables["AWS_ENDPOINT_URL"] = stand_in.url
        if function == "NotifyFunction":
            variables |= {"TOPIC_ARN": topic, "QUARANTINE_QUEUE_URL": queue}


class Emulator:
    name = "the runtime emulator of the sam wheel, without Docker"

    def invoke(self, function: str, path: Path, variables: dict):
        import samcli

        from socket import socket
        with socket() as first, socket() as second:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            api, port = first.getsockname()[1], second.getsockname()[1]
        emulator = Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{os.uname().machine}"
        folder = BUILD / function
        process = subprocess.Popen(
            [emulator, "--runtime-api-address", f"127.0.0.1:{api}",
             "--runtime-interface-emulator-address", f"127.0.0.1:{port}", folder / "bootstrap"],
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
    name = "sam local invoke in Docker"

    def invoke(self, function: str, path: Path, variables: dict):
        environment = ROOT / "target/deploy-state/env.json"
        environment.write_text(json.dumps({function: variables}))
        run = subprocess.run(
            ["sam", "local", "invoke", function, "-e", path, "-n", environment, "--skip-pull-image",
             "--docker-network", "host", "--parameter-overrides", f"Architecture={os.uname().machine}"],
            cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stdout + run.stderr
        return json.loads(run.stdout.strip().splitlines()[-1])


def docker_works() -> bool:
    """Whether there is a daemon with the base image; tests/deploy/docker-image makes both where it can."""
    run = subprocess.run([Path(__file__).with_name("docker-image"), IMAGE], stdout=sys.stdout, stderr=sys.stdout)
    return run.returncode == 0
