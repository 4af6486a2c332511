"""The Kubernetes example fits Kubernetes, itself, and what a worker reads; the profile for Temporal Cloud is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.vault.converter import BLOBS, THRESHOLD
from activities.vault.seal import ENCRYPTION_KEY
from hosting.connection import configured
from hosting.home import PROJECT
from worker import Settings
from workflows.contracts import SEARCH_ATTRIBUTES

MANIFESTS = sorted((PROJECT / "deploy" / "k8s").glob("*.yaml"))
CLOUD = (PROJECT / "docs" / "temporal-cloud.md").read_text()
OF_SDKS = {"ANTHROPIC_API_KEY", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY"}
OF_VERSIONING = {"BREAKWATER_DEPLOYMENT", "BREAKWATER_BUILD_ID"}


def resources() -> dict[str, Any]:
    """Every resource, by kind."""
    documents = [each for file in MANIFESTS for each in yaml.safe_load_all(file.read_text())]
    assert len({each["kind"] for each in documents}) == len(documents)
    return {each["kind"]: each for each in documents}


def test_kubernetes_accepts_every_resource() -> None:
    """Strictly, by Kubernetes' own schemas: an unknown field is an error."""
    command = [str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", *map(str, MANIFESTS)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_belongs_together_is_called_the_same() -> None:
    """The autoscaler, the budget and the selector mean this Deployment, which names its version and its build id."""
    found = resources()
    deployment = found["Deployment"]
    name, labels = deployment["metadata"]["name"], deployment["spec"]["template"]["metadata"]["labels"]
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == name
    for each in (deployment, found["PodDisruptionBudget"]):
        assert each["spec"]["selector"]["matchLabels"] == labels
    (worker,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each for each in worker["env"]}
    build = given["BREAKWATER_BUILD_ID"]["value"]
    assert name.endswith(f"-build-{build}")
    assert labels["app.kubernetes.io/version"] == f"build-{build}"
    assert worker["image"].endswith(f":{build}")


def test_every_variable_is_read_and_no_secret_is_written_down() -> None:
    """Keys come from secrets; what is set is a setting of the worker or of an SDK."""
    found = resources()
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    names = {*found["ConfigMap"]["data"], *(each["name"] for each in worker["env"])}
    assert names <= {name.upper() for name in Settings.model_fields} | OF_SDKS | OF_VERSIONING | {
        BLOBS,
        THRESHOLD,
        ENCRYPTION_KEY,
    }
    for each in worker["env"]:
        assert ("KEY" in each["name"]) == ("secretKeyRef" in each.get("valueFrom", {})), each["name"]
    drain = float(found["ConfigMap"]["data"]["WORKER_GRACE_PERIOD"])
    assert pod["terminationGracePeriodSeconds"] > drain


def test_the_clouds_profile_is_one(tmp_path: Path) -> None:
    """The page's profile, as it stands, gives the Cloud's address and namespace, the key, and TLS."""
    block = re.search(r"```toml\n(.*?)```", CLOUD, re.DOTALL)
    assert block
    file = tmp_path / "temporal.toml"
    file.write_text(block[1])
    server = configured({"TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "cloud"})
    assert server
    assert (server.address, server.namespace) == ("us-east-1.aws.api.temporal.io:7233", "breakwater.a1b2c")
    assert server.options["api_key"].startswith("paste")
    assert server.options.get("tls") is not False


@pytest.mark.parametrize("name", SEARCH_ATTRIBUTES)
def test_the_clouds_page_has_every_search_attribute(name: str) -> None:
    """With its type."""
    assert f"| `{name}` | {SEARCH_ATTRIBUTES[name]} |" in CLOUD
