"""The manifests: only known fields, the graph of the repository, and enough time to drain."""

from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from launched import ROOT
from manifests import (
    Budget,
    Claim,
    NetworkPolicy,
    PodTemplate,
    RayServiceSpec,
    Service,
    containers,
    manifests,
    ray_service,
)
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

from config.settings import GraphSettings, IngressTunables
from deployments.graph import DEFAULTS
from deployments.launch.configuration import required_resources

DEPLOY = ROOT / "deploy"
PRODUCTION, STARTER = DEPLOY / "kuberay.yaml", DEPLOY / "kuberay-starter.yaml"
LONGEST_S = max(options["graceful_shutdown_timeout_s"] for options in DEFAULTS.values())


@pytest.fixture
def service() -> RayServiceSpec:
    return ray_service(PRODUCTION)


def graph(path: Path) -> ServeApplicationSchema:
    config = ServeDeploySchema.model_validate(yaml.safe_load(ray_service(path).serve_config_v2))
    (application,) = config.applications
    return application


@pytest.mark.parametrize(
    "path", sorted(set(DEPLOY.glob("*.yaml")) - {DEPLOY / "compose.yaml"}), ids=lambda path: path.name
)
def test_every_manifest_has_only_known_fields(path: Path) -> None:
    assert manifests(path)


def test_the_service_runs_the_production_graph(service: RayServiceSpec) -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    (ingress,) = (d for d in config["applications"][0]["deployments"] if d["name"] == "Ingress")
    ingress["max_replicas_per_node"] = 1
    ingress["autoscaling_config"]["min_replicas"] = 2

    assert yaml.safe_load(service.serve_config_v2) == config, "run: python deploy/sync.py"
    GraphSettings.model_validate(graph(PRODUCTION).args)


def test_the_starter_runs_the_graph_of_make_serve_for_clients_outside_the_pod() -> None:
    local = yaml.safe_load((ROOT / "config" / "starter.yaml").read_text())
    in_pod = yaml.safe_load(ray_service(STARTER).serve_config_v2)

    assert in_pod["applications"] == local["applications"], "run: python deploy/sync.py"
    assert in_pod["http_options"] == local["http_options"] | {"host": "0.0.0.0"}
    assert in_pod["proxy_location"] == "EveryNode"


@pytest.mark.parametrize("path", [PRODUCTION, STARTER], ids=lambda path: path.name)
def test_one_worker_fits_one_replica_of_every_deployment(path: Path) -> None:
    (group,) = ray_service(path).ray_cluster_config.worker_group_specs
    (worker,) = group.template.spec.containers
    config = ServeDeploySchema.model_validate(yaml.safe_load(ray_service(path).serve_config_v2))
    need = required_resources(config)

    assert need["CPU"] <= int(group.ray_start_params["num-cpus"])
    gpus = int(worker.resources.limits.get("nvidia.com/gpu", "0"))
    assert need["GPU"] <= gpus + 1e-9


def test_the_head_runs_no_replicas_serves_no_requests_and_keeps_its_state_in_redis(
    service: RayServiceSpec,
) -> None:
    cluster = service.ray_cluster_config
    redis = manifests(DEPLOY / "redis.yaml")
    (address,) = (f"{m.metadata.name}:{m.spec.ports[0].port}" for m in redis if isinstance(m, Service))

    assert cluster.head_group_spec.ray_start_params["num-cpus"] == "0"
    assert service.exclude_head_pod_from_serve_svc
    assert cluster.gcs_fault_tolerance_options is not None
    assert cluster.gcs_fault_tolerance_options.redis_address == address


def test_the_loss_of_one_worker_leaves_another(service: RayServiceSpec) -> None:
    (group,) = service.ray_cluster_config.worker_group_specs

    assert group.max_replicas > group.min_replicas >= 2
    assert group.template.spec.topology_spread_constraints[0].topology_key == "kubernetes.io/hostname"


