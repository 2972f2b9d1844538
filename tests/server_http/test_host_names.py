"""By which names the server is addressed: the case does not matter, and nothing but a port may follow a name."""

import httpx
import pytest

from tests.http_process import in_thread, post
from tests.server_harness import Account


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "LocalHost"}, 200),
        ({"Host": "Calls.Example.COM:443"}, 200),
        ({"Origin": "HTTPS://Calls.Example.com"}, 200),
        ({"Origin": "http://LOCALHOST:6274"}, 200),
        ({"Host": "calls.example.org:8443"}, 200),
        ({"Host": "calls.example.org"}, 421),
        ({"Host": "calls.example.org:8443:1"}, 421),
        ({"Host": "localhost:1@evil.example.com"}, 421),
        ({"Host": "localhost:evil.example.com"}, 421),
        ({"Host": "localhost:1.evil.example.com"}, 421),
        ({"Host": "localhost:"}, 421),
        ({"Host": "localhost:123456"}, 421),
        ({"Host": "localhost/"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": "::1"}, 421),
        ({"Origin": "http://127.0.0.1:1.evil.example.com"}, 403),
        ({"Origin": "http://localhost:80@evil.example.com"}, 403),
        ({"Origin": "http://localhost/"}, 403),
        ({"Origin": "localhost"}, 403),
        ({"Origin": "ftp://localhost"}, 403),
        ({"Origin": "://localhost"}, 403),
    ],
)
def test_a_name_is_matched_whole_and_whatever_its_case(account: Account, headers: dict[str, str], status: int) -> None:
    with in_thread(account, hosts=["calls.example.com", "calls.example.org:8443"]) as server:
        assert post(server.url, "tools/list", headers).status_code == status
        assert httpx.get(f"{server.url}/files/any", headers=headers).status_code == (404 if status == 200 else status)


def test_every_origin_of_a_request_is_checked(account: Account) -> None:
    origins = [("Origin", "http://localhost"), ("Origin", "https://evil.example.com")]
    with in_thread(account) as server:
        assert httpx.get(f"{server.url}/files/any", headers=origins).status_code == 403
