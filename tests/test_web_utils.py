"""The guarded web client: what it refuses, and that a connection goes only where the check has looked."""

import asyncio
import contextlib
import datetime
import gzip
import socket
import ssl
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes.website import Reply, Website
from utils.errors import UpstreamError, UpstreamTimeout, UrlNotAllowed
from utils.settings import Settings
from utils.web_utils import Fetched, PublicConnector, check_url, fetch, parse_url

REFUSED = """
http://127.0.0.1/ http://127.0.0.1:6379/ https://127.0.0.1/ http://10.0.0.1/ http://192.168.1.1/ http://172.16.0.1/
http://169.254.169.254/latest/meta-data/ http://100.100.100.200/latest/meta-data/ http://168.63.129.16/ http://0.0.0.0/
http://0/ http://127.1/ http://127.0.1/ http://2130706433/ http://017700000001/ http://0x7f000001/ http://0x7f.0x0.0x0.0x1/
http://0177.0.0.1/ http://0177.0x0.0.1/ http://00000177.0.0.1/ http://2852039166/ http://0xa9fea9fe/ http://169.16689662/
http://127.0.0.1./ http://127.1./ HTTP://127.0.0.1/ http://127.0.0.1?x http://127.0.0.1#x http://127.0.0.1:080/
http://127。0。0。1/ http://127．0．0．1/ http://127｡0｡0｡1/ http://１２７.0.0.1/ http://①②⑦.⓪.⓪.①/ http://0ｘ7f.1/
http://[::1]/ http://[::]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/
http://[0:0:0:0:0:ffff:127.0.0.1]/ http://[::127.0.0.1]/ http://[::ffff:0:127.0.0.1]/ http://[::ffff:169.254.169.254]/
http://[64:ff9b::127.0.0.1]/ http://[64:ff9b::a9fe:a9fe]/ http://[64:ff9b:1::127.0.0.1]/ http://[2002:7f00:1::]/
http://[2002:a9fe:a9fe::]/ http://[2001:0:7f00:1::]/ http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[fe80::1%eth0]/
http://[::1%25lo]/ http://[::1%lo]/ http://[fc00::1]/ http://[fd00:ec2::254]/ http://[fd20:ce::254]/ http://[ff02::1]/
http://[v1.8.8.8.8]/ http://[v1.x]/ http://[127.0.0.1]/ http://[8.8.8.8]/ http://[example.com]/ http://[::1 http://::1/
http://256.256.256.256/ http://1.2.3.4.5/
http://user@8.8.8.8/ http://user:pass@8.8.8.8/ http://@8.8.8.8/ http://:@8.8.8.8/ http://8.8.8.8@127.0.0.1/
http://8.8.8.8:80@127.0.0.1/ http://8.8.8.8%2f@127.0.0.1/ http://8.8.8.8\\@127.0.0.1/ http://127.0.0.1\\@8.8.8.8/
http://8.8.8.8\\.127.0.0.1/ http://%31%32%37.0.0.1/ http://127.0.0.1%00.example.com/ http://127.0.0.1%2eexample.com/
http:127.0.0.1 http:/127.0.0.1/ http:///127.0.0.1/ http:\\\\127.0.0.1/ //127.0.0.1/ 127.0.0.1 127.0.0.1:80 /etc/passwd
file:///etc/passwd ftp://8.8.8.8/ gopher://127.0.0.1:6379/_INFO dict://127.0.0.1:11211/ ldap://127.0.0.1/ data:text/plain,x
javascript:alert(1) jar:http://127.0.0.1!/ ws://8.8.8.8/ unix:///var/run/docker.sock http+unix://x/ http://8.8.8.8:0/
http://8.8.8.8:99999/ http://8.8.8.8:80:80/ http://8.8.8.8:x/ http:// https://? http://./ http://../ http://a..b/
"""
WITH_BLANKS = [
    "",
    " ",
    "http://127.0.0.1\t/",
    "http://8.8.8.8/a\tb",
    "http://8.8.8.8\n@127.0.0.1/",
    "http://8.8.8.8\r\nHost:x/",
    "http://8.8.8.8\0/",
    "http://8.8.8.8/\0",
    "\0http://8.8.8.8/",
    "http://a b/",
    "http://8.8.8.8 @127.0.0.1/",
    "http://local\u200bhost/",
    "http://loc\u00adalhost/",
    "http://8.8.8.8/" + "x" * 5_000,
]

Dns = Callable[..., list[str]]


