"""What the template says, before anything is built: lint, least privilege, the relay's source, bad parameters."""

import json
import re
import subprocess

import pytest
from conftest import ROOT, SWITCHES

PROVIDERS = {"Hms": "hms", "Videosdk": "videosdk", "Plugnmeet": "plugnmeet", "Livekit": "livekit"}


def test_sam_and_cfn_lint_find_nothing():
    run = subprocess.run(["sam", "validate", "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and "[[" not in run.stdout, run.stdout + run.stderr
    run = subprocess.run(["cfn-lint", "--include-checks", "W", "E", "--", "template.yaml"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and not run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_ingest_role_writes_and_queries_its_table_reads_its_secret_sends_to_the_fallback_queue_and_nothing_else(template, provider):
    assert permissions(template, f"{provider}Function") == {
        ("dynamodb:PutItem", "EventsTable.Arn"),
        ("dynamodb:Query", "EventsTable.Arn"),
        ("logs:CreateLogStream", "IngestLogGroup.Arn"),
        ("logs:PutLogEvents", "IngestLogGroup.Arn"),
        ("secretsmanager:GetSecretValue", f"{provider}Secret"),
        ("sqs:SendMessage", "FallbackQueue.Arn"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    }


def test_recover_takes_from_the_fallback_queue_never_sends_to_it_and_does_what_ingest_does(template):
    assert permissions(template, "RecoverFunction") == {
        ("dynamodb:PutItem", "EventsTable.Arn"),
        ("dynamodb:Query", "EventsTable.Arn"),
        ("logs:CreateLogStream", "IngestLogGroup.Arn"),
        ("logs:PutLogEvents", "IngestLogGroup.Arn"),
        *(("secretsmanager:GetSecretValue", f"{provider}Secret") for provider in PROVIDERS),
        ("sqs:DeleteMessage", "FallbackQueue.Arn"),
        ("sqs:GetQueueAttributes", "FallbackQueue.Arn"),
        ("sqs:ReceiveMessage", "FallbackQueue.Arn"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    }


def test_recover_has_the_keys_of_the_providers_that_are_switched_on(template):
    variables = template["Resources"]["RecoverFunction"]["Properties"]["Environment"]["Variables"]
    names = {"Hms": "100MS", "Videosdk": "VIDEOSDK", "Plugnmeet": "PLUGNMEET", "Livekit": "LIVEKIT"}
    assert {name: value for name, value in variables.items() if name.startswith("PROVIDER_SECRET_ID")} == {
        f"PROVIDER_SECRET_ID_{names[provider]}": {
            "Fn::If": [f"With{provider}", {"Ref": f"{provider}Secret"}, {"Ref": "AWS::NoValue"}]}
        for provider in PROVIDERS}
    policy = template["Resources"]["RecoverRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    [secrets] = [statement["Resource"] for statement in policy["Statement"] if "secretsmanager" in str(statement["Action"])]
    assert [secret["Fn::If"][0] for secret in secrets] == [f"With{provider}" for provider in PROVIDERS]
    for provider in PROVIDERS:
        ingest = template["Resources"][f"{provider}Function"]["Properties"]["Environment"]["Variables"]
        assert ingest["FALLBACK_QUEUE_URL"] == {"Ref": "FallbackQueue"}
        assert ingest["RETENTION_DAYS"] == variables["RETENTION_DAYS"]


def test_the_fallback_queue_outlives_an_outage_of_a_day_and_loses_nothing(template):
    resources = template["Resources"]
    queue, dead = (resources[name]["Properties"] for name in ("FallbackQueue", "FallbackDeadLetterQueue"))
    for properties in (queue, dead):
        assert properties["SqsManagedSseEnabled"] is True
        assert properties["MessageRetentionPeriod"] == 14 * 86_400
        assert properties["MaximumMessageSize"] == 1024 * 1024
    assert queue["VisibilityTimeout"] == 6 * resources["RecoverFunction"]["Properties"]["Timeout"]
    redrive = queue["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["FallbackDeadLetterQueue", "Arn"]}
    assert redrive["maxReceiveCount"] * queue["VisibilityTimeout"] == 86_400
    source = resources["RecoverFunctionQueue"]["Properties"]
    assert source["EventSourceArn"] == {"Fn::GetAtt": ["FallbackQueue", "Arn"]}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 2}
    # Ten deliveries of 2.4 s each have to fit into one call.
    assert source["BatchSize"] * 2.4 < resources["RecoverFunction"]["Properties"]["Timeout"]
    local = (ROOT / "cli/src/dev/queue.rs").read_text()
    assert f"RECEIVES_MAX: u32 = {redrive['maxReceiveCount']};" in local


def test_the_relay_reads_the_stream_publishes_and_writes_no_table(template):
    assert permissions(template, "NotifyFunction") == {
        ("dynamodb:DescribeStream", "${EventsTable.Arn}/stream/*"),
        ("dynamodb:GetRecords", "${EventsTable.Arn}/stream/*"),
        ("dynamodb:GetShardIterator", "${EventsTable.Arn}/stream/*"),
        ("dynamodb:ListStreams", "${EventsTable.Arn}/stream/*"),
        ("logs:CreateLogStream", "NotifyLogGroup.Arn"),
        ("logs:PutLogEvents", "NotifyLogGroup.Arn"),
        ("s3:ListBucket", "FailureBucket.Arn"),
        ("s3:PutObject", "${FailureBucket.Arn}/*"),
        ("sns:Publish", "EventsTopic"),
        ("sqs:SendMessage", "QuarantineQueue.Arn"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    }


def test_no_role_has_wildcards_that_aws_does_not_force(template):
    for name, function in of_type(template, "AWS::Lambda::Function"):
        for action, resource in permissions(template, name):
            assert "*" not in action, (name, action)
            assert resource != "*" or action.startswith("xray:"), (name, action)
            if name != "NotifyFunction":
                assert not action.startswith("sns:"), (name, action)
    trusted = {
        json.dumps(role["Properties"]["AssumeRolePolicyDocument"], sort_keys=True)
        for _, role in of_type(template, "AWS::IAM::Role")
    }
    assert len(trusted) == 1 and '"Service": "lambda.amazonaws.com"' in trusted.pop()


def test_only_the_api_may_call_the_ingest_functions_and_nobody_calls_the_relay_or_recover(template):
    for name, permission in of_type(template, "AWS::Lambda::Permission"):
        assert permission["Properties"]["Principal"] == "apigateway.amazonaws.com", name
        assert "${__ApiId__}" in json.dumps(permission["Properties"]["SourceArn"]), name
        assert permission["Properties"]["FunctionName"] not in ({"Ref": "NotifyFunction"}, {"Ref": "RecoverFunction"})


def test_the_relay_is_fed_with_new_items_and_loses_none(template):
    sources = dict(of_type(template, "AWS::Lambda::EventSourceMapping"))
    assert set(sources) == {"NotifyFunctionStream", "RecoverFunctionQueue"}
    source = sources["NotifyFunctionStream"]
    properties = source["Properties"]
    assert properties["EventSourceArn"] == {"Fn::GetAtt": ["EventsTable", "StreamArn"]}
    assert [json.loads(entry["Pattern"]) for entry in properties["FilterCriteria"]["Filters"]] == [{"eventName": ["INSERT"]}]
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["BisectBatchOnFunctionError"] is True
    # Retries end by age alone: a number of attempts could be used up before.
    assert properties["MaximumRetryAttempts"] == -1
    # The stream itself forgets after 24 hours.
    assert 3_600 <= properties["MaximumRecordAgeInSeconds"] < 24 * 3_600
    assert properties["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailureBucket", "Arn"]}}}


def test_the_table_is_the_one_that_the_functions_expect_and_hard_to_lose(template):
    table = template["Resources"]["EventsTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = table["Properties"]
    assert properties["DeletionProtectionEnabled"] and properties["SSESpecification"]["SSEEnabled"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    keys = lambda schema: [(key["AttributeName"], key["KeyType"]) for key in schema]
    assert keys(properties["KeySchema"]) == [("event_key", "HASH"), ("occurrence", "RANGE")]
    [index] = properties["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by_room"
    assert keys(index["KeySchema"]) == [("room_key", "HASH"), ("occurred_at", "RANGE")]
    types = {item["AttributeName"]: item["AttributeType"] for item in properties["AttributeDefinitions"]}
    assert types == {"event_key": "S", "occurrence": "N", "room_key": "S", "occurred_at": "S"}


def test_everything_at_rest_is_encrypted_and_the_bucket_is_private(template):
    resources = template["Resources"]
    assert resources["EventsTopic"]["Properties"]["KmsMasterKeyId"] == "alias/aws/sns"
    assert resources["QuarantineQueue"]["Properties"]["SqsManagedSseEnabled"] is True
    bucket = resources["FailureBucket"]
    assert bucket["DeletionPolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["BucketEncryption"] and bucket["Properties"]["LifecycleConfiguration"]


def test_each_function_is_small_traced_and_logs_json_into_a_group_that_forgets(template):
    groups = {name for name, group in of_type(template, "AWS::Logs::LogGroup") if "RetentionInDays" in group["Properties"]}
    assert groups == {name for name, _ in of_type(template, "AWS::Logs::LogGroup")}
    for name, function in of_type(template, "AWS::Lambda::Function"):
        properties = function["Properties"]
        assert properties["MemorySize"] == 256
        # Ingest answers within 2.4 s.
        assert properties["Timeout"] == {"NotifyFunction": 60, "RecoverFunction": 30}.get(name, 5), name
        assert properties["TracingConfig"] == {"Mode": "Active"}
        assert properties["LoggingConfig"]["LogFormat"] == "JSON"
        assert properties["LoggingConfig"]["LogGroup"]["Ref"] in groups
        assert properties["Architectures"] == [{"Ref": "Architecture"}]


def test_the_access_log_never_holds_a_path(template):
    stage = template["Resources"]["ApiApiGatewayDefaultStage"]["Properties"]
    variables = set(re.findall(r"\$context\.[A-Za-z.]+", stage["AccessLogSettings"]["Format"]))
    assert "$context.routeKey" in variables
    assert not {name for name in variables if name.lower().endswith("path") or "authorizer" in name}
    json.loads(stage["AccessLogSettings"]["Format"])
    assert set(stage["DefaultRouteSettings"]) == {"ThrottlingBurstLimit", "ThrottlingRateLimit"}


def test_the_api_has_the_providers_routes_only(template):
    paths = template["Resources"]["Api"]["Properties"]["Body"]["paths"]
    routes = {path: list(entry["Fn::If"][1]) for path, entry in paths.items()}
    assert routes == {
        "/webhooks/100ms": ["post"],
        "/webhooks/videosdk": ["post"],
        "/webhooks/videosdk/{token}": ["post"],
        "/webhooks/plugnmeet": ["post"],
        "/webhooks/livekit": ["post"],
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_is_switched_off_leaves_nothing_behind(template, provider):
    condition = f"With{provider}"
    resources = template["Resources"]
    for name, resource in resources.items():
        own = name.startswith(provider)
        assert (resource.get("Condition") == condition) == own, name
    outputs = template["Outputs"]
    assert {name for name, output in outputs.items() if output.get("Condition") == condition} == {
        f"{provider}Url", f"{provider}SecretId"}
    assert template["Conditions"][condition] == {"Fn::Equals": [{"Ref": f"Enable{provider}"}, "true"]}


def test_each_binary_is_built_from_the_whole_workspace(source_template):
    functions = {
        name: resource for name, resource in source_template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    binaries = {name: resource["Metadata"]["BuildProperties"]["Binary"] for name, resource in functions.items()}
    assert binaries == {f"{name}Function": binary for name, binary in PROVIDERS.items()} | {
        "NotifyFunction": "notify", "RecoverFunction": "recover"}
    assert source_template["Globals"]["Function"]["CodeUri"] == "."
    for name, resource in functions.items():
        assert "CodeUri" not in resource["Properties"], name
        assert resource["Metadata"]["BuildMethod"] == "rust-cargolambda"
        assert (ROOT / "functions" / binaries[name] / "Cargo.toml").exists(), f"{name} has no package"


def test_what_a_secret_starts_with_is_never_edited(source_template):
    """CloudFormation writes an edited text over the keys of every stack that exists."""
    secrets = {
        name: resource["Properties"]["SecretString"] for name, resource in source_template["Resources"].items()
        if "SecretString" in resource["Properties"]
    }
    assert secrets == {
        "HmsSecret": {"Fn::Sub": '{"headers": [{"name": "X-Livehooks-Secret", "values": ["{{resolve:secretsmanager:${HmsHeaderValue}:SecretString}}"]}]}'},
        "VideosdkSecret": {"Fn::Sub": '{"public_keys": [], "url_tokens": ["{{resolve:secretsmanager:${VideosdkUrlToken}:SecretString}}"]}'},
        "PlugnmeetSecret": '{"keys": {}}',
        "LivekitSecret": '{"keys": {}}',
    }


def test_every_alarm_tells_the_topic_if_there_is_one_and_is_on_the_dashboard(template):
    alarms = dict(of_type(template, "AWS::CloudWatch::Alarm"))
    dashboard = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, alarm in alarms.items():
        action = {"Fn::If": ["WithAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["Properties"]["AlarmActions"] == action, name
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching", name
        assert f"${{{name}.Arn}}" in dashboard, name
    documented = (ROOT / "docs/deploying.md").read_text()
    assert {name for name in alarms if f"`{name}`" not in documented} == set(), "not in docs/deploying.md"
    json.loads(re.sub(r"\$\{[^}]*\}", "x", dashboard))


BAD = {
    "EnableHms": ["", "yes", "True"],
    "Architecture": ["x86", "arm"],
    "RetentionDays": ["34", "0", "-1", "3651"],
    "LogRetentionDays": ["2", "0"],
    "LogLevel": ["info", "TRACE"],
    "ThrottlingRateLimit": ["0", "10001"],
    "ThrottlingBurstLimit": ["0", "5001"],
    "RefusedAlarmThreshold": ["0"],
    "AlarmTopicArn": ["my-topic", "arn:aws:sqs:eu-central-1:123456789012:q", "arn:aws:sns:eu-central-1:1234:t",
                      "arn:aws:sns:eu-central-1:123456789012:topic.fifo"],
}
GOOD = {"AlarmTopicArn": ["", "arn:aws:sns:eu-central-1:123456789012:alarms", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a"],
        "RetentionDays": ["35", "3650"]}


def test_wrong_parameters_are_refused_and_what_is_right_is_said(source_template):
    """By CloudFormation's own rules for parameters, which the stand-in does not know."""
    parameters = source_template["Parameters"]
    for name, values in BAD.items():
        for value in values:
            assert not is_taken(parameters[name], value), (name, value)
    for name, values in GOOD.items():
        for value in values:
            assert is_taken(parameters[name], value), (name, value)
    for name, parameter in parameters.items():
        assert is_taken(parameter, str(parameter["Default"])), name
        assert "AllowedValues" in parameter or "ConstraintDescription" in parameter, name


def test_a_stack_without_any_provider_is_refused(source_template):
    [rule] = source_template["Rules"].values()
    [assertion] = rule["Assertions"]
    holds = lambda values: any(values[equals["Fn::Equals"][0]["Ref"]] == equals["Fn::Equals"][1] for equals in assertion["Assert"]["Fn::Or"])
    off = dict.fromkeys(SWITCHES, "false")
    assert not holds(off)
    for switch in SWITCHES:
        assert holds(off | {switch: "true"})
        assert switch in assertion["AssertDescription"]


def is_taken(parameter: dict, value: str) -> bool:
    if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
        return False
    if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], value):
        return False
    if parameter["Type"] == "Number":
        return parameter.get("MinValue", float("-inf")) <= float(value) <= parameter.get("MaxValue", float("inf"))
    return True


def of_type(template: dict, kind: str) -> list:
    return [(name, resource) for name, resource in template["Resources"].items() if resource["Type"] == kind]


def permissions(template: dict, function: str) -> set:
    """Every (action, resource) that the function's role allows."""
    resources = template["Resources"]
    role = resources[resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    for managed in role.get("ManagedPolicyArns", []):
        documents.append(resources[managed["Ref"]]["Properties"]["PolicyDocument"])
    found = set()
    for document in documents:
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow" and set(statement) == {"Effect", "Action", "Resource"}
            for action in listed(statement["Action"]):
                found |= {(action, named(resource)) for resource in listed(statement["Resource"])}
    return found


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def named(resource) -> str:
    match resource:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Ref": name} | {"Fn::Sub": name}:
            return name
        case {"Fn::If": [_, resource, {"Ref": "AWS::NoValue"}]}:
            return named(resource)
    return resource
