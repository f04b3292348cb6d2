"""What the deploy tests share: the template in both forms, and paths."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
SWITCHES = ["EnableHms", "EnableVideosdk", "EnablePlugnmeet", "EnableLivekit"]

sys.path.insert(0, str(Path(__file__).parent))


def transformed() -> dict:
    """The template as CloudFormation sees it after the transform, with references left as they are."""
    from samcli.yamlhelper import yaml_parse
    from samtranslator.translator.transform import transform

    class NoManagedPolicies:
        def load(self):
            return {}

    template = yaml_parse((ROOT / "template.yaml").read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    return transform(template, {}, NoManagedPolicies())


@pytest.fixture(scope="session")
def template() -> dict:
    return transformed()


@pytest.fixture(scope="session")
def source_template() -> dict:
    from samcli.yamlhelper import yaml_parse

    return yaml_parse((ROOT / "template.yaml").read_text())
