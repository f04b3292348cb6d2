"""What the deploy tests share: the template in both forms, and paths."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
CORE = ROOT / "shared/core/src/providers"
# The one list, by the names of the modules and functions.
MODULES = re.findall(r"^ +(\w+)::\w+,$", (CORE / "mod.rs").read_text(), re.M)
# What the template calls them, and what the URL does.
PROVIDERS = {module.capitalize(): module for module in MODULES}
NAMES = {name: re.search(r'const NAME: &\'static str = "(.+)";', (CORE / f"{module}.rs").read_text())[1]
         for name, module in PROVIDERS.items()}
SWITCHES = [f"Enable{name}" for name in PROVIDERS]

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
