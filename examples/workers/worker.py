"""A worker for steps of the type `task`: claims texts from the queue `texts` and counts their words.

ENGINE_URL and ENGINE_KEY say where the engine is. It needs Python 3.9 or newer and nothing else. Replace `work` by what
your tasks are about.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request

ENGINE = os.environ.get("ENGINE_URL", "http://localhost:3020")
KEY = os.environ.get("ENGINE_KEY")
QUEUE = os.environ.get("QUEUE", "texts")
WORKER = f"worker.py {os.getpid()}"
CLAIM_SECONDS = 20

stopping = threading.Event()


def work(task, lost):
    """Returns the output. `lost` is set when the result is not wanted any more."""
    text = task["input"].get("text")
    if not isinstance(text, str):
        raise ValueError('The input has no "text".')
    return {"words": len(text.split()), "by": WORKER}


def call(path, body, timeout=10):
    headers = {"content-type": "application/json"}
    if KEY:
        headers["authorization"] = f"Bearer {KEY}"
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{ENGINE}/api/v1/tasks/{path}", data, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, {}
    except OSError:
        return 503, {}


def tell(path, body):
    """Tells a result until the engine has heard it. 409: another worker has the task, or it is over."""
    for tries in range(10):
        status, _ = call(path, body)
        if status < 500 and status != 429:
            return
        time.sleep(0.5 * 2**tries)


def beat(task, done, lost):
    while not done.wait(task["lease_seconds"] / 3):
        status, _ = call(f"{task['id']}/heartbeat", {"token": task["token"]})
        if status == 409:
            lost.set()
            return


def run(task):
    done, lost = threading.Event(), threading.Event()
    threading.Thread(target=beat, args=(task, done, lost), daemon=True).start()
    token = task["token"]
    try:
        output = work(task, lost)
        tell(f"{task['id']}/complete", {"token": token, "output": output})
    except Exception as error:
        if not lost.is_set():
            failure = {"code": "work_failed", "message": str(error)}
            tell(f"{task['id']}/fail", {"token": token, "error": failure, "retryable": False})
    finally:
        done.set()


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    print(f"{WORKER} claims from {QUEUE} at {ENGINE}", flush=True)
    while not stopping.is_set():
        claim = {"queue": QUEUE, "worker": WORKER, "max": 4, "wait": f"{CLAIM_SECONDS}s"}
        status, answer = call("claim", claim, timeout=CLAIM_SECONDS + 10)
        if status != 200:
            print(f"The claim was answered {status}.", flush=True)
            stopping.wait(1)
            continue
        threads = [threading.Thread(target=run, args=(task,)) for task in answer["tasks"]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
