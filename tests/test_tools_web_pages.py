"""Reading one page and walking over a site, against a web site on loopback."""

import time

import pytest

from fakes.contexts import call, tool_context
from fakes.website import Reply, Website
from services.tools import crawl_site, visit_url
from utils.errors import UnsupportedType, UpstreamError, UpstreamTimeout, UrlNotAllowed
from utils.settings import Settings
from utils.web_pages import MAX_TAGS

ARTICLE = """<html><head><title>员工手册</title></head><body><nav><a href="/">首页</a></nav>
<article><h1>年假</h1><p>员工每年享有十天年假，满十年的员工享有十五天年假。</p><p>Unused days expire in March.</p>
<p>请假须提前三个工作日在系统中提交申请，经直属主管批准后生效；紧急情况可事后补交，但不得超过两个工作日。</p>
<p>Leave is requested three working days ahead and approved by the direct manager; in an emergency it may be filed later.</p>
<table><tr><td>司龄</td><td>天数</td></tr><tr><td>十年</td><td>15</td></tr></table></article>
<script>var hidden = "secret";</script></body></html>"""


def visit(site: Website, path: str = "/", **settings: object) -> str:
    allowed = Settings(WEB_ALLOWED_HOSTS=(site.host,), **settings)  # type: ignore[arg-type]
    return call(visit_url.TOOL, tool_context(allowed), url=f"{site.url}{path}").text


def crawl(site: Website, path: str = "/", max_pages: int = 5, **settings: object) -> str:
    allowed = Settings(WEB_ALLOWED_HOSTS=(site.host,), **settings)  # type: ignore[arg-type]
    return call(crawl_site.TOOL, tool_context(allowed), url=f"{site.url}{path}", max_pages=max_pages).text


def link(*paths: str) -> str:
    """A page with text and links."""
    return "<title>页</title><p>这一页有一些文字可以阅读。</p>" + "".join(f'<a href="{path}">链接</a> ' for path in paths)


def test_a_page_is_read_as_a_person_would(site: Website) -> None:
    site.page("/", ARTICLE)
    text = visit(site)
    assert text.splitlines()[1] == f"{site.url}/"
    for words in (
        "年假",
        "员工每年享有十天年假，满十年的员工享有十五天年假。",
        "Unused days expire in March.",
        "| 十年 | 15 |",
    ):
        assert words in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("charset", "content_type", "head"),
    [
        ("gb18030", "text/html; charset=GBK", ""),
        ("gb18030", "text/html", "<meta charset=gb2312>"),
        ("gb18030", "text/html", '<meta http-equiv="Content-Type" content="text/html; charset=gbk">'),
        ("big5", "text/html; charset=big5", ""),
        ("utf-8", "text/html; charset=GBK", ""),
        ("utf-8", "text/html; charset=punycode", ""),
        ("utf-8", "text/html", ""),
        ("utf-16", "text/html", ""),
    ],
)
def test_chinese_pages_are_read_in_their_charset(charset: str, content_type: str, head: str, site: Website) -> None:
    sentence = "繁體與简体。" if charset != "big5" else "員工每年享有十天年假。"
    site.page("/", f"<html><head>{head}<title>標題</title></head><p>{sentence}</p></html>".encode(charset), content_type)
    assert visit(site) == f"標題\n{site.url}/\n\n{sentence}"


def test_a_page_cannot_keep_the_server_busy_by_its_charset_or_its_tags(site: Website) -> None:
    site.page("/slow", b"\xff" + b"a0" * 2_000_000, "text/plain; charset=punycode")
    attributes = " ".join(f"a{n}=b" for n in range(80_000))
    site.page("/tags", f"<title>t</title><p {attributes}>文字</p>")
    started = time.perf_counter()
    visit(site, "/slow")
    assert "文字" in visit(site, "/tags")
    assert time.perf_counter() - started < 5


def test_only_the_beginning_of_an_endless_page_is_read(site: Website) -> None:
    site.page("/", "<title>t</title>" + "<p>字" * 60_000)
    assert visit(site, TOOL_RESULT_CHARS=1_000_000).count("字") < MAX_TAGS


def test_text_and_json_are_returned_as_they_are(site: Website) -> None:
    site.page("/a.json", '{"年假": 10}', "application/json")
    site.page("/a.txt", "第一行\r\n<b>", "text/plain; charset=utf-8")
    assert visit(site, "/a.json") == f'{site.url}/a.json\n\n{{"年假": 10}}'
    assert visit(site, "/a.txt") == f"{site.url}/a.txt\n\n第一行\n<b>"
    site.page("/b.txt", "Привет".encode("iso8859-5"), "text/plain; charset=ISO-8859-5")  # would be guessed wrong
    assert visit(site, "/b.txt").endswith("Привет")


def test_a_pdf_is_left_to_the_upload(site: Website) -> None:
    site.page("/a.pdf", b"%PDF-1.7", "application/pdf")
    assert "upload" in visit(site, "/a.pdf")


def test_what_is_no_text_is_an_error(site: Website) -> None:
    site.page("/a.png", b"\x89PNG", "image/png")
    with pytest.raises(UnsupportedType):
        visit(site, "/a.png")


def test_a_page_without_text_says_so(site: Website) -> None:
    site.page("/", '<div id="root"></div><script src="app.js"></script>')
    assert "no text" in visit(site)


def test_an_error_of_the_site_is_told_with_its_status(site: Website) -> None:
    with pytest.raises(UpstreamError) as caught:
        visit(site, "/gone?token=secret")
    assert str(caught.value) == "The upstream service failed: 127.0.0.1, HTTP 404."


