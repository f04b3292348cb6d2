"""One stack from sam deploy to sam delete, in the order in which a team would use it.

Each test continues from the state that the previous one left.
"""

import base64
import gzip
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
from conftest import ARCHITECTURE, BUILD, FUNCTIONS, PROVIDERS, ROOT
from signing import ApiKey, RsaKey
from log_filter import value_of
from samcli.yamlhelper import yaml_parse
from stack import STATE, StandIn, Stack, Subscriber, until

PLUGNMEET_KEY = ApiKey("APIplugnmeet", "secret-of-plugnmeet-for-deploy-tests")
PLUGNMEET_KEY_NEW = ApiKey("APIplugnmeet", "another-secret-of-plugnmeet-after-rotation")
LIVEKIT_KEY = ApiKey("APIlivekit", "secret-of-livekit-for-deploy-tests")
MUX_SECRET = "secret-of-mux-for-deploy-tests"
ZOOM_SECRET = "secret-of-zoom-for-deploy-tests"
JAAS_SECRET = "whsec_secret-of-jaas-for-deploy-tests"
GETSTREAM_SECRET = "secret-of-getstream-for-deploy-tests"
# The time that KeyRing waits between two refreshes after failed verifications.
REFRESH_INTERVAL_S = 30
# The longest time that KeyRing caches a failed read.
RETRY_DELAY_MAX_S = 30
# The template gives each function 256 MB.
PEAK_MIB_MAX = 32


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
    """Subscribes to joins and leaves from two providers only."""
    return Subscriber(stack, "arrivals", {
        "provider": ["plugnmeet", "100ms"],
        "type": ["live.participant.joined", "live.participant.left"],
    })


def test_a_stack_with_one_provider_has_no_other(stack, request):
    stack.deploy(Providers="Plugnmeet")
    request.getfixturevalue("everything")  # subscribes before there are events
    assert {name for name in stack.outputs if name.endswith(("Url", "SecretId")) and "Queue" not in name} == {
        "PlugnmeetUrl", "PlugnmeetSecretId", "DashboardUrl"}
    stack.put_secret("Plugnmeet", {"keys": {PLUGNMEET_KEY.name: PLUGNMEET_KEY.secret}})
    assert stack.post(plugnmeet("room_started")).result == (200, "accepted")
    assert stack.post(livekit("room_started")).status == 404


def test_providers_can_be_added_and_sam_deploy_prints_the_outputs(stack):
    before, secret, items = stack.outputs, stack.secret("Plugnmeet"), stack.items()
    started = time.monotonic()
    stack.deploy()
    print(f"\nsam deploy: {time.monotonic() - started:.0f} s")
    assert {function["FunctionName"]: function["Architectures"] for function in deployed(stack)} == {
        stack.physical_id(function): [ARCHITECTURE] for function in FUNCTIONS}
    assert set(stack.outputs) == {f"{name}{output}" for name in PROVIDERS for output in ("Url", "SecretId")} | {
        "TopicArn", "TableName", "FallbackQueueUrl", "FallbackDeadLetterQueueUrl",
        "QuarantineQueueUrl", "FailureBucketName", "DashboardUrl"}
    assert stack.outputs["HmsUrl"].endswith("/webhooks/100ms")
    # The API keeps its id, and existing resources are not replaced.
    assert before.items() <= stack.outputs.items()
    assert stack.secret("Plugnmeet") == secret and stack.items() == items
    stack.put_secret("Plugnmeet", {"keys": {}})
    stack.replace_environments("PlugnmeetFunction")
    # Three minutes between two attempts are too long for a test.
    stack.client("sqs").set_queue_attributes(
        QueueUrl=stack.outputs["FallbackQueueUrl"], Attributes={"VisibilityTimeout": "3"})


def test_a_new_stack_has_a_secret_for_100ms_and_tokens_for_videosdk_and_realtimekit(stack):
    [header] = stack.secret("Hms")["headers"]
    assert header["name"] == "X-Livehooks-Secret"
    values = [header["values"][0], *(stack.secret(name)["url_tokens"][0] for name in ("Videosdk", "Realtimekit"))]
    assert all(len(value) == 48 and value.isalnum() for value in values) and len({*values}) == 3


