"""ministack as a stand-in for AWS, extended by what this stack needs.

docs/real-account-checklist.md lists each difference from AWS, both closed and remaining.

    stand_in.py PORT STATE_FOLDER EMULATOR [RUNNER...]

EMULATOR is AWS's runtime emulator, which comes with sam. RUNNER is the command that runs a function built for another
processor.

STATE_FOLDER receives, per function, `<name>.out` (its output), `<name>.log` (what Lambda keeps of the output) and
`<name>.pid` (its process group), and `secret-reads.log` (one line per read of a secret). SNS is down while the folder
contains a file `sns-is-down`.
"""

import copy
import json
import os
import signal
import socket
import string
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

PORT, STATE, EMULATOR, RUNNER = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
os.environ.update({
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",  # where the functions look for AWS
    "BIND_HOST": os.environ.get("BIND_HOST", "127.0.0.1"),
    "GATEWAY_PORT": PORT,
    "LOG_LEVEL": "WARNING",
    "MINISTACK_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
})

from ministack import app  # noqa: E402
from ministack.services import lambda_svc, secretsmanager, sns  # noqa: E402
from ministack.services.cloudformation import changesets, engine, provisioners  # noqa: E402
from ministack.services.cloudformation import handlers as cloudformation_handlers  # noqa: E402


# ---- Lambda: one long-lived process per function, in AWS's runtime emulator

class Function:
    """A function's process. Serves one call at a time, like an execution environment."""

    by_name: dict[str, "Function"] = {}
    guard = threading.Lock()

    def __init__(self, config: dict, folder: str):
        self.config, self.folder = config, folder
        self.lock = threading.Lock()
        self.process = None
        self.url = ""
        self.logged = 0

    @classmethod
    def of(cls, config: dict, code: bytes) -> "Function":
        folder = lambda_svc._provided_runtime_code_dir(code)
        with cls.guard:
            known = cls.by_name.get(config["FunctionName"])
            if known and known.folder == folder and known.settings(known.config) == known.settings(config):
                return known
            if known:
                with known.lock:
                    known.stop()
            function = cls(json.loads(json.dumps(config)), folder)
            cls.by_name[config["FunctionName"]] = function
            return function

    @staticmethod
    def settings(config: dict) -> dict:
        """The settings whose change requires a new environment."""
        return {key: config.get(key) for key in ("Environment", "LoggingConfig", "MemorySize", "Timeout")}

    def start(self) -> None:
        name, config = self.config["FunctionName"], self.config
        runtime_api, emulator = free_port(), free_port()
        env = {key: os.environ[key] for key in ("PATH", "HOME", "AWS_ENDPOINT_URL") if key in os.environ}
        env |= {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": os.environ["MINISTACK_REGION"],
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(config.get("Timeout", 3)),
            "AWS_LAMBDA_LOG_LEVEL": config.get("LoggingConfig", {}).get("ApplicationLogLevel", "INFO"),
        }
        env |= config.get("Environment", {}).get("Variables", {})
        (STATE / f"{name}.log").touch()
        with open(STATE / f"{name}.out", "ab") as log:
            self.logged = log.tell()
            self.process = subprocess.Popen(
                [EMULATOR, "--runtime-api-address", f"127.0.0.1:{runtime_api}",
                 "--runtime-interface-emulator-address", f"127.0.0.1:{emulator}", *RUNNER,
                 f"{self.folder}/bootstrap"],
                cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (STATE / f"{name}.pid").write_text(str(self.process.pid))
        self.url = f"http://127.0.0.1:{emulator}/2015-03-31/functions/function/invocations"
        wait_for_port(emulator, self.process)

    def stop(self) -> None:
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None
            self.keep_log()

    def keep_log(self) -> None:
        """Appends new output to the log, without the lines that Lambda drops."""
        name = self.config["FunctionName"]
        with open(STATE / f"{name}.out", "rb") as out, open(STATE / f"{name}.log", "ab") as log:
            out.seek(self.logged)
            for line in out:
                if not line.endswith(b"\n"):
                    break
                self.logged += len(line)
                if is_kept(line, self.config.get("LoggingConfig", {})):
                    log.write(line)

    def invoke(self, event: dict):
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.start()
            request = urllib.request.Request(self.url, json.dumps(event).encode(), method="POST")
            try:
                with urllib.request.urlopen(request, timeout=self.config.get("Timeout", 3) + 10) as answer:
                    result = json.loads(answer.read() or b"null")
                self.keep_log()
                return result
            except (OSError, ValueError, urllib.error.URLError) as error:
                self.stop()  # a broken environment is replaced
                return {"errorType": "Runtime.ExitError", "errorMessage": str(error)}


LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]


