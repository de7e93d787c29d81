"""What calls start: processes, threads, tasks."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import threading
import time


def square(x: int) -> int:
    return x * x


def processes(method: str) -> dict:
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        squares = pool.map(square, range(5))
    if method == "fork":  # the others take their time
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            squares += pool.map(square, range(5))
    return {"squares": squares}


def inherits() -> dict:
    """What a program finds that the call starts."""
    told = "import os, sys; print(*[l for l in open('/proc/self/status') if l.startswith(('Sig', 'Shd', 'Cap'))], sorted(os.environ), os.listdir('/proc/self/fd'), os.getcwd(), sep='')"
    run = subprocess.run([sys.executable, "-I", "-c", told], capture_output=True, text=True)
    shell = subprocess.run("umask; for limit in n c d s; do ulimit -$limit; done; echo $0 $PWD", shell=True, capture_output=True, text=True)
    return {"python": run.stdout + run.stderr, "shell": shell.stdout + shell.stderr}


def threads() -> int:
    """One that ends after the call has, and one that never does."""
    def late() -> None:
        time.sleep(0.2)
        print("late")

    threading.Thread(target=late).start()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return threading.active_count()


async def asynchronous() -> dict:
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = await loop.run_in_executor(pool, square, 3)
    process = await asyncio.create_subprocess_exec("echo", "one", stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    loop.create_task(asyncio.sleep(1000))
    return {"found": found, "said": said.decode()}