def test_draining_nodes_leaves_a_worker_and_is_never_refused_for_good(service: RayServiceSpec) -> None:
    (budget,) = (m for m in manifests(PRODUCTION) if isinstance(m, Budget))
    (group,) = service.ray_cluster_config.worker_group_specs

    assert 0 < budget.spec.min_available < group.min_replicas
    # A worker needs a replica, and with it a proxy, to be ready: the ingress has one on each worker.
    (ingress,) = (d for d in graph(PRODUCTION).deployments if d.name == "Ingress")
    assert ingress.max_replicas_per_node == 1
    assert AutoscalingConfig.model_validate(ingress.autoscaling_config).min_replicas == group.min_replicas
    assert AutoscalingConfig.model_validate(ingress.autoscaling_config).max_replicas == group.max_replicas
    assert budget.spec.selector.match_labels.items() <= group.template.metadata.labels.items()


def test_a_draining_worker_has_time_for_its_longest_request(service: RayServiceSpec) -> None:
    (group,) = service.ray_cluster_config.worker_group_specs
    (worker,) = group.template.spec.containers
    assert worker.lifecycle is not None
    drain_s = int(worker.lifecycle.pre_stop.exec.command[-1])
    config = yaml.safe_load(service.serve_config_v2)
    (ingress,) = (d for d in graph(PRODUCTION).deployments if d.name == "Ingress")
    deadline_s = IngressTunables.model_validate(ingress.user_config).diarization_deadline_s

    # Our deadline must come first: Serve's timeout has its own response and starts before the upload.
    assert deadline_s + 60 <= config["http_options"]["request_timeout_s"] <= LONGEST_S
    # Ray keeps a replica without a running replacement until only its graceful shutdown time is left.
    assert drain_s >= LONGEST_S + 60
    assert group.template.spec.termination_grace_period_seconds >= drain_s + 30
    assert service.ray_cluster_deletion_delay_seconds >= drain_s


@pytest.mark.parametrize("path", [PRODUCTION, STARTER], ids=lambda path: path.name)
def test_requests_go_to_workers_whose_proxy_accepts_them(path: Path) -> None:
    (group,) = ray_service(path).ray_cluster_config.worker_group_specs
    (worker,) = group.template.spec.containers
    port = yaml.safe_load(ray_service(path).serve_config_v2)["http_options"]["port"]

    assert worker.readiness_probe is not None
    assert worker.readiness_probe.http_get is not None
    assert (worker.readiness_probe.http_get.path, worker.readiness_probe.http_get.port) == (
        "/-/healthz",
        port,
    )
    assert port in {p.container_port for p in worker.ports if p.name == "serve"}


def test_the_object_store_never_spills_to_disk(service: RayServiceSpec) -> None:
    cluster = service.ray_cluster_config
    for group in (cluster.head_group_spec, *cluster.worker_group_specs):
        pod = group.template.spec
        (mount,) = (m for m in pod.containers[0].volume_mounts if m.mount_path == "/dev/shm")
        (volume,) = (v for v in pod.volumes if v.name == mount.name)
        assert volume.empty_dir is not None
        assert volume.empty_dir.medium == "Memory"
        assert group.ray_start_params["object-spilling-directory"] == "/dev/shm"
    # Quoted, since KubeRay inserts it verbatim into a line of bash.
    config = cluster.head_group_spec.ray_start_params["system-config"]
    assert config == """'{"automatic_object_spilling_enabled":false}'"""


def test_workers_read_checkpoints_from_the_volume_and_tokens_from_secrets(service: RayServiceSpec) -> None:
    (group,) = service.ray_cluster_config.worker_group_specs
    pod = group.template.spec
    (fetch,), (worker,) = pod.init_containers, pod.containers
    (claim,) = (m for m in manifests(PRODUCTION) if isinstance(m, Claim))
    (volume,) = (v for v in pod.volumes if v.persistent_volume_claim is not None)
    assert volume.persistent_volume_claim is not None
    assert volume.persistent_volume_claim.claim_name == claim.metadata.name

    reads, writes = (
        {m.name: m for m in container.volume_mounts}[volume.name] for container in (worker, fetch)
    )
    assert reads.mount_path == writes.mount_path == "/checkpoints"
    assert (reads.read_only, writes.read_only) == (True, False)
    assert {v.name: v.value for v in worker.env} == {"HF_HUB_OFFLINE": "1"}
    assert [v.name for v in fetch.env if v.value_from is not None] == ["HF_TOKEN"]