def get(url: str, settings: Settings, **options: Any) -> Fetched:
    return asyncio.run(fetch(url, settings, **options))


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    """`asked = dns(name, first_answer, second_answer, …)`; each answer is a list of addresses, the last one stays."""
    zone: dict[str, list[list[str]]] = {}
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        answers = zone.get(host, [[]])
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    def add(name: str, *answers: list[str]) -> list[str]:
        zone[name] = list(answers)
        return asked

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return add


@pytest.mark.parametrize("url", [*REFUSED.split(), *WITH_BLANKS])
def test_inner_addresses_in_any_spelling_are_refused_before_any_lookup(url: str, dns: Dns) -> None:
    asked = dns("localhost", ["127.0.0.1"])
    with pytest.raises(UrlNotAllowed):
        get(url, Settings())
    assert asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["93.184.215.14", "127.0.0.1"],
        ["2606:2800:21f::1", "::1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%lo"],
    ],
)
@pytest.mark.parametrize("name", ["inner.example", "localhost", "metadata.google.internal", "127.0.0.1.nip.io"])
def test_a_name_is_refused_when_any_of_its_addresses_is_inner(name: str, addresses: list[str], dns: Dns) -> None:
    dns(name, addresses)
    with pytest.raises(UrlNotAllowed):
        get(f"http://{name}/", Settings())


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://Example.COM.:80", "http://example.com/"),
        ("http://example.com?q=1#top", "http://example.com/?q=1"),
        ("http://0x08080808:8080//127.0.0.1/", "http://8.8.8.8:8080//127.0.0.1/"),
        ("https://[2606:4700:4700:0:0:0:0:1111]/a%2Fb?c=%26", "https://[2606:4700:4700::1111]/a%2Fb?c=%26"),
        ("http://例子。中国/路径?问=答", "http://xn--fsqu00a.xn--fiqs8s/%E8%B7%AF%E5%BE%84?%E9%97%AE=%E7%AD%94"),
        ("http://8.8.8.8/@127.0.0.1", "http://8.8.8.8/@127.0.0.1"),
        ("http://8.8.8.8/\\127.0.0.1", "http://8.8.8.8/%5C127.0.0.1"),
        ("http://8.8.8.8/..//127.0.0.1/", "http://8.8.8.8//127.0.0.1/"),
    ],
)
def test_a_public_url_gets_one_spelling(url: str, canonical: str) -> None:
    parsed = parse_url(url, Settings())
    assert str(parsed) == canonical
    assert parsed.raw_host in canonical


def test_unicode_spellings_of_a_name_are_looked_up_as_the_same_name(dns: Dns) -> None:
    asked = dns("localhost", ["127.0.0.1"])
    for url in ("http://ⓛｏcalhost/", "http://LOCALHOST/", "http://localhost./"):
        with pytest.raises(UrlNotAllowed):
            get(url, Settings())
    assert asked == ["localhost"] * 3


def test_chinese_names_are_looked_up_in_their_ascii_form(dns: Dns) -> None:
    asked = dns("nothing")
    with pytest.raises(UpstreamError):
        get("http://例子。中国/路径", Settings())
    assert asked == ["xn--fsqu00a.xn--fiqs8s"]


def test_the_connection_goes_to_the_address_that_was_checked(site: Website, dns: Dns) -> None:
    """A name that changes its answer after the check is never asked a second time."""
    site.page("/", "你好")
    settings = Settings(WEB_ALLOWED_HOSTS=(f"rebind.example:{site.port}",))
    asked = dns("rebind.example", ["127.0.0.1"], ["127.0.0.2"])
    assert get(f"http://rebind.example:{site.port}/", settings).body == "你好".encode()
    assert asked == ["rebind.example"]
    assert site.requests[0].headers["host"] == f"rebind.example:{site.port}"


def test_a_name_is_checked_anew_after_a_redirect_to_itself(site: Website, dns: Dns) -> None:
    url = f"http://rebind.example:{site.port}"
    site.redirect("/", f"http://rebind.example:{site.port}/inner")
    site.page("/inner", "secret")
    asked = dns("rebind.example", ["127.0.0.1"], ["10.0.0.1"])
    settings = Settings(WEB_ALLOWED_HOSTS=(f"rebind.example:{site.port}",), WEB_TIMEOUT_SECONDS=0.2)
    with pytest.raises((UpstreamError, UpstreamTimeout)):
        get(f"{url}/", settings)
    assert asked == ["rebind.example", "rebind.example"]
    assert site.paths == ["/"]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "inner.example"])
