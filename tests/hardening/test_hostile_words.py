"""What callers and the provider's agents say is read only within the boundary, or as a text of JSON."""

import logging
from pathlib import Path

import pytest

from tests.hardening.hostile import own_injections
from tests.hardening.hostile_session import fill, session_at
from tests.provider_apis import PROVIDERS, ProviderFixture

pytestmark = [pytest.mark.anyio, pytest.mark.hardening]


@pytest.mark.parametrize("with_ids", [0, 1])
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
async def test_no_injection_leaves_the_boundary(
    provider: ProviderFixture, with_ids: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = provider.api()
    fill(api, provider, own_injections(), with_ids=with_ids)
    async with session_at(provider, api, tmp_path) as session:
        await session.whole()
    heard = session.heard
    heard.plain += [record.getMessage() for record in caplog.records if record.name.startswith("formant")]
    heard.plain += [str(path) for path in tmp_path.rglob("*")]
    leaks = list(dict.fromkeys(heard.leaks()))
    assert not leaks, f"{len(leaks)} leaks:\n" + "\n".join(leak[:300] for leak in leaks[:60])
    assert len(heard.canaries) > 70