BOTH = pytest.mark.parametrize("path", [PRODUCTION, STARTER], ids=lambda path: path.name)


def pods(path: Path) -> list[PodTemplate]:
    cluster = ray_service(path).ray_cluster_config
    return [group.template for group in (cluster.head_group_spec, *cluster.worker_group_specs)]


@BOTH
def test_every_process_of_the_cluster_shows_a_token(path: Path) -> None:
    assert ray_service(path).ray_cluster_config.auth_options.mode == "token"


@BOTH
def test_every_pod_is_unprivileged_and_read_only(path: Path) -> None:
    for pod in pods(path):
        assert pod.spec.security_context is not None
        assert all(
            container.security_context for container in (*pod.spec.init_containers, *pod.spec.containers)
        )
        assert {"/dev/shm", "/tmp", "/home/voxgraph"} <= {
            mount.mount_path for mount in pod.spec.containers[0].volume_mounts
        }
    # The head's autoscaler asks the Kubernetes API; without one, nobody does.
    with_token = [pod.spec.automount_service_account_token for pod in pods(path)]
    assert with_token == [path == PRODUCTION, False]


@BOTH
def test_only_pods_of_the_cluster_and_the_operator_reach_ports_of_ray(path: Path) -> None:
    (policy,) = (m.spec for m in manifests(path) if isinstance(m, NetworkPolicy))
    labels = [pod.metadata.labels for pod in pods(path)]
    assert all(policy.pod_selector.selects(each) for each in labels)
    assert policy.policy_types == ["Ingress", "Egress"]

    for rule in policy.ingress:
        ports = {port.port for port in rule.ports}
        if not rule.from_:
            assert ports == {8000}
            continue
        (peer,) = rule.from_
        if ports:
            assert peer.namespace_selector is not None
            assert ports in ({8265}, {8080})
        else:
            assert peer.namespace_selector is None
            assert peer.pod_selector is not None
            assert all(peer.pod_selector.selects(each) for each in labels)
            assert not peer.pod_selector.selects({"app": "another"})


def test_only_the_production_workers_reach_other_networks() -> None:
    (starter,) = (m.spec for m in manifests(STARTER) if isinstance(m, NetworkPolicy))
    (production,) = (m.spec for m in manifests(PRODUCTION) if isinstance(m, NetworkPolicy))

    assert [peer.ip_block for rule in starter.egress for peer in rule.to if peer.ip_block] == []
    (block,) = (peer.ip_block for rule in production.egress for peer in rule.to if peer.ip_block)
    assert block.except_ == ["169.254.0.0/16"]


def test_only_the_head_and_the_cleanup_of_the_operator_reach_redis() -> None:
    (policy,) = (m.spec for m in manifests(DEPLOY / "redis.yaml") if isinstance(m, NetworkPolicy))
    head, worker = (pod.metadata.labels for pod in pods(PRODUCTION))
    (rule,) = policy.ingress
    selectors = [peer.pod_selector for peer in rule.from_ if peer.pod_selector is not None]

    assert policy.egress == []
    assert {port.port for port in rule.ports} == {6379}
    assert any(selector.selects(head) for selector in selectors)
    assert not any(selector.selects(worker) for selector in selectors)


def test_no_manifest_holds_a_secret() -> None:
    for path in DEPLOY.glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            assert document.get("kind") != "Secret", path


@pytest.mark.parametrize(
    ("path", "tag"), [(PRODUCTION, ""), (STARTER, "-cpu")], ids=["production", "starter"]
)
def test_the_image_and_ray_have_this_version(path: Path, tag: str) -> None:
    spec = ray_service(path)

    assert {c.image for c in containers(spec)} == {f"voxgraph:{version('voxgraph')}{tag}"}
    assert spec.ray_cluster_config.ray_version == version("ray")
