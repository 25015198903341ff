"""Settings that the node's environment completes."""

from collections.abc import Mapping

from config.settings import HTTP_HOST, KEYS_FILE, GraphSettings
from deployments.api.hosts import default_hosts


def with_cors_origins(settings: GraphSettings, variable: str) -> GraphSettings:
    """Take the CORS origins from `variable`, separated by commas, if the settings have none."""
    origins = tuple(origin.strip() for origin in variable.split(",") if origin.strip())
    return settings if settings.cors_origins else settings.model_copy(update={"cors_origins": origins})


def with_surroundings(settings: GraphSettings, variables: Mapping[str, str]) -> GraphSettings:
    """Take the allowed hosts and the file of keys from the node's environment if the settings have none."""
    hosts = default_hosts(variables.get(HTTP_HOST, ""))
    found = {"allowed_hosts": hosts, "keys_file": variables.get(KEYS_FILE)}
    return settings.model_copy(
        update={name: value for name, value in found.items() if getattr(settings, name) is None}
    )
