"""The interactive documentation: from our own origin, also behind a prefix, and it asks the server."""

from typing import Any

from fake_analyzer import FakeAnalyzer
from page_actions import analyze
from page_server import serving
from playwright.sync_api import expect


def test_the_documentation_works_without_another_host(open_page: Any, analyzer: FakeAnalyzer) -> None:
    with serving(analyzer, root_path="/voice") as url:
        page = open_page(f"{url}/voice/docs")
        page.locator("#operations-service-health_health_get").get_by_role("button").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()

        expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")


def test_the_page_works_behind_a_prefix(open_page: Any, analyzer: FakeAnalyzer, recording: Any) -> None:
    with serving(analyzer, root_path="/voice") as url:
        page = open_page(f"{url}/voice/")
        analyze(page, recording)

        assert f"{url}/voice/v1/analyze" in page.locator("pre").inner_text()
        assert page.get_by_role("link", name="API").get_attribute("href") == f"{url}/voice/docs"
