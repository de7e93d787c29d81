import asyncio


async def square(x):
    await asyncio.sleep(0)
    return x * x


async def gather(n: int) -> list:
    return await asyncio.gather(*(square(x) for x in range(n)))