def test_100ms_works_immediately_and_the_others_ask_for_keys(stack, rsa_key, everything, source_template):
    assert stack.post(hms(stack, "session.open.success")).result == (200, "accepted")
    for function, name, delivery in [
        ("VideosdkFunction", "Videosdk", videosdk(stack, rsa_key, "session-started")),
        ("PlugnmeetFunction", "Plugnmeet", plugnmeet("room_started")),
        ("LivekitFunction", "Livekit", livekit("room_started")),
        ("MuxFunction", "Mux", mux("video.live_stream.created")),
        ("ZoomFunction", "Zoom", zoom("meeting.started")),
        ("JaasFunction", "Jaas", jaas("ROOM_CREATED")),
        ("RealtimekitFunction", "Realtimekit", realtimekit(stack, rsa_key, "meeting.started")),
        ("GetstreamFunction", "Getstream", getstream("call.created")),
    ]:
        assert stack.post(delivery).status == 503
        assert f"put-secret-value --secret-id {stack.outputs[f'{name}SecretId']} --secret-string" in stack.log(function)
    assert counted(stack, source_template, "KeysMetric") > 0
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["FallbackQueueUrl"], AttributeNames=attributes)
    assert {*found["Attributes"].values()} == {"0"}, "no delivery could be authentic yet"


def test_with_an_invalid_secret_deliveries_are_queued_and_the_log_names_the_field(stack, rsa_key):
    for keys, words in [
        ("not JSON", "expected JSON, found none at line 1"),
        ({"keys": [PLUGNMEET_KEY.secret]}, "field keys: expected an object of API keys and secrets, found an array"),
        ({"keys": {"a": 1}}, "field keys.a: expected a string, found a number"),
        ({"key": {}}, "expected only the fields keys"),
    ]:
        stack.put_secret("Plugnmeet", keys)
        stack.replace_environments("PlugnmeetFunction")  # a failed read is cached for seconds
        delivery = plugnmeet("room_started")
        assert stack.post(delivery).result == (200, "queued"), keys
        QUEUED.append(delivery)
        assert words in stack.log("PlugnmeetFunction")
    assert PLUGNMEET_KEY.secret not in stack.log("PlugnmeetFunction")
    for name, delivery in [
        ("Hms", hms(stack, "session.open.success")),
        ("Videosdk", videosdk(stack, rsa_key, "session-started")),
        ("Livekit", livekit("room_started")),
    ]:
        secret = stack.secret(name)
        stack.put_secret(name, "not JSON")
        stack.replace_environments(f"{name}Function")
        assert stack.post(delivery).result == (200, "queued"), name
        QUEUED.append(delivery)
        stack.put_secret(name, secret)
    # Without keys, a forgery cannot be recognized yet. It is signed here, because an expired one would be rejected.
    forged = signing.plugnmeet({"event": "room_started", "id": "forged"}, ApiKey("APIplugnmeet", "guess"))
    assert stack.post(forged).result == (200, "queued")


def test_keys_work_within_half_a_minute_after_they_are_set(stack, rsa_key):
    stack.put_secret("Plugnmeet", {"keys": {PLUGNMEET_KEY.name: PLUGNMEET_KEY.secret}})
    stack.put_secret("Livekit", {"keys": {LIVEKIT_KEY.name: LIVEKIT_KEY.secret}})
    stack.put_secret("Mux", {"signing_secrets": [MUX_SECRET]})
    stack.put_secret("Zoom", {"secret_tokens": [ZOOM_SECRET]})
    stack.put_secret("Jaas", {"signing_secrets": [JAAS_SECRET]})
    stack.put_secret("Getstream", {"api_secrets": [GETSTREAM_SECRET]})
    for name in ("Videosdk", "Realtimekit"):
        stack.put_secret(name, stack.secret(name) | {"public_keys": [rsa_key.public_pem]})
    time.sleep(RETRY_DELAY_MAX_S + 1)
    for delivery in [plugnmeet("room_started"), livekit("room_started"), videosdk(stack, rsa_key, "session-started")]:
        assert stack.post(delivery).result == (200, "accepted")


