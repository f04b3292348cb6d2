"""One stack from sam deploy to sam delete, in the order in which a team would live through it.

Every test goes on from where the one before it stopped.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import uuid

import jsonschema
import pytest
import signing
from conftest import BUILD, PROVIDERS, ROOT
from signing import ApiKey, RsaKey
from log_filter import value_of
from samcli.yamlhelper import yaml_parse
from stack import STATE, StandIn, Stack, Subscriber, until

PLUGNMEET_KEY = ApiKey("APIplugnmeet", "secret-of-plugnmeet-for-deploy-tests")
PLUGNMEET_KEY_NEW = ApiKey("APIplugnmeet", "another-secret-of-plugnmeet-after-rotation")
LIVEKIT_KEY = ApiKey("APIlivekit", "secret-of-livekit-for-deploy-tests")
MUX_SECRET = "secret-of-mux-for-deploy-tests"
GETSTREAM_SECRET = "secret-of-getstream-for-deploy-tests"
# What KeyRing waits between two readings of the secret that failing verifications ask for.
REFRESH_INTERVAL_S = 30
# For how long KeyRing remembers that a read failed, at most.
RETRY_DELAY_MAX_S = 30


@pytest.fixture(scope="module")
def stack():
    if not (BUILD / "template.yaml").exists():
        pytest.fail("expected the output of sam build, found none: run test_build.py first")
    stand_in = StandIn()
    try:
        yield Stack(stand_in)
    finally:
        stand_in.stop()


@pytest.fixture(scope="module")
def rsa_key():
    return RsaKey()


@pytest.fixture(scope="module")
def everything(stack):
    return Subscriber(stack, "everything")


@pytest.fixture(scope="module")
def arrivals(stack):
    """Who only wants to know who comes and goes at two providers."""
    return Subscriber(stack, "arrivals", {
        "provider": ["plugnmeet", "100ms"],
        "type": ["live.participant.joined", "live.participant.left"],
    })


def test_a_stack_with_one_provider_has_that_one_only(stack, request):
    stack.deploy(Providers="Plugnmeet")
    request.getfixturevalue("everything")  # subscribes before there are events
    assert {name for name in stack.outputs if name.endswith(("Url", "SecretId")) and "Queue" not in name} == {
        "PlugnmeetUrl", "PlugnmeetSecretId", "DashboardUrl"}
    stack.put_secret("Plugnmeet", {"keys": {PLUGNMEET_KEY.name: PLUGNMEET_KEY.secret}})
    assert stack.post(plugnmeet("room_started")).verdict == (200, "accepted")
    assert stack.post(livekit("room_started")).status == 404


def test_more_providers_can_be_added_and_sam_deploy_prints_what_a_team_needs(stack):
    before, secret, items = stack.outputs, stack.secret("Plugnmeet"), stack.items()
    started = time.monotonic()
    stack.deploy()
    print(f"\nsam deploy: {time.monotonic() - started:.0f} s")
    assert set(stack.outputs) == {f"{name}{output}" for name in PROVIDERS for output in ("Url", "SecretId")} | {
        "TopicArn", "TableName", "FallbackQueueUrl", "FallbackDeadLetterQueueUrl",
        "QuarantineQueueUrl", "FailureBucketName", "DashboardUrl"}
    assert stack.outputs["HmsUrl"].endswith("/webhooks/100ms")
    # The API keeps its id, and nothing that was there is replaced.
    assert before.items() <= stack.outputs.items()
    assert stack.secret("Plugnmeet") == secret and stack.items() == items
    stack.put_secret("Plugnmeet", {"keys": {}})
    stack.replace_environments("PlugnmeetFunction")
    # Three minutes from one attempt to the next are too long for a test.
    stack.client("sqs").set_queue_attributes(
        QueueUrl=stack.outputs["FallbackQueueUrl"], Attributes={"VisibilityTimeout": "3"})


def test_a_new_stack_has_a_secret_for_100ms_and_tokens_for_videosdk_and_realtimekit(stack):
    [header] = stack.secret("Hms")["headers"]
    assert header["name"] == "X-Livehooks-Secret"
    values = [header["values"][0], *(stack.secret(name)["url_tokens"][0] for name in ("Videosdk", "Realtimekit"))]
    assert all(len(value) == 48 and value.isalnum() for value in values) and len({*values}) == 3


def test_100ms_works_at_once_and_the_others_ask_for_their_keys(stack, rsa_key, everything, source_template):
    assert stack.post(hms(stack, "session.open.success")).verdict == (200, "accepted")
    for function, name, delivery in [
        ("VideosdkFunction", "Videosdk", videosdk(stack, rsa_key, "session-started")),
        ("PlugnmeetFunction", "Plugnmeet", plugnmeet("room_started")),
        ("LivekitFunction", "Livekit", livekit("room_started")),
        ("MuxFunction", "Mux", mux("video.live_stream.created")),
        ("RealtimekitFunction", "Realtimekit", realtimekit(stack, rsa_key, "meeting.started")),
        ("GetstreamFunction", "Getstream", getstream("call.created")),
    ]:
        assert stack.post(delivery).status == 503
        assert f"put-secret-value --secret-id {stack.outputs[f'{name}SecretId']} --secret-string" in stack.log(function)
    assert counted(stack, source_template, "KeysMetric") > 0
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["FallbackQueueUrl"], AttributeNames=attributes)
    assert {*found["Attributes"].values()} == {"0"}, "nobody could be authentic yet"


def test_with_a_secret_of_the_wrong_shape_deliveries_are_queued_and_the_log_names_the_field(stack):
    for keys, words in [
        ("not JSON", "expected JSON, found none at line 1"),
        ({"keys": [PLUGNMEET_KEY.secret]}, "field keys: expected an object of API keys and secrets, found an array"),
        ({"keys": {"a": 1}}, "field keys.a: expected a string, found a number"),
        ({"key": {}}, "expected only the fields keys"),
    ]:
        stack.put_secret("Plugnmeet", keys)
        stack.replace_environments("PlugnmeetFunction")  # a failed reading is remembered for seconds
        delivery = plugnmeet("room_started")
        assert stack.post(delivery).verdict == (200, "queued"), keys
        QUEUED.append(delivery)
        assert words in stack.log("PlugnmeetFunction")
    assert PLUGNMEET_KEY.secret not in stack.log("PlugnmeetFunction")
    # Nobody can say yet that it is forged. It is signed now: an expired one would be rejected without keys.
    forged = signing.plugnmeet({"event": "room_started", "id": "forged"}, ApiKey("APIplugnmeet", "guess"))
    assert stack.post(forged).verdict == (200, "queued")


def test_keys_work_within_half_a_minute_of_being_there(stack, rsa_key):
    stack.put_secret("Plugnmeet", {"keys": {PLUGNMEET_KEY.name: PLUGNMEET_KEY.secret}})
    stack.put_secret("Livekit", {"keys": {LIVEKIT_KEY.name: LIVEKIT_KEY.secret}})
    stack.put_secret("Mux", {"signing_secrets": [MUX_SECRET]})
    stack.put_secret("Getstream", {"api_secrets": [GETSTREAM_SECRET]})
    for name in ("Videosdk", "Realtimekit"):
        stack.put_secret(name, stack.secret(name) | {"public_keys": [rsa_key.public_pem]})
    time.sleep(RETRY_DELAY_MAX_S + 1)
    for delivery in [plugnmeet("room_started"), livekit("room_started"), videosdk(stack, rsa_key, "session-started")]:
        assert stack.post(delivery).verdict == (200, "accepted")


def test_what_was_queued_is_stored_once_and_published_and_what_was_signed_with_a_strange_key_is_dead_lettered(stack, everything):
    hashes = {hashlib.sha256(delivery.body).hexdigest() for delivery in QUEUED}
    stored = lambda: [item for item in stack.items() if item["body_sha256"]["S"] in hashes]
    until(lambda: len(stored()) == len(QUEUED) == 4, "the queued deliveries in the table", seconds=120)
    ids = {json.loads(item["event"]["S"])["id"] for item in stored()}
    until(lambda: ids <= set(everything.ids()), "their notifications")
    count = lambda: sum(json.loads(line).get("DeadLettered", 0) for line in stack.log("RecoverFunction").splitlines() if line.startswith("{"))
    assert until(count, "the forged one to be dead-lettered", seconds=60) == 1
    assert "plugnmeet#forged" not in [item["event_key"]["S"] for item in stack.items()]
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["FallbackQueueUrl"], AttributeNames=attributes)
    assert {*found["Attributes"].values()} == {"0"}
    [letter] = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs["FallbackDeadLetterQueueUrl"], MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert (attributes["provider"], attributes["reason"]) == ("plugnmeet", "wrong_key")
    assert attributes["received_at"] == json.loads(letter["Body"])["received_at"]


def test_each_event_is_stored_once_and_published_to_whom_it_concerns(stack, rsa_key, everything, arrivals):
    before = {item["event_key"]["S"] + item["occurrence"]["N"] for item in stack.items()}
    until(lambda: everything.ids(), "the notifications of the tests before")
    joined = {
        "100ms": hms(stack, "peer.join.success"),
        "videosdk": videosdk(stack, rsa_key, "participant-joined"),
        "plugnmeet": plugnmeet("participant_joined"),
        "livekit": livekit("participant_joined"),
        "mux": mux("video.live_stream.connected"),
        "realtimekit": realtimekit(stack, rsa_key, "meeting.participantJoined"),
        "getstream": getstream("call.session_participant_joined", is_compressed=True),
    }
    others = [hms(stack, "room.end.success"), plugnmeet("no_such_event"), livekit("room_finished")]
    ids = {}
    for provider, delivery in joined.items():
        answer = stack.post(delivery)
        assert answer.verdict == (200, "accepted"), (provider, answer)
        ids[provider] = answer.json["id"]
        for repeat in range(2):
            again = stack.post(delivery)
            assert again.verdict == (200, "duplicate") and again.json["id"] == ids[provider], (provider, again)
    other_ids = [stack.post(delivery).json["id"] for delivery in others]
    for forged in forgeries(stack, rsa_key, joined):
        assert stack.post(forged).status == 401, forged

    new = [item for item in stack.items() if item["event_key"]["S"] + item["occurrence"]["N"] not in before]
    stored = {json.loads(item["event"]["S"])["id"]: item for item in new}
    assert len(new) == len(stored) and set(stored) == {*ids.values(), *other_ids}
    for provider, id in ids.items():
        item = stored[id]
        event = json.loads(item["event"]["S"])
        assert (event["provider"], event["type"], item["type"]["S"]) == (
            provider, *2 * ["live.ingress.started" if provider == "mux" else "live.participant.joined"])
        assert event["assurance"] == ("shared-secret" if provider == "100ms" else "signed")
        assert item["room_key"]["S"] == f"{provider}#{event['subject']}"
        assert int(item["expires_at"]["N"]) - time.time() == pytest.approx(90 * 86_400, abs=600)

    until(lambda: set(stored) <= set(everything.ids()), "all notifications")
    until(lambda: {ids["100ms"], ids["plugnmeet"]} <= set(arrivals.ids()), "the filtered notifications")
    assert sorted(arrivals.ids()) == sorted([ids["100ms"], ids["plugnmeet"]])
    assert len(everything.ids()) == len(set(everything.ids()))
    schema = json.loads((ROOT / "schema/event.schema.json").read_text())
    for event in everything.received:
        jsonschema.validate(event, schema)


@pytest.mark.parametrize("content_type", ["application/json", "application/webhook+json", None])
@pytest.mark.parametrize("in_base64", [False, True])
def test_both_encodings_of_the_body_and_any_content_type_are_taken(stack, rsa_key, in_base64, content_type):
    for function, delivery in [
        ("HmsFunction", hms(stack, "peer.leave.success")),
        ("VideosdkFunction", videosdk(stack, rsa_key, "participant-left")),
        ("PlugnmeetFunction", plugnmeet("participant_left")),
        ("LivekitFunction", livekit("participant_left")),
        ("MuxFunction", mux("video.live_stream.disconnected")),
        ("RealtimekitFunction", realtimekit(stack, rsa_key, "meeting.participantLeft")),
        ("GetstreamFunction", getstream("call.session_participant_left")),
    ]:
        headers = {name.lower(): value for name, value in delivery.headers.items() if name.lower() != "content-type"}
        if content_type:
            headers["content-type"] = content_type
        body = base64.b64encode(delivery.body).decode() if in_base64 else delivery.body.decode()
        answer = stack.invoke(function, envelope(delivery.path, headers, body, in_base64))
        assert answer.verdict == (200, "accepted"), (function, answer)
        headers = headers | {"content-type": content_type or "text/plain"}
        through_api = signing.Delivery(delivery.provider, delivery.path, headers, delivery.body)
        assert stack.post(through_api).verdict == (200, "duplicate"), (function, "through the API")


def test_there_are_no_other_routes(stack):
    for path in ["/", "/webhooks", "/webhooks/100ms/x", "/webhooks/hms", "/webhooks/videosdk/a/b", "/webhooks/mux/x"]:
        assert stack.post(signing.Delivery("", path, {}, b"{}")).status == 404, path


def test_no_log_holds_a_key_a_token_or_a_body(stack, rsa_key):
    secrets = [PLUGNMEET_KEY.secret, LIVEKIT_KEY.secret, MUX_SECRET, GETSTREAM_SECRET, stack.secret("Hms")["headers"][0]["values"][0],
               *(stack.secret(name)["url_tokens"][0] for name in ("Videosdk", "Realtimekit")), "Zoë"]
    for function in [f"{name}Function" for name in [*PROVIDERS, "Notify", "Recover"]]:
        text = stack.log(function)
        assert not [secret for secret in secrets if secret in text], function
    lines = [json.loads(line) for line in stack.log("PlugnmeetFunction").splitlines() if line.startswith("{")]
    assert any(line.get("message") == "delivery rejected" and line["reason"] == "body_altered" for line in lines)


def test_the_metric_filters_find_their_lines(stack, source_template):
    assert counted(stack, source_template, "RejectedMetric") > 0
    assert counted(stack, source_template, "UnknownTypeMetric") == 1
    assert counted(stack, source_template, "KeysMetric") > 0
    assert counted(stack, source_template, "ThrottledMetric") == 0


def test_nothing_is_lost_when_the_notifier_is_killed_in_the_middle(stack, everything):
    """Three times: stopped, so that it has a batch in hand, and then killed with it, while more events come in."""
    sent = set()

    def send(count):
        for _ in range(count):
            answer = stack.post(plugnmeet("track_published"))
            assert answer.verdict == (200, "accepted"), answer
            sent.add(answer.json["id"])

    for kills in range(1, 4):
        send(1)
        until(lambda: sent <= set(everything.ids()), "the notifier to run", seconds=60)
        stack.signal("NotifyFunction", signal.SIGSTOP)
        send(40)
        time.sleep(1)
        assert not sent <= set(everything.ids()), "the notifier is stopped"
        stack.signal("NotifyFunction", signal.SIGKILL)
        send(10)
        assert until(lambda: stack.failed_batches() >= kills, "a batch to fail")
    stored = {json.loads(item["event"]["S"])["id"] for item in stack.items()}
    assert sent <= stored
    until(lambda: stored <= set(everything.ids()), "every notification", seconds=120)
    assert set(everything.ids()) == stored
    print(f"\nthe notifier was killed {kills} times with a batch in hand, {len(sent)} events; published twice: "
          f"{len(everything.ids()) - len(set(everything.ids()))}")


def test_nothing_is_lost_while_sns_is_down_and_no_sender_notices(stack, everything):
    failed, outage = stack.failed_batches(), STATE / "sns-is-down"
    outage.touch()
    sent = set()
    for _ in range(30):
        answer = stack.post(hms(stack, "peer.join.success"))
        assert answer.verdict == (200, "accepted"), answer
        sent.add(answer.json["id"])
    until(lambda: stack.failed_batches() > failed, "a batch to come back")
    assert not sent & set(everything.ids())
    assert "the topic did not accept a batch" in stack.log("NotifyFunction")
    outage.unlink()
    until(lambda: sent <= set(everything.ids()), "every notification", seconds=60)


def test_while_a_key_is_rotated_old_and_new_work_and_then_only_the_new(stack):
    """As docs/deploying.md has it: add the new, wait, switch the provider over, drop the old."""
    old, new = PLUGNMEET_KEY, PLUGNMEET_KEY_NEW
    other = ApiKey("APIplugnmeet-new", new.secret)
    refresh(stack)
    reads = stack.secret_reads("Plugnmeet")
    for _ in range(5):
        assert stack.post(plugnmeet("room_started", other)).status == 401
    assert stack.secret_reads("Plugnmeet") == reads, "forgeries must not become a stream of calls"

    stack.put_secret("Plugnmeet", {"keys": {old.name: old.secret, other.name: other.secret}})
    time.sleep(REFRESH_INTERVAL_S + 1)
    assert stack.post(plugnmeet("room_started", other)).verdict == (200, "accepted")
    assert stack.secret_reads("Plugnmeet") == reads + 1
    assert stack.post(plugnmeet("room_started", old)).verdict == (200, "accepted")

    stack.put_secret("Plugnmeet", {"keys": {other.name: other.secret}})
    time.sleep(REFRESH_INTERVAL_S + 1)
    for _ in range(3):
        stack.post(plugnmeet("room_started", ApiKey("nobody", "nothing")))
    assert stack.secret_reads("Plugnmeet") == reads + 2
    assert stack.post(plugnmeet("room_started", old)).status == 401
    assert stack.post(plugnmeet("room_started", other)).verdict == (200, "accepted")
    stack.put_secret("Plugnmeet", {"keys": {old.name: old.secret, other.name: other.secret}})


def test_an_upgrade_keeps_keys_events_and_the_memory_of_duplicates(stack, everything):
    delivery = hms(stack, "peer.join.success")
    assert stack.post(delivery).verdict == (200, "accepted")
    items, secrets = len(stack.items()), [stack.secret(name) for name in PROVIDERS]
    table = stack.outputs["TableName"]
    stack.deploy(LogLevel="WARN", RetentionDays="120")
    assert stack.outputs["TableName"] == table and len(stack.items()) == items
    assert secrets == [stack.secret(name) for name in PROVIDERS]
    assert stack.post(delivery).verdict == (200, "duplicate")
    answer = stack.post(livekit("room_started"))
    assert answer.verdict == (200, "accepted")
    until(lambda: answer.json["id"] in everything.ids(), "a notification after the upgrade")


def test_with_a_log_level_of_warn_every_metric_is_there_and_no_line_of_an_accepted_delivery(stack, source_template):
    lines, rejected = len(stack.log_lines("PlugnmeetFunction")), counted(stack, source_template, "RejectedMetric")
    authentic = plugnmeet("room_started")
    assert stack.post(authentic).verdict == (200, "accepted")
    assert stack.post(authentic.tampered()).status == 401
    new = stack.log_lines("PlugnmeetFunction")[lines:]
    assert sum(line.get("Accepted", 0) for line in new) == 1
    assert [line for line in new if "AckLatency" in line]
    assert counted(stack, source_template, "RejectedMetric") == rejected + 1
    assert {line["level"] for line in new if "level" in line} == {"WARN"}


def test_a_provider_can_be_taken_out_of_the_list(stack):
    url = stack.outputs["PlugnmeetUrl"]
    stack.deploy(Providers="Hms,Videosdk,Plugnmeet")
    assert "LivekitUrl" not in stack.outputs and stack.outputs["PlugnmeetUrl"] == url
    assert stack.post(livekit("room_started")).status == 404
    assert stack.post(plugnmeet("room_started")).verdict == (200, "accepted")


def test_the_template_can_be_packaged_for_the_application_repository(stack, tmp_path):
    """As docs/deploying.md has it."""
    [sed] = re.findall(r"^sed -i '(.*)' \.aws-sam", (ROOT / "docs/deploying.md").read_text(), re.MULTILINE)
    # Beside the build, because it refers to LICENSE by a relative path.
    built, packaged = BUILD.with_name("package") / "template.yaml", tmp_path / "packaged.yaml"
    shutil.rmtree(built.parent, ignore_errors=True)
    shutil.copytree(BUILD, built.parent)
    subprocess.run(["sed", "-i", sed, built], check=True)
    stack.client("s3").create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    stack.sam("package", "--template-file", str(built), "--language-extensions", "--s3-bucket", "packages",
              "--output-template-file", str(packaged))
    application = yaml_parse(packaged.read_text())["Metadata"]["AWS::ServerlessRepo::Application"]
    assert application["LicenseUrl"].startswith("s3://packages/") and application["ReadmeUrl"].startswith("s3://packages/")
    [version] = re.findall(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert application["SemanticVersion"] == version


def test_a_list_that_names_what_was_not_built_is_rejected(stack, tmp_path):
    environment = os.environ | {"AWS_ENDPOINT_URL": stack.stand_in.url}
    built = tmp_path / "template.yaml"
    built.write_text(re.sub(r"( +)Livekit:\n +CodeUri: LivekitFunction\n", "", (BUILD / "template.yaml").read_text()))
    run = subprocess.run(
        ["sam", "deploy", "--template-file", built, "--stack-name", "other", "--resolve-s3", "--capabilities", "CAPABILITY_IAM",
         "--language-extensions", "--no-confirm-changeset", "--parameter-overrides", "Providers=Plugnmeet,Livekit"],
        cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode != 0 and "Fn::FindInMap cannot find key 'Livekit' in map 'SAMCodeUriIngest'" in run.stderr


def test_the_table_stays_when_the_stack_is_deleted(stack):
    items = len(stack.items())
    stack.sam("delete", "--no-prompts", "--stack-name", stack.name, "--region", "eu-central-1")
    stacks = stack.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])
    assert stack.name not in [summary["StackName"] for summary in stacks["StackSummaries"]]
    assert not [name for name in functions(stack) if name.startswith(stack.name)]
    assert len(stack.items()) == items > 0
    table = stack.client("dynamodb").describe_table(TableName=stack.outputs["TableName"])["Table"]
    assert table["DeletionProtectionEnabled"] is True


def functions(stack) -> list[str]:
    return [function["FunctionName"] for function in stack.client("lambda").list_functions()["Functions"]]


def counted(stack, source_template, metric_filter: str) -> float:
    """What the template's metric filter makes of plugNmeet's log."""
    properties = source_template["Resources"][metric_filter]["Properties"]
    [transformation] = properties["MetricTransformations"]
    pattern, value = (text["Fn::Sub"] if isinstance(text, dict) else text
                      for text in (properties["FilterPattern"], transformation["MetricValue"]))
    return sum(value_of(pattern, value, line) for line in stack.log_lines("PlugnmeetFunction"))


def refresh(stack) -> None:
    """Has the function read its secret now, so that the interval is known."""
    reads = stack.secret_reads("Plugnmeet")
    forged = plugnmeet("room_started", ApiKey("nobody", "nothing"))
    stack.post(forged)
    if stack.secret_reads("Plugnmeet") == reads:
        time.sleep(REFRESH_INTERVAL_S + 1)
        stack.post(forged)
    assert stack.secret_reads("Plugnmeet") == reads + 1


def forgeries(stack, rsa_key, authentic):
    """401, each of them."""
    for delivery in authentic.values():
        if delivery.provider != "100ms":  # its header does not cover the body
            yield delivery.tampered()
        yield signing.Delivery(delivery.provider, delivery.path, {"Content-Type": "application/json"}, delivery.body)
    yield signing.hms({"type": "peer.join.success"}, "X-Livehooks-Secret", "guess")
    yield signing.hms_signed({"type": "peer.join.success"}, "guess")
    event = {"webhookType": "participant-joined", "data": {}}
    [token] = stack.secret("Videosdk")["url_tokens"]
    yield signing.videosdk(event, RsaKey(), token)
    yield signing.videosdk(event, rsa_key, "guess")
    yield signing.videosdk(event, rsa_key, None)
    event = {"event": "meeting.started"}
    [token] = stack.secret("Realtimekit")["url_tokens"]
    yield signing.realtimekit(event, RsaKey(), token)
    yield signing.realtimekit(event, rsa_key, "guess")
    yield signing.realtimekit(event, rsa_key, None)
    for is_compressed in (False, True):
        yield signing.getstream({"type": "call.ended"}, "guess", is_compressed)
    for make, key in [(signing.plugnmeet, PLUGNMEET_KEY), (signing.livekit, LIVEKIT_KEY)]:
        event = {"event": "room_started"}
        yield make(event, ApiKey(key.name, "guess"))
        yield make(event, ApiKey("nobody", key.secret))
        yield make(event, key, time.time() - 600)
        yield make(event, key, time.time() + 600)
    yield signing.mux({"type": "video.live_stream.idle"}, "guess")
    yield signing.mux({"type": "video.live_stream.idle"}, MUX_SECRET, time.time() - 26 * 3600)
    yield signing.mux({"type": "video.live_stream.idle"}, MUX_SECRET, time.time() + 600)


# What was sent while the keys had no shape, and a forgery among it.
QUEUED: list[signing.Delivery] = []


def hms(stack, kind: str) -> signing.Delivery:
    [header] = stack.secret("Hms")["headers"]
    data = {"room_id": "room-1", "session_id": "session-1", "peer_id": "peer-1", "user_name": "Zoë <b>"}
    event = {"version": "2.0", "id": str(uuid.uuid4()), "account_id": "account-1", "timestamp": now(), "type": kind, "data": data}
    return signing.hms(event, header["name"], header["values"][0])


def videosdk(stack, key: RsaKey, kind: str) -> signing.Delivery:
    [token] = stack.secret("Videosdk")["url_tokens"]
    session = uuid.uuid4().hex
    data = {"meetingId": "room-1", "sessionId": session, "participantId": "user-1", "participantName": "Zoë <b>"}
    return signing.videosdk({"webhookType": kind, "data": data}, key, token)


def plugnmeet(kind: str, key: ApiKey = PLUGNMEET_KEY) -> signing.Delivery:
    room = {"sid": "RM_1", "room_id": "room-1"}
    participant = {"sid": "PA_1", "identity": "user-1", "name": "Zoë <b>"}
    event = {"event": kind, "room": room, "participant": participant, "id": str(uuid.uuid4()), "created_at": str(int(time.time()))}
    return signing.plugnmeet(event, key)


def livekit(kind: str, key: ApiKey = LIVEKIT_KEY) -> signing.Delivery:
    room = {"sid": "RM_1", "name": "room-1"}
    participant = {"sid": "PA_1", "identity": "user-1", "name": "Zoë <b>"}
    event = {"event": kind, "room": room, "participant": participant, "id": f"EV_{uuid.uuid4().hex[:12]}", "createdAt": str(int(time.time()))}
    return signing.livekit(event, key)


def mux(kind: str) -> signing.Delivery:
    stream = {"id": "room-1", "stream_key": "Zoë <b>", "playback_ids": [{"id": "playback-1", "policy": "public"}]}
    event = {"type": kind, "id": str(uuid.uuid4()), "created_at": now(), "environment": {"id": "environment-1"},
             "data": stream, "attempts": []}
    return signing.mux(event, MUX_SECRET)


def realtimekit(stack, key: RsaKey, kind: str) -> signing.Delivery:
    [token] = stack.secret("Realtimekit")["url_tokens"]
    meeting = {"id": "room-1", "sessionId": str(uuid.uuid4()), "title": "Zoë <b>", "startedAt": now(),
               "organizedBy": {"id": "account-1", "name": "account"}}
    participant = {"peerId": "peer-1", "customParticipantId": "user-1", "joinedAt": now()}
    return signing.realtimekit({"event": kind, "meeting": meeting, "participant": participant}, key, token)


def getstream(kind: str, is_compressed: bool = False) -> signing.Delivery:
    participant = {"user": {"id": "user-1", "name": "Zoë <b>"}, "user_session_id": "peer-1", "role": "host", "joined_at": now()}
    event = {"type": kind, "created_at": time.time_ns(), "call_cid": "room-1", "session_id": "session-1", "participant": participant}
    return signing.getstream(event, GETSTREAM_SECRET, is_compressed)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def envelope(path: str, headers: dict, body: str, is_base64: bool) -> dict:
    """API Gateway's payload 2.0."""
    parts = path.split("/")
    route = "/".join([*parts[:3], "{token}"]) if len(parts) == 4 else path
    return {
        "version": "2.0", "routeKey": f"POST {route}", "rawPath": path, "rawQueryString": "", "headers": headers,
        "pathParameters": {"token": parts[3]} if len(parts) == 4 else {},
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "api", "requestId": "request", "routeKey": f"POST {route}", "stage": "$default",
            "time": "30/Oct/2025:09:03:20 +0000", "timeEpoch": 1761815000000,
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x"},
        },
        "body": body, "isBase64Encoded": is_base64,
    }
