"""The TypeScript consumer, built and deployed by sam to a stand-in for AWS: from the topic through the queue to the table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from meetings import ROOT, deliveries, dev, notifications, shown, simulate  # noqa: F401

from samcli.yamlhelper import yaml_parse

sys.path.insert(0, str(ROOT / "tests/deploy"))
from stack import StandIn, until  # noqa: E402

FOLDER = Path(os.environ["CONSUMERS_TYPESCRIPT"])
PROVIDER, ROOM = "livekit", "standup"
UNREADABLE = "not JSON"


@pytest.fixture(scope="module")
def stand_in():
    stand_in = StandIn()
    yield stand_in
    stand_in.stop()


def sam(*arguments: str, folder: Path = FOLDER, **environment: str) -> None:
    run = subprocess.run(["sam", *arguments], cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", ["typescript", "python", "rust"])
def test_the_template_is_valid(name):
    sam("validate", "--lint", folder=ROOT / "examples/consumers" / name)


def test_the_templates_differ_only_in_their_functions():
    def shared(name: str) -> dict:
        resources = yaml_parse((ROOT / "examples/consumers" / name / "template.yaml").read_text())["Resources"]
        own = {"CollectFunction", "ReportFunction", "CollectRole", "IdempotencyTable"}
        return {key: value for key, value in resources.items() if key not in own}

    assert shared("typescript") == shared("python") == shared("rust")


def test_a_meeting_from_the_topic_to_the_attendance(stand_in, dev):
    topic = stand_in.client("sns").create_topic(Name="livehooks")["TopicArn"]
    sam("build")
    sam("deploy", "--stack-name", "attendance", "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset",
        "--no-progressbar", "--parameter-overrides", f"TopicArn={topic}", AWS_ENDPOINT_URL=stand_in.url)
    [stack] = stand_in.client("cloudformation").describe_stacks(StackName="attendance")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    sqs = stand_in.client("sqs")
    queue, dead_letters = (sqs.get_queue_url(QueueName=outputs[name].split(":")[-1])["QueueUrl"]
                           for name in ("QueueArn", "DeadLetterQueueArn"))
    # Five times three minutes are too long for a test.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})

    simulate(dev, PROVIDER, ROOM, seed=3)
    published = {json.dumps(one["message"]): one["attributes"] for one in notifications(dev)}
    published[UNREADABLE] = {"type": "live.participant.joined"}
    for message in deliveries(list(published), seed=4, copies_max=2):
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in published[message].items()}
        stand_in.client("sns").publish(TopicArn=topic, Message=message, MessageAttributes=attributes)

    def count() -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))

    until(lambda: count() == 0, "the queue to be empty", seconds=90)
    letters = sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10)["Messages"]
    assert {letter["Body"] for letter in letters} == {UNREADABLE}

    request = json.dumps({"provider": PROVIDER, "room": ROOM}).encode()
    answer = stand_in.client("lambda").invoke(FunctionName=outputs["ReportFunction"], Payload=request)
    rows = json.loads(answer["Payload"].read())
    found = {(row["session"], row["participant"]): (row["minutes"], row["present"]) for row in rows}
    assert found == shown(dev, PROVIDER, ROOM) != {}