def is_kept(line: bytes, logging: dict) -> bool:
    """Lambda's log level filter. A line without a known level, or without a time, counts as INFO.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    try:
        fields = json.loads(line)
    except ValueError:
        return True  # the emulator's own
    if logging.get("LogFormat") != "JSON" or not isinstance(fields, dict):
        return True
    level = str(fields.get("level")).upper()
    if level not in LEVELS or "timestamp" not in fields:
        level = "INFO"
    return LEVELS.index(level) >= LEVELS.index(logging.get("ApplicationLogLevel", "INFO"))


def execute(func: dict, event: dict, request_id: str) -> dict:
    config = func.get("config") or func
    answer = Function.of(config, func["code_zip"]).invoke(event)
    failed = isinstance(answer, dict) and "errorType" in answer and "statusCode" not in answer
    # ministack does not support partial batch responses for streams: it repeats the complete batch, unlike AWS.
    records = event.get("Records") or [{}]
    if records[0].get("eventSource") == "aws:dynamodb" and isinstance(answer, dict):
        failed = failed or bool(answer.get("batchItemFailures"))
    return {"body": answer, "error": True} if failed else {"body": answer}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            return
        time.sleep(0.05)


lambda_svc._execute_function_provided_warm = execute


# ---- HTTP API: routes and integrations from the OpenAPI body

api = provisioners._apigw_v2
handlers = provisioners._RESOURCE_HANDLERS
create_api, update_api = (handlers["AWS::ApiGatewayV2::Api"][verb] for verb in ("create", "update"))


def create_api_with_routes(logical_id, props, stack_name):
    api_id, attributes = create_api(logical_id, props, stack_name)
    make_routes(api_id, props, stack_name)
    return api_id, attributes


def update_api_with_routes(physical_id, old_props, new_props, stack_name, logical_id=None):
    api_id, attributes = update_api(physical_id, old_props, new_props, stack_name, logical_id)
    make_routes(api_id, new_props, stack_name)
    return api_id, attributes


def make_routes(api_id, props, stack_name):
    api._routes[api_id], api._integrations[api_id] = {}, {}
    for path, methods in (props.get("Body") or {}).get("paths", {}).items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            integration_id, _ = provisioners._apigw_v2_integration_create("", {
                "ApiId": api_id,
                "IntegrationType": integration["type"].upper(),
                "IntegrationUri": integration["uri"],
                "PayloadFormatVersion": integration["payloadFormatVersion"],
            }, stack_name)
            provisioners._apigw_v2_route_create("", {
                "ApiId": api_id,
                "RouteKey": f"{method.upper()} {path}",
                "Target": f"integrations/{integration_id}",
            }, stack_name)


handlers["AWS::ApiGatewayV2::Api"] |= {"create": create_api_with_routes, "update": update_api_with_routes}


# ---- CloudFormation: allowed values of lists, alarms with several metrics, secrets without punctuation

resolve_parameters = engine._resolve_parameters


def resolve_lists(template, provided, *previous):
    """Checks each value of a list; ministack compares the complete list with the allowed values."""
    template = copy.deepcopy(template)
    for name, definition in template.get("Parameters", {}).items():
        if definition["Type"] == "CommaDelimitedList" and "AllowedValues" in definition:
            allowed = definition.pop("AllowedValues")
            values = {value for entry in provided if entry["Key"] == name for value in entry["Value"].split(",")}
            if not values <= set(allowed):
                raise ValueError(f"Parameter '{name}' must be one of AllowedValues")
    return resolve_parameters(template, provided, *previous)


for module in (changesets, cloudformation_handlers, engine):
    module._resolve_parameters = resolve_lists

put_alarm = provisioners._cw_metric_alarm_record


def put_alarm_of_first_metric(name, props):
    if metrics := props.get("Metrics"):
        first = next(metric["MetricStat"] for metric in metrics if "MetricStat" in metric)
        props = {**props, **first["Metric"], "Statistic": first["Stat"], "Period": first["Period"], "Metrics": None}
    return put_alarm(name, props)


provisioners._cw_metric_alarm_record = put_alarm_of_first_metric

secret_string = provisioners._sm_secret_string


def secret_without_punctuation(props):
    generate = props.get("GenerateSecretString")
    if generate and generate.get("ExcludePunctuation"):
        length = int(generate.get("PasswordLength", 32))
        props = {**props, "GenerateSecretString": {
            **generate, "PasswordLength": length, "ExcludeCharacters": string.punctuation}}
    return secret_string(props)


provisioners._sm_secret_string = secret_without_punctuation


# ---- Secrets Manager: logs which secrets the functions read

handle_secrets = secretsmanager.handle_request


async def handle_and_count(method, path, headers, body, query_params):
    target = {key.lower(): value for key, value in headers.items()}.get("x-amz-target", "")
    if target.endswith(".GetSecretValue") and "aws-sdk-rust" in str(headers):
        with open(STATE / "secret-reads.log", "a") as log:
            print(json.loads(body)["SecretId"], file=log)
    return await handle_secrets(method, path, headers, body, query_params)


secretsmanager.handle_request = handle_and_count


# ---- SNS: an outage on demand

handle_sns = sns.handle_request


async def handle_unless_down(method, path, headers, body, query_params):
    if (STATE / "sns-is-down").exists() and b"Publish" in body:
        return 503, {"Content-Type": "text/plain"}, b"down"
    return await handle_sns(method, path, headers, body, query_params)


sns.handle_request = handle_unless_down


def stop(*_):
    for function in list(Function.by_name.values()):
        function.stop()
    os._exit(0)


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    # main() replaces any handler for SIGTERM, so watch stdin instead.
    threading.Thread(target=lambda: (sys.stdin.read(), stop()), daemon=True).start()
    app.main()
