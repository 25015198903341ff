"""Typed schemas of the Kubernetes, KubeRay and Compose fields that the manifests under deploy/ use.

Unknown keys are an error, since the tests have neither a Kubernetes server nor Compose to validate them.
KubeRay's fields are those of ray.io/v1 in 1.6 (ray-operator/apis/ray/v1 of ray-project/kuberay).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$")]
Resource = Literal["cpu", "memory", "nvidia.com/gpu", "storage"]
Duration = Annotated[str, Field(pattern=r"^(\d+h)?(\d+m)?(\d+s)?$", min_length=2)]
Labels = dict[str, str]


class Strict(BaseModel):
    """Base model: unknown keys are an error; keys are in camel case."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Metadata(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    labels: Labels = {}


class Selector(Strict):
    match_labels: Labels


class Resources(Strict):
    requests: dict[Resource, Quantity] = {}
    limits: dict[Resource, Quantity] = {}


class SecretKey(Strict):
    name: str
    key: str
    optional: bool = False


class ValueSource(Strict):
    secret_key_ref: SecretKey


class Variable(Strict):
    name: str
    value: str | None = None
    value_from: ValueSource | None = None


class Port(Strict):
    name: str
    container_port: Annotated[int, Field(gt=0, lt=65536)]


class ServicePort(Strict):
    name: str
    port: int


class HttpGet(Strict):
    path: str
    port: int


class Exec(Strict):
    command: list[str]


class Probe(Strict):
    http_get: HttpGet | None = None
    exec: Exec | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3


class Hook(Strict):
    exec: Exec


class Lifecycle(Strict):
    pre_stop: Hook


class Capabilities(Strict):
    drop: list[Literal["ALL"]]


class ContainerSecurity(Strict):
    allow_privilege_escalation: Literal[False]
    read_only_root_filesystem: Literal[True]
    capabilities: Capabilities


class SeccompProfile(Strict):
    type: Literal["RuntimeDefault"]


class PodSecurity(Strict):
    run_as_non_root: Literal[True]
    run_as_user: Annotated[int, Field(gt=0)]
    fs_group: int
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] = "Always"
    seccomp_profile: SeccompProfile


class Mount(Strict):
    name: str
    mount_path: str
    read_only: bool = False


class EmptyDir(Strict):
    medium: Literal["", "Memory"] = ""
    size_limit: Quantity


class ClaimName(Strict):
    claim_name: str


class Volume(Strict):
    name: str
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: ClaimName | None = None


class Container(Strict):
    name: str
    image: str
    command: list[str] = []
    env: list[Variable] = []
    ports: list[Port] = []
    resources: Resources
    security_context: ContainerSecurity | None = None
    lifecycle: Lifecycle | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    volume_mounts: list[Mount] = []


class Toleration(Strict):
    key: str
    operator: Literal["Exists"]
    effect: Literal["NoSchedule"]


class Spread(Strict):
    max_skew: int
    topology_key: str
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"]
    label_selector: Selector


class PodSpec(Strict):
    containers: Annotated[list[Container], Field(min_length=1)]
    init_containers: list[Container] = []
    volumes: list[Volume] = []
    termination_grace_period_seconds: int = 30
    security_context: PodSecurity | None = None
    automount_service_account_token: bool = True
    tolerations: list[Toleration] = []
    topology_spread_constraints: list[Spread] = []


class PodTemplate(Strict):
    metadata: Metadata = Metadata()
    spec: PodSpec


class HeadGroup(Strict):
    ray_start_params: Labels
    template: PodTemplate


class WorkerGroup(Strict):
    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int
    ray_start_params: Labels
    template: PodTemplate


class RedisPassword(Strict):
    value_from: ValueSource


class GcsFaultTolerance(Strict):
    redis_address: str
    redis_password: RedisPassword


class Autoscaler(Strict):
    version: Literal["v1", "v2"]
    idle_timeout_seconds: int
    resources: Resources


class AuthOptions(Strict):
    mode: Literal["token"]


class RayCluster(Strict):
    ray_version: str
    auth_options: AuthOptions
    enable_in_tree_autoscaling: bool = False
    autoscaler_options: Autoscaler | None = None
    gcs_fault_tolerance_options: GcsFaultTolerance | None = None
    head_group_spec: HeadGroup
    worker_group_specs: Annotated[list[WorkerGroup], Field(min_length=1)]


class UpgradeStrategy(Strict):
    type: Literal["NewCluster", "None"]


class RayServiceSpec(Strict):
    serve_config_v2: str
    exclude_head_pod_from_serve_svc: bool = False
    upgrade_strategy: UpgradeStrategy | None = None
    ray_cluster_deletion_delay_seconds: int = 60
    ray_cluster_config: RayCluster