def test_queued_deliveries_are_stored_once_and_published_but_one_with_an_unknown_key_is_dead_lettered(stack, everything):
    hashes = {hashlib.sha256(delivery.body).hexdigest() for delivery in QUEUED}
    stored = lambda: [item for item in stack.items() if item["body_sha256"]["S"] in hashes]
    until(lambda: len(stored()) == len(QUEUED) == 7, "the queued deliveries in the table", seconds=120)
    ids = {event_of(item)["id"] for item in stored()}
    until(lambda: ids <= set(everything.ids()), "their notifications")
    count = lambda: sum(json.loads(line).get("DeadLettered", 0) for line in stack.log("RecoverFunction").splitlines() if line.startswith("{"))
    assert until(count, "the forgery to be dead-lettered", seconds=60) == 1
    assert "plugnmeet#forged" not in [item["event_key"]["S"] for item in stack.items()]
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["FallbackQueueUrl"], AttributeNames=attributes)
    assert {*found["Attributes"].values()} == {"0"}
    [letter] = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs["FallbackDeadLetterQueueUrl"], MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert (attributes["provider"], attributes["reason"]) == ("plugnmeet", "wrong_key")
    assert attributes["received_at"] == json.loads(letter["Body"])["received_at"]


def test_each_event_is_stored_once_and_published_to_matching_subscribers(stack, rsa_key, everything, arrivals):
    before = {item["event_key"]["S"] + item["occurrence"]["N"] for item in stack.items()}
    until(lambda: everything.ids(), "the notifications of earlier tests")
    joined = {
        "100ms": hms(stack, "peer.join.success"),
        "videosdk": videosdk(stack, rsa_key, "participant-joined"),
        "plugnmeet": plugnmeet("participant_joined"),
        "livekit": livekit("participant_joined"),
        "mux": mux("video.live_stream.connected"),
        "zoom": zoom("meeting.participant_joined"),
        "jaas": jaas("PARTICIPANT_JOINED"),
        "realtimekit": realtimekit(stack, rsa_key, "meeting.participantJoined"),
        "getstream": getstream("call.session_participant_joined"),
    }
    others = [hms(stack, "room.end.success"), plugnmeet("no_such_event"), livekit("room_finished")]
    ids = {}
    for provider, delivery in joined.items():
        answer = stack.post(delivery)
        assert answer.result == (200, "accepted"), (provider, answer)
        ids[provider] = answer.json["id"]
        for repeat in range(2):
            duplicate = stack.post(delivery)
            assert duplicate.result == (200, "duplicate") and duplicate.json["id"] == ids[provider], (provider, duplicate)
    other_ids = [stack.post(delivery).json["id"] for delivery in others]
    asked = stack.post(signing.zoom(url_validation("token"), ZOOM_SECRET))
    assert (asked.status, asked.json["plainToken"]) == (200, "token") and asked.json.keys() > {"plainToken"}
    for forged in forgeries(stack, rsa_key, joined):
        assert stack.post(forged).status == 401, forged

    new = [item for item in stack.items() if item["event_key"]["S"] + item["occurrence"]["N"] not in before]
    stored = {event_of(item)["id"]: item for item in new}
    assert len(new) == len(stored) and set(stored) == {*ids.values(), *other_ids}
    for provider, id in ids.items():
        item = stored[id]
        event = event_of(item)
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
def test_both_body_encodings_and_any_content_type_are_accepted(stack, rsa_key, in_base64, content_type):
    for function, delivery in [
        ("HmsFunction", hms(stack, "peer.leave.success")),
        ("VideosdkFunction", videosdk(stack, rsa_key, "participant-left")),
        ("PlugnmeetFunction", plugnmeet("participant_left")),
        ("LivekitFunction", livekit("participant_left")),
        ("MuxFunction", mux("video.live_stream.disconnected")),
        ("ZoomFunction", zoom("meeting.participant_left")),
        ("JaasFunction", jaas("PARTICIPANT_LEFT")),
        ("RealtimekitFunction", realtimekit(stack, rsa_key, "meeting.participantLeft")),
        ("GetstreamFunction", getstream("call.session_participant_left")),
    ]:
        headers = {name.lower(): value for name, value in delivery.headers.items() if name.lower() != "content-type"}
        if content_type:
            headers["content-type"] = content_type
        body = base64.b64encode(delivery.body).decode() if in_base64 else delivery.body.decode()
        answer = stack.invoke(function, envelope(delivery.path, headers, body, in_base64))
        assert answer.result == (200, "accepted"), (function, answer)
        headers = headers | {"content-type": content_type or "text/plain"}
        through_api = signing.Delivery(delivery.provider, delivery.path, headers, delivery.body)
        assert stack.post(through_api).result == (200, "duplicate"), (function, "through the API")


