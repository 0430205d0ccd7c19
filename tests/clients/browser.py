"""A headless Chromium, driven by its DevTools protocol through a pair of pipes: no driver program, no package.

    with Browser() as browser:
        page = browser.open("http://127.0.0.1:8080/")
        page.wait_for("document.title === 'BOP'")

Each message is a JSON object that ends with a zero byte; the browser reads from its descriptor 3 and writes to 4. Every
wait has a deadline.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SECONDS = 30


def find_program():
    """BOP_CHROMIUM, or the first of PROGRAMS that is installed; None when there is none."""
    named = os.environ.get("BOP_CHROMIUM", "")
    if named:
        return named
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class BrowserError(Exception):
    pass


class Browser:
    def __init__(self, program=None):
        self.folder = tempfile.mkdtemp(prefix="bop-browser-")
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        # A sandbox needs rights that root and containers do not have; the pages are ours.
        arguments = [program or find_program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--no-first-run", "--disable-background-networking", "--disable-component-update", "--mute-audio",
                     "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "about:blank"]
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["/bin/sh", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "sh", *arguments],
                                            pass_fds=(commands, answers), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True)
        os.close(commands)
        os.close(answers)
        self._bytes = b""
        self._last = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            try:
                self.call("Browser.close")
                self.process.wait(10)
            except (BrowserError, subprocess.TimeoutExpired, OSError):
                self.process.kill()
                self.process.wait()
        for descriptor in (self._read, self._write):
            os.close(descriptor)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _receive(self, deadline):
        while b"\0" not in self._bytes:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise BrowserError("the browser does not answer")
            got = os.read(self._read, 1 << 20)
            if not got:
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    raise BrowserError("the browser has ended: " + log.read()[-2000:])
            self._bytes += got
        one, self._bytes = self._bytes.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, session=None, **parameters):
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._receive(deadline)
            if "method" in answer:
                self.events.append(answer)
            elif answer.get("id") == self._last:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, url, **looks):
        """A new page at `url`; `looks` as of Page.look."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.look(**looks)
        page.go(url)
        return page


class Page:
    def __init__(self, browser, session):
        self.browser = browser
        self.session = session
        self._height = 900

    def call(self, method, **parameters):
        return self.browser.call(method, session=self.session, **parameters)

    def look(self, width=1280, height=900, dark=False):
        self._height = height
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def go(self, url):
        self.call("Page.navigate", url=url)

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=SECONDS):
        """Until the expression is true; answers its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.ask(f"(() => {{ try {{ return {expression}; }} catch (e) {{ return false; }} }})()")
            if value:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(f"never true: {expression}; the page says: {self.ask('document.body.innerText')}")
            time.sleep(0.05)

    def text(self, selector):
        return self.ask(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, path):
        """The whole page, as long as it is."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                          clip={"x": 0, "y": 0, "width": size["width"], "height": max(size["height"], self._height),
                                "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

    def events(self, method):
        self.ask("0")  # what has happened is told before the answer
        return [one["params"] for one in self.browser.events
                if one["method"] == method and one.get("sessionId") == self.session]

    def forget(self):
        self.browser.events.clear()

    def complaints(self):
        """What a developer would see in red: exceptions, violations of the policy, files that were not loaded."""
        found = [one["exceptionDetails"].get("text", "") for one in self.events("Runtime.exceptionThrown")]
        found += [one["entry"]["text"] for one in self.events("Log.entryAdded") if one["entry"]["level"] == "error"]
        return found + [str(one["args"]) for one in self.events("Runtime.consoleAPICalled") if one["type"] == "error"]

    def requested(self):
        return [one["request"]["url"] for one in self.events("Network.requestWillBeSent")]
