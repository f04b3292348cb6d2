"""Shared by the deploy tests: paths, and the template before and after SAM's transform."""

import copy
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
CORE = ROOT / "shared/core/src/providers"
# The list of providers, by module name.
MODULES = re.findall(r"^ +(\w+)::\w+,$", (CORE / "mod.rs").read_text(), re.M)
# Names in the template and in URLs.
PROVIDERS = {module.capitalize(): module for module in MODULES}
NAMES = {name: re.search(r'const NAME: &\'static str = "(.+)";', (CORE / f"{module}.rs").read_text())[1]
         for name, module in PROVIDERS.items()}
FUNCTIONS = [f"{name}Function" for name in [*PROVIDERS, "Notify", "Recover"]]
# In sam's words: this machine's architecture, and the one that the functions are built for.
MACHINE = platform.machine().replace("aarch64", "arm64")
ARCHITECTURE = os.environ.get("LIVEHOOKS_ARCHITECTURE", MACHINE)
# The command that runs a function built for another processor; see ci/arm64.
RUNNER = os.environ.get("LIVEHOOKS_RUNNER", "").split()
# ministack and sam pin different versions of boto3.
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
    """The template with its loops expanded by the stand-in's code."""
    run = subprocess.run([STAND_IN_PYTHON, "-c", EXPAND, ",".join(providers)], input=json.dumps(source()),
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def transformed(providers: list[str]) -> dict:
    """The template after both transforms, with references unresolved."""
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
    """Loops expanded, before SAM's transform."""
    return expanded(list(PROVIDERS))