def test_a_compressed_body_is_accepted(stack):
    delivery = getstream("call.session_participant_left", is_compressed=True)
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    body = base64.b64encode(delivery.body).decode()
    answer = stack.invoke("GetstreamFunction", envelope(delivery.path, headers, body, True))
    assert answer.result == (200, "accepted"), answer


def test_there_are_no_other_routes(stack):
    for path in ["/", "/webhooks", "/webhooks/100ms/x", "/webhooks/hms", "/webhooks/videosdk/a/b", "/webhooks/mux/x"]:
        assert stack.post(signing.Delivery("", path, {}, b"{}")).status == 404, path


def test_no_log_contains_a_key_a_token_or_a_body(stack, rsa_key):
    secrets = [PLUGNMEET_KEY.secret, LIVEKIT_KEY.secret, MUX_SECRET, ZOOM_SECRET, JAAS_SECRET,
               GETSTREAM_SECRET, stack.secret("Hms")["headers"][0]["values"][0], "Zoë",
               *(stack.secret(name)["url_tokens"][0] for name in ("Videosdk", "Realtimekit"))]
    for function in FUNCTIONS:
        text = stack.log(function)
        assert not [secret for secret in secrets if secret in text], function
    lines = [json.loads(line) for line in stack.log("PlugnmeetFunction").splitlines() if line.startswith("{")]
    assert any(line.get("message") == "delivery rejected" and line["reason"] == "body_altered" for line in lines)


def test_the_metric_filters_find_their_lines(stack, source_template):
    assert counted(stack, source_template, "RejectedMetric") > 0
    assert counted(stack, source_template, "UnknownTypeMetric") == 1
    assert counted(stack, source_template, "KeysMetric") > 0
    assert counted(stack, source_template, "ThrottledMetric") == 0


def test_nothing_is_lost_when_the_notifier_is_killed_during_a_batch(stack, everything):
    """Three times: stops the notifier during a batch, sends more events, and kills it."""
    sent = set()

    def send(count):
        for _ in range(count):
            answer = stack.post(plugnmeet("track_published"))
            assert answer.result == (200, "accepted"), answer
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
    stored = {event_of(item)["id"] for item in stack.items()}
    assert sent <= stored
    until(lambda: stored <= set(everything.ids()), "every notification", seconds=120)
    assert set(everything.ids()) == stored
    print(f"\nthe notifier was killed {kills} times during a batch, {len(sent)} events; published twice: "
          f"{len(everything.ids()) - len(set(everything.ids()))}")


def test_nothing_is_lost_while_sns_is_down_and_senders_do_not_notice(stack, everything):
    failed, outage = stack.failed_batches(), STATE / "sns-is-down"
    outage.touch()
    sent = set()
    for _ in range(30):
        answer = stack.post(hms(stack, "peer.join.success"))
        assert answer.result == (200, "accepted"), answer
        sent.add(answer.json["id"])
    until(lambda: stack.failed_batches() > failed, "a batch to fail")
    assert not sent & set(everything.ids())
    assert "the topic did not accept a batch" in stack.log("NotifyFunction")
    outage.unlink()
    until(lambda: sent <= set(everything.ids()), "every notification", seconds=60)


def test_no_function_needs_much_memory(stack):
    print()
    for function in FUNCTIONS:
        peak = stack.peak_kib(function) / 1024
        print(f"{function}: {peak:.1f} MiB")
        assert 1 < peak < PEAK_MIB_MAX, function


