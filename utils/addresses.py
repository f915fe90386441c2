"""Which hosts and network addresses the server may visit when somebody else chose them."""

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

# IANA's special-purpose registry, multicast, and a public address that is a cloud's metadata service. `is_global` alone is
# not enough: what it holds depends on the Python version, and it calls multicast global.
_CLOSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
# Nothing outside of this block is a host of the internet, apart from the two forms that only carry an IPv4 address.
_UNICAST_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Within it: protocol assignments with Teredo and ORCHID, documentation, 6to4, the retired 6bone, documentation again.
_CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20")))
_ISATAP = 0x0000_5EFE  # the middle of an interface identifier that ends in an IPv4 address

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


def is_public(address: Address) -> bool:
    """Whether `address` is a host of the internet; an IPv4 address inside an IPv6 one counts as itself."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _CLOSED_4)
    last_32_bits = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None or address in _NAT64:
        return is_public(last_32_bits)
    if int(address) >> 32 & 0xFDFF_FFFF == _ISATAP and not is_public(last_32_bits):
        return False
    return address in _UNICAST_6 and not any(address in network for network in _CLOSED_6)


def canonical_host(host: str) -> str:
    """The one spelling of a URL's host (ASCII, without brackets) that every library reads alike.

    Names lose their last dot, the many notations of IPv4 (`0x7f.1`, `017700000001`, `2130706433`) become dotted decimals.
    Raises ValueError when `host` is neither a name nor an address.
    """
    if ":" in host and "%" not in host:
        return str(IPv6Address(host))
    name = host.lower().removesuffix(".")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError("not a host name")
    if not _NUMBER.fullmatch(name.rpartition(".")[2]):
        return name
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:  # a name that ends in a number is never looked up
        raise ValueError("not an IPv4 address") from None