def test_a_long_page_is_cut(site: Website) -> None:
    site.page("/", "<p>" + "很长的文字。" * 10_000)
    assert len(visit(site, TOOL_RESULT_CHARS=500)) == 500


@pytest.mark.parametrize("tool", [visit_url.TOOL, crawl_site.TOOL], ids=lambda tool: tool.name)
def test_inner_addresses_are_not_visited(tool, site: Website) -> None:  # type: ignore[no-untyped-def]
    site.page("/", ARTICLE)
    with pytest.raises(UrlNotAllowed):
        call(tool, tool_context(Settings()), url=site.url)
    assert site.requests == []


def test_a_crawl_reads_the_site_breadth_first(site: Website) -> None:
    site.page("/", link("/a", "b", "/a#part", "mailto:a@b.c", "javascript:x()", "/"))
    site.page("/a", link("/a/deep", "/b"))
    site.page("/b", link("/b/deep"))
    site.page("/a/deep", link())
    site.page("/b/deep", link())
    text = crawl(site)
    assert site.paths == ["/robots.txt", "/", "/a", "/b", "/a/deep", "/b/deep"]
    assert text.startswith(f"1. 页\n{site.url}/\n这一页有一些文字可以阅读。")
    assert [line for line in text.splitlines() if line.startswith("http")] == [
        f"{site.url}{path}" for path in ("/", "/a", "/b", "/a/deep", "/b/deep")
    ]


def test_a_crawl_stays_on_its_host(site: Website) -> None:
    with Website() as other:
        other.page("/", link())
        site.page("/", link(f"{other.url}/", "http://example.com/", f"http://user@{site.host}/", "/away", "/b"))
        site.redirect("/away", f"{other.url}/")
        site.page("/b", link())
        allowed = Settings(WEB_ALLOWED_HOSTS=("127.0.0.1",))
        text = call(crawl_site.TOOL, tool_context(allowed), url=site.url).text
    assert "2. 页" in text
    assert "3. 页" not in text
    assert other.url not in text
    assert other.paths.count("/") == 1  # where the redirect led
    assert site.paths == ["/robots.txt", "/", "/away", "/b"]


def test_a_crawl_obeys_robots_txt(site: Website) -> None:
    rules = "User-agent: *\nDisallow: /\n\nUser-agent: llm-chat-backend\nDisallow: /private\nAllow: /\n"
    site.page("/robots.txt", rules, "text/plain")
    site.page("/", link("/private/a", "/moved", "/open"))
    site.redirect("/moved", "/private/b")
    site.page("/private/b", link())
    site.page("/open", link())
    text = crawl(site)
    assert "/open" in text
    assert "/private" not in text
    assert "/private/a" not in site.paths


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False), (503, False)])
def test_a_robots_txt_that_cannot_be_had_allows_all_or_nothing(status: int, allowed: bool, site: Website) -> None:
    site.on("/robots.txt", lambda request: Reply("User-agent: *\nDisallow: /\n" if status < 500 else "", status))
    site.page("/", link())
    assert ("robots.txt" in crawl(site)) is not allowed
    assert ("/" in site.paths) is allowed


def test_a_crawl_keeps_the_pause_that_the_site_asks_for(site: Website) -> None:
    site.page("/robots.txt", "User-agent: *\nCrawl-delay: 1\n", "text/plain")
    times: list[float] = []
    for path in ("/", "/a"):
        site.on(path, lambda request: times.append(time.monotonic()) or Reply(link("/a")))  # type: ignore[func-returns-value]
    crawl(site)
    assert times[1] - times[0] >= 1


def test_a_crawl_ends_at_its_limits(site: Website) -> None:
    site.page("/", link(*(f"/{n}" for n in range(30))))
    for n in range(30):
        site.page(f"/{n}", link())
    for max_pages, limit, read in ((3, 10, 3), (9, 4, 4)):
        site.requests.clear()
        text = crawl(site, max_pages=max_pages, CRAWL_MAX_PAGES=limit, TOOL_RESULT_CHARS=600)
        assert len(site.requests) == 1 + read
        assert f"{read}. 页" in text
        assert len(text) <= 600


def test_a_crawl_reads_no_more_bytes_than_one_page_may_have(site: Website) -> None:
    for n in range(5):
        site.page(f"/{n or ''}", link(f"/{n + 1}") + "文字" * 1_000)
    crawl(site, WEB_MAX_BYTES=15_000)
    assert site.paths == ["/robots.txt", "/", "/1", "/2"]


def test_a_crawl_passes_over_pages_that_fail(site: Website) -> None:
    site.page("/", link("/gone", "/image", "/movie.mp4", "http://[bad", "/good"))
    site.page("/image", b"\x89PNG", "image/png")
    site.page("/good", link())
    assert "2. 页" in crawl(site)
    assert site.paths == ["/robots.txt", "/", "/gone", "/image", "/good"]


def test_a_crawl_gives_up_on_a_site_whose_pages_fail(site: Website) -> None:
    site.page("/", link(*(f"/{n}" for n in range(50))))
    assert "1. 页" in crawl(site, max_pages=2)
    assert len(site.requests) == 2 + 2 * crawl_site.TRIES_PER_PAGE


def test_a_first_page_that_fails_is_an_error(site: Website) -> None:
    with pytest.raises(UpstreamError, match="HTTP 404"):
        crawl(site, "/gone")


def test_a_crawl_that_takes_too_long_returns_what_it_has(site: Website) -> None:
    site.page("/", link("/hangs"))
    site.on("/hangs", lambda request: Reply(hang=True))
    assert "1. 页" in crawl(site, TOOL_TIMEOUT_SECONDS=0.5)
    with pytest.raises(UpstreamTimeout):
        crawl(site, "/hangs", TOOL_TIMEOUT_SECONDS=0.5)