def test_during_a_rotation_both_keys_work_and_afterwards_only_the_new_one(stack):
    """As in docs/deploying.md: add the new key, wait, switch the provider over, remove the old key."""
    old, new = PLUGNMEET_KEY, PLUGNMEET_KEY_NEW
    other = ApiKey("APIplugnmeet-new", new.secret)
    refresh(stack)
    reads = stack.secret_reads("Plugnmeet")
    for _ in range(5):
        assert stack.post(plugnmeet("room_started", other)).status == 401
    assert stack.secret_reads("Plugnmeet") == reads, "forgeries must not cause a call each"

    stack.put_secret("Plugnmeet", {"keys": {old.name: old.secret, other.name: other.secret}})
    time.sleep(REFRESH_INTERVAL_S + 1)
    assert stack.post(plugnmeet("room_started", other)).result == (200, "accepted")
    assert stack.secret_reads("Plugnmeet") == reads + 1
    assert stack.post(plugnmeet("room_started", old)).result == (200, "accepted")

    stack.put_secret("Plugnmeet", {"keys": {other.name: other.secret}})
    time.sleep(REFRESH_INTERVAL_S + 1)
    for _ in range(3):
        stack.post(plugnmeet("room_started", ApiKey("unknown", "guess")))
    assert stack.secret_reads("Plugnmeet") == reads + 2
    assert stack.post(plugnmeet("room_started", old)).status == 401
    assert stack.post(plugnmeet("room_started", other)).result == (200, "accepted")
    stack.put_secret("Plugnmeet", {"keys": {old.name: old.secret, other.name: other.secret}})


def test_an_upgrade_keeps_keys_and_events_and_still_recognizes_duplicates(stack, everything):
    delivery = hms(stack, "peer.join.success")
    assert stack.post(delivery).result == (200, "accepted")
    items, secrets = len(stack.items()), [stack.secret(name) for name in PROVIDERS]
    table = stack.outputs["TableName"]
    stack.deploy(LogLevel="WARN", RetentionDays="120")
    assert stack.outputs["TableName"] == table and len(stack.items()) == items
    assert secrets == [stack.secret(name) for name in PROVIDERS]
    assert stack.post(delivery).result == (200, "duplicate")
    answer = stack.post(livekit("room_started"))
    assert answer.result == (200, "accepted")
    until(lambda: answer.json["id"] in everything.ids(), "a notification after the upgrade")


def test_at_log_level_warn_metrics_remain_and_accepted_deliveries_are_not_logged(stack, source_template):
    lines, rejected = len(stack.log_lines("PlugnmeetFunction")), counted(stack, source_template, "RejectedMetric")
    authentic = plugnmeet("room_started")
    assert stack.post(authentic).result == (200, "accepted")
    assert stack.post(authentic.tampered()).status == 401
    new = stack.log_lines("PlugnmeetFunction")[lines:]
    assert sum(line.get("Accepted", 0) for line in new) == 1
    assert [line for line in new if "AckLatency" in line]
    assert counted(stack, source_template, "RejectedMetric") == rejected + 1
    assert {line["level"] for line in new if "level" in line} == {"WARN"}


def test_a_provider_can_be_removed(stack):
    url = stack.outputs["PlugnmeetUrl"]
    stack.deploy(Providers="Hms,Videosdk,Plugnmeet")
    assert "LivekitUrl" not in stack.outputs and stack.outputs["PlugnmeetUrl"] == url
    assert stack.post(livekit("room_started")).status == 404
    assert stack.post(plugnmeet("room_started")).result == (200, "accepted")


def test_the_template_can_be_packaged_for_the_application_repository(stack, tmp_path):
    """As in docs/deploying.md."""
    [sed] = re.findall(r"^sed -i '(.*)' \.aws-sam", (ROOT / "docs/deploying.md").read_text(), re.MULTILINE)
    # Next to the build, because the template refers to LICENSE by a relative path.
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


def test_a_provider_that_was_not_built_is_rejected(stack, tmp_path):
    environment = os.environ | {"AWS_ENDPOINT_URL": stack.stand_in.url}
    built = tmp_path / "template.yaml"
    built.write_text(re.sub(r"( +)Livekit:\n +CodeUri: LivekitFunction\n", "", (BUILD / "template.yaml").read_text()))
    run = subprocess.run(
        ["sam", "deploy", "--template-file", built, "--stack-name", "other", "--resolve-s3", "--capabilities", "CAPABILITY_IAM",
         "--language-extensions", "--no-confirm-changeset", "--parameter-overrides", "Providers=Plugnmeet,Livekit"],
        cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode != 0 and "Fn::FindInMap cannot find key 'Livekit' in map 'SAMCodeUriIngest'" in run.stderr


def test_the_table_remains_after_the_stack_is_deleted(stack):
    items = len(stack.items())
    stack.sam("delete", "--no-prompts", "--stack-name", stack.name, "--region", "eu-central-1")
    stacks = stack.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])
    assert stack.name not in [summary["StackName"] for summary in stacks["StackSummaries"]]
    assert not [function for function in deployed(stack) if function["FunctionName"].startswith(stack.name)]
    assert len(stack.items()) == items > 0
    table = stack.client("dynamodb").describe_table(TableName=stack.outputs["TableName"])["Table"]
    assert table["DeletionProtectionEnabled"] is True


