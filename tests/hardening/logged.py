"""A program that logs and fails in every way there is, with a caller's words in each; and what may be seen of it."""

import re

WORDS = "canary-words +919812345678 canary-key-1f3a"
SEEN = re.compile(r"canary|9812345678")

FAILING = """
import asyncio, logging, sys, threading, warnings, gc
from formant_mcp.startup import new_stdio_server

WORDS = "canary-words +919812345678 canary-key-1f3a"
new_stdio_server(is_demo=True)

class Group:
    def __del__(self):
        raise ValueError(WORDS)
    def __repr__(self):
        return WORDS

def fail():
    try:
        raise KeyError(WORDS)
    except KeyError as error:
        raise ExceptionGroup(WORDS, [ValueError(WORDS), error])

for name in ("httpx", "httpcore.http11", "mcp.server", "uvicorn.error", "a.new.package", "formant_mcpx", "root"):
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    for level in (10, 20, 30, 40, 50):
        logger.log(level, "GET https://api.example.com/?contact=%s", WORDS, stack_info=True)
        logger.log(level, f"said {WORDS}", extra={"fields": {"said": WORDS}})
        logger.log(level, "%d", WORDS)
        try:
            fail()
        except ExceptionGroup:
            logger.log(level, WORDS, exc_info=True)
own = logging.getLogger("formant_mcp.anything")
own.warning("%d calls", WORDS)
try:
    fail()
except ExceptionGroup:
    own.exception("failed")
warnings.warn(WORDS)
warnings.warn(f"deprecated {WORDS}", ResourceWarning)
thread = threading.Thread(target=fail, name=WORDS)
thread.start()
thread.join()
Group()

async def say(words):
    import time
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().slow_callback_duration = 0.0
    time.sleep(0.02)
    await asyncio.sleep(0)
    forgotten = asyncio.create_task(failing(words), name=words)
    await asyncio.sleep(0.01)
    del forgotten
    gc.collect()
    asyncio.get_running_loop().call_soon(lambda: fail())
    asyncio.get_running_loop().call_exception_handler({"message": words, "future": Group()})
    never_awaited = failing(words)
    await asyncio.sleep(0.01)

async def failing(words):
    fail()

asyncio.run(say(WORDS))
sys.stdout.flush()
fail()
"""