def test_the_connector_alone_keeps_to_public_addresses(host: str, site: Website, dns: Dns) -> None:
    """Also without the check of the URL, and with redirects that the library follows."""
    dns("inner.example", ["127.0.0.1"])
    dns("start.example", ["127.0.0.1"])

    async def visit(url: str) -> None:
        settings = Settings(WEB_ALLOWED_HOSTS=(f"start.example:{site.port}",))
        async with aiohttp.ClientSession(connector=PublicConnector(settings)) as session, session.get(url):
            pass

    with Website() as inner:
        site.redirect("/", f"http://{host}:{inner.port}/")
        for url in (f"http://{host}:{inner.port}/", f"http://start.example:{site.port}/"):
            with pytest.raises(UrlNotAllowed):
                asyncio.run(visit(url))
        assert site.paths == ["/"]
        assert inner.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/",
        "http://localhost/",
        "//127.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://0x7f.1/",
        "http://127。0。0。1/",
        "https://user:pass@8.8.8.8/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "http://8.8.8.8\\@127.0.0.1/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_checked_like_the_first_address(
    location: str, status: int, site: Website, web_settings: Settings, dns: Dns
) -> None:
    dns("localhost", ["127.0.0.1"])
    site.redirect("/", location.encode().decode("latin-1"), status)
    with pytest.raises(UrlNotAllowed):
        get(f"{site.url}/", web_settings)


def test_a_private_host_is_let_through_only_as_the_operator_named_it(site: Website) -> None:
    site.page("/", "ok")
    for allowed in ("127.0.0.1", site.host):
        assert get(site.url, Settings(WEB_ALLOWED_HOSTS=(allowed,))).body == b"ok"
        assert get(f"http://2130706433:{site.port}", Settings(WEB_ALLOWED_HOSTS=(allowed,))).body == b"ok"
    for other in ("127.0.0.1:1", "127.0.0.2", "localhost", f"localhost:{site.port}"):
        with pytest.raises(UrlNotAllowed):
            get(site.url, Settings(WEB_ALLOWED_HOSTS=(other,)))


def test_redirects_are_followed_to_the_page(site: Website, web_settings: Settings) -> None:
    site.redirect("/a", "b/c?d=1")
    site.redirect("/b/c", f"{site.url}/中文#part".encode().decode("latin-1"), 307)
    site.page("/%E4%B8%AD%E6%96%87", "<p>到了</p>")
    page = get(f"  {site.url}/a#top\n", web_settings)
    assert (page.status, page.media_type, page.charset) == (200, "text/html", "utf-8")
    assert page.url == f"{site.url}/%E4%B8%AD%E6%96%87"
    assert site.paths == ["/a", "/b/c?d=1", "/%E4%B8%AD%E6%96%87"]


def test_five_redirects_are_followed_and_no_more(site: Website, web_settings: Settings) -> None:
    for hop in range(6):
        site.redirect(f"/{hop}", f"/{hop + 1}")
    site.page("/6", "end")
    assert get(f"{site.url}/1", web_settings).body == b"end"
    site.requests.clear()
    with pytest.raises(UpstreamError):
        get(f"{site.url}/0", web_settings)
    assert len(site.requests) == 6