def deployed(stack) -> list[dict]:
    return stack.client("lambda").list_functions()["Functions"]


def counted(stack, source_template, metric_filter: str) -> float:
    """The value that the template's metric filter gets from plugNmeet's log."""
    properties = source_template["Resources"][metric_filter]["Properties"]
    [transformation] = properties["MetricTransformations"]
    pattern, value = (text["Fn::Sub"] if isinstance(text, dict) else text
                      for text in (properties["FilterPattern"], transformation["MetricValue"]))
    return sum(value_of(pattern, value, line) for line in stack.log_lines("PlugnmeetFunction"))


def refresh(stack) -> None:
    """Makes the function read its secret now, to start a known interval."""
    reads = stack.secret_reads("Plugnmeet")
    forged = plugnmeet("room_started", ApiKey("unknown", "guess"))
    stack.post(forged)
    if stack.secret_reads("Plugnmeet") == reads:
        time.sleep(REFRESH_INTERVAL_S + 1)
        stack.post(forged)
    assert stack.secret_reads("Plugnmeet") == reads + 1


def forgeries(stack, rsa_key, authentic):
    """Deliveries that must each be answered 401."""
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
        yield make(event, ApiKey("unknown", key.secret))
        yield make(event, key, time.time() - 600)
        yield make(event, key, time.time() + 600)
    yield signing.mux({"type": "video.live_stream.idle"}, "guess")
    yield signing.mux({"type": "video.live_stream.idle"}, MUX_SECRET, time.time() - 26 * 3600)
    yield signing.mux({"type": "video.live_stream.idle"}, MUX_SECRET, time.time() + 600)
    yield signing.zoom({"event": "meeting.ended"}, "guess")
    yield signing.zoom({"event": "meeting.ended"}, ZOOM_SECRET, time.time() - 3 * 3600)
    yield signing.zoom({"event": "meeting.ended"}, ZOOM_SECRET, time.time() + 600)
    yield signing.zoom(url_validation("v0:1:{}"), ZOOM_SECRET)
    yield signing.jaas({"eventType": "ROOM_CREATED"}, JAAS_SECRET.removeprefix("whsec_"))
    yield signing.jaas({"eventType": "ROOM_CREATED"}, JAAS_SECRET, time.time() - 26 * 3600)
    yield signing.jaas({"eventType": "ROOM_CREATED"}, JAAS_SECRET, time.time() + 600)


def event_of(item: dict) -> dict:
    """The event of an item, without the provider's JSON."""
    value = item["event"]
    return json.loads(value["S"] if "S" in value else gzip.decompress(value["B"]))


# Sent while the secret was invalid.
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


def zoom(kind: str) -> signing.Delivery:
    participant = {"user_id": str(uuid.uuid4()), "user_name": "Zoë <b>"}
    meeting = {"id": "room-1", "uuid": "session-1", "participant": participant, "password": "Zoë"}
    event = {"event": kind, "event_ts": time.time_ns() // 1_000_000, "payload": {"object": meeting}}
    return signing.zoom(event, ZOOM_SECRET)


def url_validation(token: str) -> dict:
    return {"event": "endpoint.url_validation", "event_ts": time.time_ns() // 1_000_000, "payload": {"plainToken": token}}


def jaas(kind: str) -> signing.Delivery:
    participant = {"id": "user-1", "name": "Zoë <b>", "participantJid": "1f9a7c52@8x8.vc", "participantId": "1f9a7c52"}
    event = {"idempotencyKey": str(uuid.uuid4()), "eventType": kind, "sessionId": "session-1",
             "timestamp": int(time.time() * 1000), "fqn": "vpaas-magic-cookie-1/room-1", "data": participant}
    return signing.jaas(event, JAAS_SECRET)


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
    """API Gateway's payload format 2.0."""
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
