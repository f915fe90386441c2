"""Which addresses are hosts of the internet, and how the spellings of a host become one."""

from ipaddress import ip_address

import pytest

from utils.addresses import canonical_host, is_public

INNER = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250
240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1
::ffff:0:127.0.0.1 64:ff9b::0.0.0.0 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b::192.168.1.1
64:ff9b:1::1 64:ff9b:1::8.8.8.8 64:ff9b:1:ffff::127.0.0.1 64:ff9b:2::1 100::1 2001::1 2001:0:7f00:1::1 2001:2::1
2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1 2002:a9fe:a9fe::1 2002:808:808::1 3ffe::1 3fff::1 4000::1 5f00::1
fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff::1 fe80::1 fe80::1%1 febf::1 fec0::1 ff02::1 ff0e::1
2606:4700::1%1 2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:10.0.0.1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 128.0.0.1 168.63.129.15 172.15.255.255 172.32.0.0
192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 110.242.68.66
::ffff:8.8.8.8 64:ff9b::8.8.8.8 2001:4860:4860::8888 2400:3200::1 2606:4700:4700::1111 2606:4700::5efe:8.8.8.8
2a00:1450:4001:81b::200e
"""
NO_HOSTS = """
. .. a..b .a a/b a@b a%2eb 例子 ①.example 256.1.1.1 1.2.3.4.5 08.8.8.8 0x 1.2.3.0x foo.1 foo.0x7f 999999999999 -1.0.0.1:
::g 1::2::3 v1.x: fe80::1%1
"""


@pytest.mark.parametrize("address", INNER.split())
def test_inner_and_reserved_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_hosts_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("xn--fiq228c.xn--fiqs8s", "xn--fiq228c.xn--fiqs8s"),
        ("a_b.example", "a_b.example"),
        ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),
        ("8.8.8.8", "8.8.8.8"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("2852039166", "169.254.169.254"),
        ("169.16689662", "169.254.169.254"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:127.0.0.1", "::ffff:7f00:1"),
    ],
)
def test_a_host_gets_one_spelling(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical


@pytest.mark.parametrize("host", [*NO_HOSTS.split(), "", "a b", "a\tb", "a" * 64, "a." * 127 + "ab"])
def test_what_is_neither_a_name_nor_an_address_is_refused(host: str) -> None:
    with pytest.raises(ValueError):
        canonical_host(host)
