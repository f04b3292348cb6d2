"""ministack as a stand-in for AWS, taught what it lacks and this stack needs.

Each difference to AWS that is closed here, and each that stays, is listed in docs/real-account-checklist.md.

    stand_in.py PORT STATE_FOLDER

STATE_FOLDER gets, per function, `<name>.log` (what it wrote) and `<name>.pid` (its process group), and
`secret-reads.log` (one line for each secret that was read). While there is a file `sns-is-down` in it, SNS is down.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

PORT, STATE = sys.argv[1], Path(sys.argv[2])
os.environ.update({
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",  # where the functions look for AWS
    "BIND_HOST": os.environ.get("BIND_HOST", "127.0.0.1"),
    "GATEWAY_PORT": PORT,
    "LOG_LEVEL": "WARNING",
    "MINISTACK_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
})

from ministack import app  # noqa: E402
from ministack.services import lambda_svc, secretsmanager, sns  # noqa: E402
from ministack.services import cloudformation  # noqa: E402
from ministack.services.cloudformation import handlers as cloudformation_handlers  # noqa: E402
from ministack.services.cloudformation import provisioners, stacks  # noqa: E402

EMULATOR = Path(sys.modules["ministack"].__file__).parents[1] / "samcli/local/rapid/aws-lambda-rie-x86_64"


# ---- Lambda: one process per function that stays, in AWS's own runtime emulator

class Function:
    """A function's process. It serves one call at a time, as an execution environment does."""

    by_name: dict[str, "Function"] = {}
    guard = threading.Lock()

    def __init__(self, config: dict, folder: str):
        self.config, self.folder = config, folder
        self.lock = threading.Lock()
        self.process = None
        self.url = ""

    @classmethod
    def of(cls, config: dict, code: bytes) -> "Function":
        folder = lambda_svc._provided_runtime_code_dir(code)
        with cls.guard:
            known = cls.by_name.get(config["FunctionName"])
            if known and known.folder == folder and known.config == config:
                return known
            if known:
                known.stop()
            function = cls(json.loads(json.dumps(config)), folder)
            cls.by_name[config["FunctionName"]] = function
            return function

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
        with open(STATE / f"{name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [EMULATOR, "--runtime-api-address", f"127.0.0.1:{runtime_api}",
                 "--runtime-interface-emulator-address", f"127.0.0.1:{emulator}", f"{self.folder}/bootstrap"],
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

    def invoke(self, event: dict):
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.start()
            request = urllib.request.Request(self.url, json.dumps(event).encode(), method="POST")
            try:
                with urllib.request.urlopen(request, timeout=self.config.get("Timeout", 3) + 10) as answer:
                    return json.loads(answer.read() or b"null")
            except (OSError, ValueError, urllib.error.URLError) as error:
                self.stop()  # a broken environment is replaced
                return {"errorType": "Runtime.ExitError", "errorMessage": str(error)}


def execute(func: dict, event: dict) -> dict:
    config = func.get("config") or func
    answer = Function.of(config, func["code_zip"]).invoke(event)
    failed = isinstance(answer, dict) and "errorType" in answer and "statusCode" not in answer
    # ministack does not know partial answers for streams: the whole batch comes again, so more than AWS sends.
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


lambda_svc._execute_function_provided = execute


# ---- HTTP API: routes and integrations from the OpenAPI body

create_api = provisioners._apigw_v2_api_create


def create_api_with_routes(logical_id, props, stack_name):
    api_id, attributes = create_api(logical_id, props, stack_name)
    for path, methods in (props.get("Body") or {}).get("paths", {}).items():
        if not isinstance(methods, dict):
            continue  # switched off
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
    return api_id, attributes


handlers = provisioners._RESOURCE_HANDLERS
handlers["AWS::ApiGatewayV2::Api"]["create"] = create_api_with_routes
handlers["AWS::Logs::MetricFilter"] = {
    "create": lambda logical_id, props, stack_name: (f"{stack_name}-{logical_id}", {}),
    "delete": lambda physical_id, props: None,
}


# ---- CloudFormation: generated secrets, dynamic references, DeletionPolicy

create_secret = handlers["AWS::SecretsManager::Secret"]["create"]


def create_secret_without_punctuation(logical_id, props, stack_name):
    generate = props.get("GenerateSecretString")
    if generate and generate.get("ExcludePunctuation"):
        punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        generate = {**generate, "PasswordLength": int(generate.get("PasswordLength", 32)), "ExcludeCharacters": punctuation}
        props = {**props, "GenerateSecretString": generate}
    return create_secret(logical_id, props, stack_name)


def resolved(value):
    """Text with each {{resolve:secretsmanager:<id>:SecretString}} replaced by what it points to."""
    if isinstance(value, dict):
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\{\{resolve:secretsmanager:(.+?):SecretString\}\}", lambda match: secret_text(match[1]), value)


def secret_text(name: str) -> str:
    versions = secretsmanager._secrets[name]["Versions"].values()
    return next(version["SecretString"] for version in versions if "AWSCURRENT" in version["Stages"])


def provision(resource_type, logical_id, props, stack_name):
    return provisioners._provision_resource(resource_type, logical_id, resolved(props), stack_name)


def delete(resource_type, physical_id, props, stack_name=None, logical_id=None):
    template = cloudformation._stacks.get(stack_name, {}).get("_template") or {}
    if template.get("Resources", {}).get(logical_id, {}).get("DeletionPolicy") != "Retain":
        provisioners._delete_resource(resource_type, physical_id, props, stack_name, logical_id)


handlers["AWS::SecretsManager::Secret"]["create"] = create_secret_without_punctuation
stacks._provision_resource = provision
stacks._delete_resource = delete


# `sam delete` asks whether the stack is protected.
write_xml = cloudformation_handlers._xml


def write_xml_with_protection(status, action, inner):
    if action == "DescribeStacksResponse":
        protection = "<EnableTerminationProtection>false</EnableTerminationProtection>"
        inner = inner.replace("<DisableRollback>", f"{protection}<DisableRollback>")
    return write_xml(status, action, inner)


cloudformation_handlers._xml = write_xml_with_protection


# ---- Secrets Manager: who reads what

handle_secrets = secretsmanager.handle_request


async def handle_and_count(method, path, headers, body, query_params):
    target = {key.lower(): value for key, value in headers.items()}.get("x-amz-target", "")
    if target.endswith(".GetSecretValue") and "aws-sdk-rust" in str(headers):
        with open(STATE / "secret-reads.log", "a") as log:
            print(json.loads(body)["SecretId"], file=log)
    return await handle_secrets(method, path, headers, body, query_params)


secretsmanager.handle_request = handle_and_count


# ---- SNS: an outage, for as long as a test wants one

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
    # main() sets a handler of its own for SIGTERM.
    threading.Thread(target=lambda: (sys.stdin.read(), stop()), daemon=True).start()
    app.main()
