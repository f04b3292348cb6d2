"""Checks the template itself: lint, least privilege, event sources, alarms, parameters."""

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatchcase

import pytest
from conftest import NAMES, PROVIDERS, ROOT, transformed
from log_filter import conditions


def test_sam_and_cfn_lint_find_nothing(tmp_path):
    run = subprocess.run(["sam", "validate", "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and "[[" not in run.stdout, run.stdout + run.stderr
    # cfn-lint expands loops for a parameter's default, otherwise only for its first allowed value.
    text = (ROOT / "template.yaml").read_text()
    of_all = re.sub(r"(Type: CommaDelimitedList\n)    AllowedValues: .*", rf'\1    Default: "{",".join(PROVIDERS)}"', text)
    assert of_all != text
    (tmp_path / "template.yaml").write_text(of_all)
    for path in ("template.yaml", tmp_path / "template.yaml"):
        run = subprocess.run(["cfn-lint", "--include-checks", "W", "E", "--", path], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0 and not run.stdout, run.stdout + run.stderr


def test_the_template_stays_short():
    """A provider adds a dozen lines: a mapping, a condition, its secrets and a variable."""
    assert len((ROOT / "template.yaml").read_text().splitlines()) <= 740 + 13 * len(PROVIDERS)


def test_each_provider_is_in_every_section_outside_the_loops(source_template):
    """Names what must be added by hand for a provider."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert config["default"]["global"]["parameters"]["parameter_overrides"] == [f"Providers={','.join(PROVIDERS)}"]
    assert source_template["Parameters"]["Providers"]["AllowedValues"] == list(PROVIDERS)
    rows = source_template["Mappings"]["Providers"]
    variables = source_template["Resources"]["RecoverFunction"]["Properties"]["Environment"]["Variables"]
    assert list(rows) == list(PROVIDERS)
    for provider, package in PROVIDERS.items():
        assert not [other for other in PROVIDERS if other != provider and provider in other]
        assert rows[provider]["Package"] == package and (ROOT / "functions" / package / "Cargo.toml").exists()
        assert rows[provider]["Path"] == f"/webhooks/{rows[provider]['Name']}"
        assert rows[provider]["Name"] == NAMES[provider]
        assert f"With{provider}" in source_template["Conditions"], provider
        assert source_template["Resources"][f"{provider}Secret"]["Condition"] == f"With{provider}"
        assert f"PROVIDER_SECRET_ID_{NAMES[provider].upper()}" in variables


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_ingest_role_has_only_table_writes_and_queries_its_secret_and_the_fallback_queue(template, provider):
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


def test_the_recover_role_has_only_its_queues_and_what_ingest_has(template):
    assert permissions(template, "RecoverFunction") == {
        ("dynamodb:PutItem", "EventsTable.Arn"),
        ("dynamodb:Query", "EventsTable.Arn"),
        ("logs:CreateLogStream", "IngestLogGroup.Arn"),
        ("logs:PutLogEvents", "IngestLogGroup.Arn"),
        *(("secretsmanager:GetSecretValue", f"{provider}Secret") for provider in PROVIDERS),
        ("sqs:DeleteMessage", "FallbackQueue.Arn"),
        ("sqs:GetQueueAttributes", "FallbackQueue.Arn"),
        ("sqs:ReceiveMessage", "FallbackQueue.Arn"),
        ("sqs:SendMessage", "FallbackDeadLetterQueue.Arn"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    }


def test_recover_has_the_keys_of_the_listed_providers(template):
    variables = template["Resources"]["RecoverFunction"]["Properties"]["Environment"]["Variables"]
    assert {name: value for name, value in variables.items() if name.startswith("PROVIDER_SECRET_ID")} == {
        f"PROVIDER_SECRET_ID_{NAMES[provider].upper()}": {
            "Fn::If": [f"With{provider}", {"Ref": f"{provider}Secret"}, {"Ref": "AWS::NoValue"}]}
        for provider in PROVIDERS}
    assert variables["DEAD_LETTER_QUEUE_URL"] == {"Ref": "FallbackDeadLetterQueue"}
    for provider in PROVIDERS:
        ingest = template["Resources"][f"{provider}Function"]["Properties"]["Environment"]["Variables"]
        assert ingest["FALLBACK_QUEUE_URL"] == {"Ref": "FallbackQueue"}
        assert ingest["RETENTION_DAYS"] == variables["RETENTION_DAYS"]
        assert ingest["PROVIDER_SECRET_ID"] == {"Fn::GetAtt": [f"{provider}Secret", "Id"]}


@pytest.mark.parametrize("listed_providers", [["Livekit"], ["Hms", "Plugnmeet"], list(PROVIDERS)], ids=",".join)
def test_an_unlisted_provider_has_no_resources(listed_providers):
    template = transformed(listed_providers)
    values = {"Providers": listed_providers}
    made = [name for name, resource in template["Resources"].items()
            if not resource.get("Condition") or is_met(template["Conditions"][resource["Condition"]], values)]
    for provider in PROVIDERS:
        own = {name for name in made if name.startswith(provider)}
        outputs = {name for name in template["Outputs"] if name.startswith(provider)}
        if provider in listed_providers:
            assert {f"{provider}Function", f"{provider}Role", f"{provider}Secret", f"{provider}RecoverPolicy"} <= own
            assert outputs == {f"{provider}Url", f"{provider}SecretId"}
        else:
            assert not own and not outputs


def is_met(condition, values: dict):
    """The value of a condition or of a function in it."""
    match condition:
        case {"Fn::Not": [inner]}:
            return not is_met(inner, values)
        case {"Fn::Equals": [one, other]}:
            return is_met(one, values) == is_met(other, values)
        case {"Fn::Join": [delimiter, items]}:
            return delimiter.join(is_met(items, values))
        case {"Fn::Split": [delimiter, text]}:
            return is_met(text, values).split(delimiter)
        case {"Ref": name}:
            return values[name]
    return condition


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
    # Ten deliveries of 2.4 s each must fit into one call.
    assert source["BatchSize"] * 2.4 < resources["RecoverFunction"]["Properties"]["Timeout"]
    local = (ROOT / "cli/src/dev/queue.rs").read_text()
    assert f"RECEIVES_MAX: u32 = {redrive['maxReceiveCount']};" in local


def test_the_notifier_role_reads_the_stream_and_publishes_but_cannot_write_to_the_table(template):
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


def test_no_role_has_avoidable_wildcards(template):
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


def test_only_the_api_may_call_ingest_and_no_permission_covers_the_notifier_or_recover(template):
    for name, permission in of_type(template, "AWS::Lambda::Permission"):
        assert permission["Properties"]["Principal"] == "apigateway.amazonaws.com", name
        assert "${__ApiId__}" in json.dumps(permission["Properties"]["SourceArn"]), name
        assert permission["Properties"]["FunctionName"] not in ({"Ref": "NotifyFunction"}, {"Ref": "RecoverFunction"})


def test_the_notifier_receives_new_items_and_loses_none(template):
    sources = dict(of_type(template, "AWS::Lambda::EventSourceMapping"))
    assert set(sources) == {"NotifyFunctionStream", "RecoverFunctionQueue"}
    source = sources["NotifyFunctionStream"]
    properties = source["Properties"]
    assert properties["EventSourceArn"] == {"Fn::GetAtt": ["EventsTable", "StreamArn"]}
    assert [json.loads(entry["Pattern"]) for entry in properties["FilterCriteria"]["Filters"]] == [{"eventName": ["INSERT"]}]
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["BisectBatchOnFunctionError"] is True
    # Only age ends the retries. A limit on attempts could be reached earlier.
    assert properties["MaximumRetryAttempts"] == -1
    # The stream keeps records for 24 hours.
    assert 3_600 <= properties["MaximumRecordAgeInSeconds"] < 24 * 3_600
    assert properties["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailureBucket", "Arn"]}}}


def test_the_table_matches_the_functions_and_is_protected_from_deletion(template):
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
    assert {index["IndexName"]: keys(index["KeySchema"]) for index in indexes(template, "none")} == {
        "rooms": [("room_key", "HASH"), ("occurred_at", "RANGE")],
        "by_time": [("time_shard", "HASH"), ("received_at", "RANGE")]}
    assert {index["IndexName"]: index["Projection"] for index in indexes(template, "none")} == {
        "rooms": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["event", "received_at", "type"]},
        "by_time": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["type", "room_key"]}}
    types = {item["AttributeName"]: item["AttributeType"] for item in properties["AttributeDefinitions"]}
    assert types == {name: "N" if name == "occurrence" else "S" for name in
                     ("event_key", "occurrence", "room_key", "occurred_at", "time_shard", "received_at")}


def test_each_step_of_an_upgrade_adds_or_removes_one_index(template):
    steps = template["Parameters"]["UpgradeStep"]
    assert steps["Default"] == "none"
    by_room = {"IndexName": "by_room", "Projection": {"ProjectionType": "ALL"},
               "KeySchema": indexes(template, "none")[0]["KeySchema"]}
    before = [by_room]  # of version 0.1.0
    for step in ("add-by-time", "add-rooms", "none"):
        assert step in steps["AllowedValues"]
        after = indexes(template, step)
        assert len([index for index in before + after if index not in before or index not in after]) == 1, step
        before = after


def indexes(template: dict, step: str) -> list:
    """The table's indexes at a step of an upgrade."""
    found = []
    for index in template["Resources"]["EventsTable"]["Properties"]["GlobalSecondaryIndexes"]:
        if "Fn::If" in index:
            condition, index, otherwise = index["Fn::If"]
            assert otherwise == {"Ref": "AWS::NoValue"}
            if not is_met(template["Conditions"][condition], {"UpgradeStep": step}):
                continue
        found.append(index)
    return found


def test_an_update_replaces_the_notifier_before_the_functions_whose_items_it_reads(template):
    for name, function in of_type(template, "AWS::Lambda::Function"):
        depends_on = function.get("DependsOn", [])
        is_first = "NotifyFunction" in (depends_on if isinstance(depends_on, list) else [depends_on])
        assert is_first != (name == "NotifyFunction"), name


def test_everything_at_rest_is_encrypted_and_the_bucket_is_private(template):
    resources = template["Resources"]
    assert resources["EventsTopic"]["Properties"]["KmsMasterKeyId"] == "alias/aws/sns"
    assert resources["QuarantineQueue"]["Properties"]["SqsManagedSseEnabled"] is True
    bucket = resources["FailureBucket"]
    assert bucket["DeletionPolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["BucketEncryption"] and bucket["Properties"]["LifecycleConfiguration"]


def test_each_function_is_small_traced_and_logs_json_to_a_group_with_retention(template):
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
    assert template["Parameters"]["Architecture"]["Default"] == "arm64"


def test_the_access_log_never_contains_a_path(template):
    stage = template["Resources"]["ApiApiGatewayDefaultStage"]["Properties"]
    variables = set(re.findall(r"\$context\.[A-Za-z.]+", stage["AccessLogSettings"]["Format"]))
    assert "$context.routeKey" in variables
    assert not {name for name in variables if name.lower().endswith("path") or "authorizer" in name}
    json.loads(stage["AccessLogSettings"]["Format"])
    assert set(stage["DefaultRouteSettings"]) == {"ThrottlingBurstLimit", "ThrottlingRateLimit"}


def test_the_api_has_only_the_providers_routes(template):
    paths = template["Resources"]["Api"]["Properties"]["Body"]["paths"]
    routes = {path: list(entry) for path, entry in paths.items()}
    assert routes == {
        **{f"/webhooks/{name}": ["post"] for name in NAMES.values()},
        "/webhooks/videosdk/{token}": ["post"],
        "/webhooks/realtimekit/{token}": ["post"],
    }


def test_each_binary_is_built_from_the_complete_workspace(source_template):
    functions = {
        name: resource for name, resource in source_template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    binaries = {name: resource["Metadata"]["BuildProperties"]["Binary"] for name, resource in functions.items()}
    assert binaries == {f"{name}Function": binary for name, binary in PROVIDERS.items()} | {
        "NotifyFunction": "notify", "RecoverFunction": "recover"}
    assert source_template["Globals"]["Function"]["CodeUri"] == "."
    for name, resource in functions.items():
        assert resource["Properties"].get("CodeUri", ".") in (".", "functions/${Provider}/../.."), name
        assert resource["Metadata"]["BuildMethod"] == "rust-cargolambda"
        assert (ROOT / "functions" / binaries[name] / "Cargo.toml").exists(), f"{name} has no package"


def test_the_initial_value_of_a_secret_never_changes(source_template):
    """CloudFormation would overwrite the keys of every existing stack with a changed value."""
    secrets = {
        name: resource["Properties"]["SecretString"] for name, resource in source_template["Resources"].items()
        if "SecretString" in resource["Properties"]
    }
    assert secrets == {
        "HmsSecret": {"Fn::Sub": '{"headers": [{"name": "X-Livehooks-Secret", "values": ["{{resolve:secretsmanager:${HmsHeaderValue}:SecretString}}"]}]}'},
        "VideosdkSecret": {"Fn::Sub": '{"public_keys": [], "url_tokens": ["{{resolve:secretsmanager:${VideosdkUrlToken}:SecretString}}"]}'},
        "PlugnmeetSecret": '{"keys": {}}',
        "LivekitSecret": '{"keys": {}}',
        "MuxSecret": '{"signing_secrets": []}',
        "ZoomSecret": '{"secret_tokens": []}',
        "JaasSecret": '{"signing_secrets": []}',
        "RealtimekitSecret": {"Fn::Sub": '{"public_keys": [], "url_tokens": ["{{resolve:secretsmanager:${RealtimekitUrlToken}:SecretString}}"]}'},
        "GetstreamSecret": '{"api_secrets": []}',
    }


def test_every_alarm_notifies_the_alarm_topic_and_is_on_the_dashboard(template):
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


def test_every_alarm_on_a_log_line_matches_what_the_code_writes(template):
    """By name, labels and fault codes: an alarm on a metric that was renamed only in the code would stay silent."""
    filters = dict(of_type(template, "AWS::Logs::MetricFilter"))
    alarms = [alarm["Properties"] for _, alarm in of_type(template, "AWS::CloudWatch::Alarm")]
    watched = {alarm["MetricName"] for alarm in alarms if alarm.get("Namespace") == {"Fn::Sub": "livehooks/${AWS::StackName}"}}
    made = {entry["MetricName"] for metric in filters.values() for entry in metric["Properties"]["MetricTransformations"]}
    assert watched == made
    emitted, faults = metrics_of_the_code(), re.findall(r'Self::\w+(?: \{ \.\. \}|\(_\)) => "(\w+)"', code("fault.rs"))
    access_log = json.loads(template["Resources"]["ApiApiGatewayDefaultStage"]["Properties"]["AccessLogSettings"]["Format"])
    for name, metric in filters.items():
        for field, operator, operand in conditions(text(metric["Properties"]["FilterPattern"])):
            if metric["Properties"]["LogGroupName"] == {"Ref": "AccessLogGroup"}:
                assert field in access_log, name
            elif operator == ">":
                assert field in emitted, f"{name} counts {field}, which the code does not emit"
            else:
                assert field == "fault" and [fault for fault in faults if fnmatchcase(fault, operand.strip('"'))], name


def test_the_dashboard_shows_only_metrics_that_the_code_writes(template):
    dashboard = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    emitted = metrics_of_the_code()
    searches = re.findall(r'SEARCH\(\'\{\\"livehooks/\$\{AWS::StackName\}\\",([\w,]+)\} MetricName=\\"(\w+)\\"', dashboard)
    assert len(searches) == dashboard.count("SEARCH(")
    for labels, metric in searches:
        assert set(labels.split(",")) in emitted.get(metric, []), f"the code does not emit {metric} with {labels}"


def metrics_of_the_code() -> dict[str, list[set]]:
    """Each metric that the functions emit, with its sets of labels."""
    found, source = {}, code("*.rs")
    for call in re.finditer(r'(?:counter|histogram)!\(\s*("?\w+"?)([^;]*?)\)\s*\.', source):
        name, labels = call.groups()
        # If a match chooses the name, it comes right before.
        names = [name] if name[0] == '"' else re.findall(r'=> \(("[A-Z]\w+")', source[:call.start()][-400:])
        for each in names:
            found.setdefault(each.strip('"'), []).append(set(re.findall(r'"(\w+)" =>', labels)))
    return found


def code(pattern: str) -> str:
    return "".join(path.read_text() for path in sorted((ROOT / "shared/aws/src").rglob(pattern)))


def test_lambdas_log_filter_keeps_metrics_and_the_function_gets_the_level(template):
    """Lambda treats a line of metrics, which has no level, as INFO."""
    for name, function in of_type(template, "AWS::Lambda::Function"):
        properties = function["Properties"]
        assert properties["LoggingConfig"]["ApplicationLogLevel"] == {"Fn::If": ["Debug", "DEBUG", "INFO"]}, name
        assert properties["Environment"]["Variables"]["LOG_LEVEL"] == {"Ref": "LogLevel"}, name
    assert template["Conditions"]["Debug"] == {"Fn::Equals": [{"Ref": "LogLevel"}, "DEBUG"]}
    assert 'env("LOG_LEVEL")' in code("telemetry.rs")


def test_a_delivery_stuck_in_the_fallback_queue_raises_an_alarm(template):
    """Not by the age of the oldest message, because SQS ignores messages received three times or more."""
    alarm = template["Resources"]["FallbackAgeAlarm"]["Properties"]
    total, *parts = alarm["Metrics"]
    assert total["Expression"] == " + ".join(part["Id"] for part in parts)
    queue = {"Name": "QueueName", "Value": {"Fn::GetAtt": ["FallbackQueue", "QueueName"]}}
    assert all(part["MetricStat"]["Metric"]["Dimensions"] == [queue] for part in parts)
    assert {part["MetricStat"]["Metric"]["MetricName"] for part in parts} == {
        "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"}
    # Longer than a few attempts, and much shorter than the day until it is dead-lettered.
    waits_s = alarm["EvaluationPeriods"] * parts[0]["MetricStat"]["Period"]
    visibility_s = template["Resources"]["FallbackQueue"]["Properties"]["VisibilityTimeout"]
    assert 3 * visibility_s <= waits_s <= 10 * visibility_s


def test_one_dead_lettered_or_quarantined_message_raises_an_alarm(template):
    alarms = template["Resources"]
    for name, queue in {"FallbackDeadLetterAlarm": "FallbackDeadLetterQueue", "QuarantineAlarm": "QuarantineQueue"}.items():
        alarm = alarms[name]["Properties"]
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible" and alarm["Threshold"] == 1
        assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]


def test_only_the_notifier_and_the_replay_principal_may_publish(template):
    policy = template["Resources"]["EventsTopicPolicy"]["Properties"]
    assert policy["Topics"] == [{"Ref": "EventsTopic"}]
    [statement] = policy["PolicyDocument"]["Statement"]
    # ArnNotLike also matches an absent key, as for an AWS service.
    assert statement == {
        "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": {"Ref": "EventsTopic"},
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": [
            {"Fn::GetAtt": ["NotifyRole", "Arn"]},
            {"Fn::If": ["WithReplayPrincipal", {"Ref": "ReplayPrincipalArn"}, {"Ref": "AWS::NoValue"}]}]}},
    }
    assert template["Parameters"]["ReplayPrincipalArn"]["Default"] == ""


BAD = {
    "Providers": ["", "livekit", "Hms,Skype", "Hms,,Livekit", "100ms"],
    "Architecture": ["x86", "arm"],
    "RetentionDays": ["34", "0", "-1", "3651"],
    "LogRetentionDays": ["2", "0"],
    "LogLevel": ["info", "TRACE"],
    "ThrottlingRateLimit": ["0", "10001"],
    "ThrottlingBurstLimit": ["0", "5001"],
    "RejectedAlarmThreshold": ["0"],
    "ReplayPrincipalArn": ["*", "arn:aws:iam::123456789012:root", "arn:aws:iam::*:role/admin", "arn:aws:sts::123456789012:assumed-role/a/b"],
    "AlarmTopicArn": ["my-topic", "arn:aws:sqs:eu-central-1:123456789012:q", "arn:aws:sns:eu-central-1:1234:t",
                      "arn:aws:sns:eu-central-1:123456789012:topic.fifo"],
}
GOOD = {"Providers": ["Hms", "Livekit,Plugnmeet", ",".join(PROVIDERS)],
        "ReplayPrincipalArn": ["", "arn:aws:iam::123456789012:role/admin", "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*"],
        "AlarmTopicArn": ["", "arn:aws:sns:eu-central-1:123456789012:alarms", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a"],
        "RetentionDays": ["35", "3650"]}


def test_wrong_parameters_are_rejected_with_a_description_of_valid_ones(source_template):
    """Checks CloudFormation's rules for parameters, which the stand-in does not apply."""
    parameters = source_template["Parameters"]
    for name, values in BAD.items():
        for value in values:
            assert not is_accepted(parameters[name], value), (name, value)
    for name, values in GOOD.items():
        for value in values:
            assert is_accepted(parameters[name], value), (name, value)
    for name, parameter in parameters.items():
        # Only Providers has none: every tool reads it from samconfig.toml.
        assert ("Default" in parameter) == (name != "Providers"), name
        assert is_accepted(parameter, str(parameter.get("Default", "Hms"))), name
        assert "AllowedValues" in parameter or "ConstraintDescription" in parameter, name


def is_accepted(parameter: dict, value: str) -> bool:
    values = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    if "AllowedValues" in parameter and not set(values) <= {*map(str, parameter["AllowedValues"])}:
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
    for _, policy in of_type(template, "AWS::IAM::Policy"):
        if {"Ref": resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]} in policy["Properties"]["Roles"]:
            documents.append(policy["Properties"]["PolicyDocument"])
    found = set()
    for document in documents:
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow" and set(statement) == {"Effect", "Action", "Resource"}
            for action in listed(statement["Action"]):
                found |= {(action, named(resource)) for resource in listed(statement["Resource"])}
    return found


def text(value) -> str:
    """The string in a value that a loop wrapped in Fn::Sub."""
    return value["Fn::Sub"] if isinstance(value, dict) else value


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def named(resource) -> str:
    match resource:
        case {"Fn::GetAtt": [name, "Id"]}:
            return name
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Ref": name} | {"Fn::Sub": name}:
            return name
        case {"Fn::If": [_, resource, {"Ref": "AWS::NoValue"}]}:
            return named(resource)
    return resource
