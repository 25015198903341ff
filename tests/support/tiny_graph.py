"""Small Serve applications for the launcher's tests."""

from ray import serve
from starlette.requests import Request


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Echo:
    async def __call__(self, request: Request) -> str:
        return request.url.path


@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_constructor_retry_count=1)
class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no such model")


def build(args: dict[str, str]) -> serve.Application:
    return Broken.bind() if args.get("broken") else Echo.bind()
