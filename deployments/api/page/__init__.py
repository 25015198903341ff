"""The page for browsers and the documentation: built by ``make page`` from ``web/``, served from memory."""

from deployments.api.page.pages import Pages

__all__ = ["Pages"]