class RayService(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: Metadata
    spec: RayServiceSpec


class ClaimSpec(Strict):
    access_modes: list[Literal["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"]]
    resources: Resources


class Claim(Strict):
    api_version: Literal["v1"] = "v1"
    kind: Literal["PersistentVolumeClaim"] = "PersistentVolumeClaim"
    metadata: Metadata
    spec: ClaimSpec


class BudgetSpec(Strict):
    min_available: int
    selector: Selector


class Budget(Strict):
    api_version: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    metadata: Metadata
    spec: BudgetSpec


class ServiceSpec(Strict):
    selector: Labels
    ports: list[ServicePort]


class Service(Strict):
    api_version: Literal["v1"]
    kind: Literal["Service"]
    metadata: Metadata
    spec: ServiceSpec


class StatefulSetSpec(Strict):
    service_name: str
    replicas: int
    selector: Selector
    template: PodTemplate
    volume_claim_templates: list[Claim]


class StatefulSet(Strict):
    api_version: Literal["apps/v1"]
    kind: Literal["StatefulSet"]
    metadata: Metadata
    spec: StatefulSetSpec


class Expression(Strict):
    key: str
    operator: Literal["In"]
    values: list[str]


class PodSelector(Strict):
    match_labels: Labels = {}
    match_expressions: list[Expression] = []

    def selects(self, labels: Labels) -> bool:
        """Whether pods with these labels are selected."""
        expressions = all(labels.get(each.key) in each.values for each in self.match_expressions)
        return self.match_labels.items() <= labels.items() and expressions


class IpBlock(Strict):
    cidr: str
    except_: list[str] = Field(default=[], alias="except")


class Peer(Strict):
    pod_selector: PodSelector | None = None
    namespace_selector: PodSelector | None = None
    ip_block: IpBlock | None = None


class PolicyPort(Strict):
    protocol: Literal["TCP", "UDP"]
    port: int


class IngressRule(Strict):
    ports: list[PolicyPort] = []
    from_: list[Peer] = Field(default=[], alias="from")


class EgressRule(Strict):
    ports: list[PolicyPort] = []
    to: list[Peer] = []


class PolicySpec(Strict):
    pod_selector: PodSelector
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[IngressRule]
    egress: list[EgressRule]


class NetworkPolicy(Strict):
    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]
    metadata: Metadata
    spec: PolicySpec


Manifest = Annotated[
    RayService | Claim | Budget | Service | StatefulSet | NetworkPolicy, Field(discriminator="kind")
]
MANIFEST: TypeAdapter[Any] = TypeAdapter(Manifest)


def manifests(path: Path) -> list[Any]:
    """Validate and return all documents of a manifest file."""
    return [MANIFEST.validate_python(document) for document in yaml.safe_load_all(path.read_text())]


def ray_service(path: Path) -> RayServiceSpec:
    """Return the spec of the only RayService of a file."""
    (service,) = (manifest for manifest in manifests(path) if isinstance(manifest, RayService))
    spec: RayServiceSpec = service.spec
    return spec


def containers(spec: RayServiceSpec) -> Iterator[Container]:
    """Yield the init containers and containers of all groups of a RayService."""
    cluster = spec.ray_cluster_config
    for group in (cluster.head_group_spec, *cluster.worker_group_specs):
        yield from (*group.template.spec.init_containers, *group.template.spec.containers)


def seconds(duration: str) -> int:
    """Convert a duration such as ``1h30m`` to seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    numbers = "".join(character if character.isdigit() else f"{character} " for character in duration)
    return sum(int(part[:-1]) * units[part[-1]] for part in numbers.split())


class Snake(BaseModel):
    """Base model of Compose, whose keys are in snake case."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Build(Snake):
    context: str
    dockerfile: str
    args: dict[Literal["DEVICE"], Literal["cpu", "cuda"]]


class HealthCheck(Snake):
    test: list[str]
    interval: Duration
    timeout: Duration
    retries: int
    start_period: Duration


class NoHealthCheck(Snake):
    disable: Literal[True]


class After(Snake):
    condition: Literal["service_completed_successfully"]


class Device(Snake):
    driver: Literal["nvidia"]
    count: Literal["all"] | int
    capabilities: list[Literal["gpu"]]


class Reservations(Snake):
    devices: list[Device]


class DeployResources(Snake):
    reservations: Reservations


class Deploy(Snake):
    resources: DeployResources


class ComposeService(Snake):
    image: str
    build: Build
    profiles: list[str]
    command: list[str]
    restart: Literal["unless-stopped", "no"]
    init: Literal[True]
    ports: list[str]
    environment: dict[str, str]
    volumes: list[str]
    shm_size: Annotated[str, Field(pattern=r"^\d+(mb|gb)$")]
    read_only: Literal[True]
    tmpfs: list[str]
    cap_drop: list[Literal["ALL"]]
    security_opt: list[str]
    ulimits: dict[Literal["nofile", "core"], int]
    healthcheck: HealthCheck | NoHealthCheck
    depends_on: dict[str, After] = {}
    stop_grace_period: Duration
    deploy: Deploy | None = None


class Compose(BaseModel):
    """A Compose file; keys that begin with ``x-`` are only templates to merge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    template: dict[str, Any] = Field(alias="x-service")
    services: dict[str, ComposeService]
    volumes: dict[str, None]
