"""What the deploy tests share: the template in both forms, and paths."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
# As samconfig.toml has them.
PROVIDERS = {"Hms": "hms", "Videosdk": "videosdk", "Plugnmeet": "plugnmeet", "Livekit": "livekit"}
# ministack and sam want different versions of boto3.
STAND_IN_PYTHON = ROOT / "target/stand-in-venv/bin/python"

sys.path.insert(0, str(Path(__file__).parent))

EXPAND = """
import json, sys
from ministack.services.cloudformation import language_extensions
json.dump(language_extensions.apply(json.load(sys.stdin), {"Providers": sys.argv[1]}), sys.stdout)
"""


def source() -> dict:
    from samcli.yamlhelper import yaml_parse

    return yaml_parse((ROOT / "template.yaml").read_text())


def expanded(providers: list[str]) -> dict:
    """The template with its loops written out, by the code that does it in the stand-in."""
    run = subprocess.run([STAND_IN_PYTHON, "-c", EXPAND, ",".join(providers)], input=json.dumps(source()),
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def transformed(providers: list[str]) -> dict:
    """The template as CloudFormation sees it after both transforms, with references left as they are."""
    from samtranslator.translator.transform import transform

    class NoManagedPolicies:
        def load(self):
            return {}

    template = expanded(providers)
    template["Transform"] = "AWS::Serverless-2016-10-31"
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    for resource in template["Resources"].values():
        resource.get("Properties", {}).pop("CodeUri", None)
    return transform(template, {}, NoManagedPolicies())


@pytest.fixture(scope="session")
def all_providers() -> dict:
    return transformed(list(PROVIDERS))


@pytest.fixture
def template(all_providers) -> dict:
    return copy.deepcopy(all_providers)


@pytest.fixture(scope="session")
def source_template() -> dict:
    """Written out, but before SAM's transform."""
    return expanded(list(PROVIDERS))