def test_nothing_of_this_machine_goes_along(
    site: Website, dns: Dns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No proxy of the environment, no netrc, no cookie that a hop before has set."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    dns("cookies.example", ["127.0.0.1"])  # no library keeps cookies of a host that is an address
    site.on("/", lambda request: Reply(status=302, headers={"Location": "/next", "Set-Cookie": "a=b; Path=/"}))
    site.page("/next", "ok")
    settings = Settings(WEB_ALLOWED_HOSTS=("cookies.example", site.host))
    for url in (site.url, f"http://cookies.example:{site.port}"):
        assert get(url, settings).body == b"ok"
    for request in site.requests:
        assert {"cookie", "authorization", "proxy-authorization", "referer"}.isdisjoint(request.headers)


def test_an_http_error_is_an_answer(site: Website, web_settings: Settings) -> None:
    page = get(f"{site.url}/missing", web_settings)
    assert (page.status, page.body, page.media_type) == (404, b"not found", "")


@pytest.mark.parametrize("body", [b"", b"<p>some"])
def test_a_server_that_hangs_is_a_timeout(body: bytes, site: Website, dns: Dns) -> None:
    site.on("/", lambda request: Reply(body, hang=True))
    dns("slow.example", ["127.0.0.1"])
    settings = Settings(WEB_ALLOWED_HOSTS=("slow.example",), WEB_TIMEOUT_SECONDS=0.2)
    with pytest.raises(UpstreamTimeout) as caught:
        get(f"http://slow.example:{site.port}/?key=secret", settings)
    assert caught.value.params == {"upstream": "slow.example"}


def test_a_silent_name_server_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()

    async def lookup() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", lambda *args, **kwargs: release.wait())
        await fetch("http://slow.example/", Settings(WEB_TIMEOUT_SECONDS=0.1))

    with pytest.raises(UpstreamTimeout):
        asyncio.run(lookup())


def test_failures_of_the_network_name_the_host_only(site: Website, web_settings: Settings, dns: Dns) -> None:
    dns("gone.example", [])
    with pytest.raises(UpstreamError) as caught:
        get("http://gone.example/path?key=secret", Settings())
    assert caught.value.params == {"upstream": "gone.example"}
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, never listening
        with pytest.raises(UpstreamError):
            get(f"http://127.0.0.1:{sock.getsockname()[1]}/", Settings(WEB_ALLOWED_HOSTS=("127.0.0.1",)))
    site.on("/", lambda request: Reply(b"no gzip", headers={"Content-Encoding": "gzip"}))
    site.on("/short", lambda request: Reply(b"half", headers={"Content-Length": "8"}))
    for path in ("/", "/short"):
        with pytest.raises(UpstreamError):
            get(f"{site.url}{path}", web_settings)


def test_a_long_body_ends_at_the_limit(site: Website) -> None:
    site.page("/", b"x" * 300_000)
    settings = Settings(WEB_ALLOWED_HOSTS=(site.host,), WEB_MAX_BYTES=100_000)
    page = get(site.url, settings)
    assert (len(page.body), page.truncated) == (100_000, True)
    page = get(site.url, settings, max_bytes=1_000)
    assert (len(page.body), page.truncated) == (1_000, True)
    page = get(site.url, settings, max_bytes=300_000)
    assert (len(page.body), page.truncated) == (300_000, False)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_limit_counts_unpacked_bytes_and_memory_stays_bounded(
    encoding: str, site: Website, web_settings: Settings
) -> None:
    plain = bytes(100_000_000)
    packed = gzip.compress(plain, 6) if encoding == "gzip" else zlib.compress(plain, 6)
    del plain
    site.page("/", packed, **{"Content-Encoding": encoding})
    tracemalloc.start()
    with contextlib.ExitStack() as stack:
        stack.callback(tracemalloc.stop)
        page = get(site.url, web_settings)
        peak = tracemalloc.get_traced_memory()[1]
    assert (len(page.body), page.truncated) == (web_settings.WEB_MAX_BYTES, True)
    assert peak < 4 * web_settings.WEB_MAX_BYTES


def test_https_presents_the_name_and_wants_a_certificate_that_is_trusted(dns: Dns) -> None:
    presented: list[str | None] = []
    context = _self_signed("shop.example")
    context.sni_callback = lambda sock, name, ctx: presented.append(name)  # type: ignore[assignment]
    dns("shop.example", ["127.0.0.1"])
    with Website(tls=context) as secure:
        secure.page("/", "ok")
        with pytest.raises(UpstreamError):
            get(f"https://shop.example:{secure.port}/", Settings(WEB_ALLOWED_HOSTS=("shop.example",)))
        assert presented == ["shop.example"]
        assert secure.requests == []


def _self_signed(name: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def test_it_works_on_the_event_loop_of_the_workers(site: Website, web_settings: Settings) -> None:
    site.page("/", "ok")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(fetch(site.url, web_settings)).body == b"ok"
        with pytest.raises(UrlNotAllowed):
            runner.run(fetch(f"http://localhost:{site.port}/", web_settings))


def test_a_url_that_is_stored_is_checked_and_spelled_alike(dns: Dns) -> None:
    dns("inner.example", ["10.0.0.1"])
    dns("api.example", ["93.184.215.14"])
    assert asyncio.run(check_url("HTTPS://API.example:8443/v1", Settings())) == "https://api.example:8443/v1"
    assert asyncio.run(check_url("https://unknown.example/v1", Settings())) == "https://unknown.example/v1"
    for url in ("http://inner.example/v1", "http://127.0.0.1:11434/v1", "ftp://api.example/"):
        with pytest.raises(UrlNotAllowed):
            asyncio.run(check_url(url, Settings()))
