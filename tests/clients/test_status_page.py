#!/usr/bin/env python3
"""The page of a node in a real browser: a headless Chromium (browser.py).

For BOP only. --screenshots DIR keeps pictures of the page. Skipped where Chromium is not installed.
"""

import contextlib
import json
import os
import resource
import sys
import threading
import time

import browser
import own_node
import test_status

SKIPPED = 77


class StatusPage(test_status.Case):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def url(self, key=None):
        return f"http://127.0.0.1:{self.node.http_port}/" + (f"#key={key}" if key else "")

    def keep(self, page, name):
        if own_node.options.screenshots:
            page.screenshot(os.path.join(own_node.options.screenshots, f"{name}.png"))

    @contextlib.contextmanager
    def work(self, clients=4):
        """Clients that write and read, one transaction that holds up others, and texts of all kinds."""
        self.ask("CREATE TABLE accounts (id int PRIMARY KEY, balance bigint); "
                 "INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 1000) g")
        self.ask("CREATE DATABASE shop")
        ends = threading.Event()

        def run(number):
            own = self.node.connect(options={"application_name": f"worker {number}"})
            i = 0
            while not ends.is_set():
                i += 1
                own.simple(f"UPDATE accounts SET balance = balance + {i} WHERE id = {i * 37 % 1000 + 1}")
                for k in range(5):
                    own.simple(f"SELECT sum(balance) FROM accounts WHERE id BETWEEN {k} AND {k + i % 50}")
                if i % 40 == 0:
                    own.simple("SELECT nonsense FROM accounts")
            own.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ends.set()
            for thread in threads:
                thread.join(60)

    def test_it_shows_what_the_node_does(self):
        page = self.browser.open(self.url(self.key()))
        with self.work():
            page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
            page.wait_for("Number(document.querySelector('#statements-rate').innerText.replaceAll(',', '')) > 10")
            page.wait_for("Number(document.querySelector('#commits-rate').innerText.replaceAll(',', '')) > 2")
            page.wait_for("document.querySelectorAll('#statements-line .stroke').length === 1")
            page.wait_for("document.querySelectorAll('#latency-commits rect.recent').length > 0")
            page.wait_for("[...document.querySelectorAll('#sessions td')].some((one) => one.innerText === 'worker 1')")
            page.wait_for("[...document.querySelectorAll('#sessions td')].some((one) => one.innerText.includes('UPDATE'))")
            page.wait_for("[...document.querySelectorAll('#databases td')].some((one) => one.innerText === 'shop')")
            page.wait_for("document.querySelectorAll('#segments .active').length === 1")
            self.assertRegex(page.text("#latency-statements"), r"last minute\s+[\d,]+\s+[\d.]+ (µs|ms|s)")
            first = page.text("#asked")
            page.wait_for(f"document.querySelector('#asked').innerText !== {json.dumps(first)}")
            page.wait_for("document.querySelectorAll('#statements-line .stroke')[0].getAttribute('d').split('L').length > 6")
            self.keep(page, "light")
            page.look(dark=True)
            self.keep(page, "dark")
            self.assertEqual(page.ask("getComputedStyle(document.body).backgroundColor"), "rgb(18, 22, 28)")
            for width in (1000, 700, 360):
                page.look(width=width, height=800)
                self.assertEqual(page.ask("document.documentElement.scrollWidth"), width, "nothing sticks out")
                self.keep(page, f"width-{width}")
        self.assertEqual(page.complaints(), [])
        self.assertEqual(page.ask("location.href"), self.url(), "the key has left the address")
        for url in page.requested():
            self.assertTrue(url.startswith(self.url()), url)

    def test_who_waits_is_seen_at_once(self):
        self.ask("CREATE TABLE t (a int)")
        holder = self.connect(options={"application_name": "holder"})
        self.ask("BEGIN", holder)
        self.ask("INSERT INTO t VALUES (1)", holder)
        page = self.browser.open(self.url(self.key()))
        page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
        self.assertTrue(page.ask("document.querySelector('#blocking-section').hidden"))
        with self.running("INSERT INTO t VALUES (2)"):
            page.wait_for("!document.querySelector('#blocking-section').hidden")
            self.assertIn(f"held by session {self.pid_of(holder)}", page.text("#blocking"))
            page.wait_for("document.querySelector('#health').innerText.includes('needs attention')")
            self.assertIn("1 session waits to write in database bop", page.text("#attention"))
            self.assertEqual(page.ask("document.title"), "(!) BOP")
            self.keep(page, "blocked")
            self.ask("ROLLBACK", holder)
        page.wait_for("document.querySelector('#blocking-section').hidden")
        page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
        self.assertEqual(page.complaints(), [])

    def test_a_node_that_cannot_write_says_why(self):
        self.ask("CREATE TABLE t (a int)")
        page = self.browser.open(self.url())
        page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
        resource.prlimit(self.node.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        with contextlib.closing(self.node.connect()) as connection, contextlib.suppress(test_status.wire.WireError):
            connection.simple("INSERT INTO t VALUES (1)")
        page.wait_for("document.querySelector('#health').innerText.includes('cannot write')")
        reason = self.status()["health"]["reason"]
        self.assertIn(reason, page.text("#attention .bad"))
        self.keep(page, "cannot-write")

    def pid_of(self, connection):
        rows = self.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'holder'")
        self.assertIsNotNone(connection)
        return rows[0][0]

    def test_texts_of_clients_are_only_texts(self):
        connection = self.connect(options={"application_name": test_status.NASTY})
        script = "<script>window.harmed=2</script><b>bold</b>&lt;"
        self.ask(f"SELECT '{test_status.NASTY}{script}'", connection)
        page = self.browser.open(self.url(self.key()))
        page.wait_for(f"[...document.querySelectorAll('#sessions td')].some((one) => one.innerText === {json.dumps(test_status.NASTY)})")
        page.wait_for(f"document.querySelector('#sessions').innerText.includes({json.dumps(script)})")
        self.assertIsNone(page.ask("window.harmed"))
        self.assertEqual(page.ask("document.querySelectorAll('#sessions img, #sessions script, #sessions b').length"), 0)
        self.assertEqual(page.complaints(), [])
        # And if a text became HTML, the browser would not run it, nor load anything from elsewhere.
        for harm in (f"document.querySelector('#sessions').innerHTML = {json.dumps(test_status.NASTY)}",
                     "document.createElement('script').src = 'http://127.0.0.2/x.js'"):
            with self.assertRaises(browser.BrowserError):
                page.ask(harm)
        for harm in ("Object.assign(document.body.appendChild(document.createElement('img')), {src: 'http://127.0.0.2/x.png'})",
                     "fetch('http://127.0.0.2/').catch(() => 0)"):
            page.forget()
            page.ask(f"void ({harm})")
            self.until(lambda: any("Content Security Policy" in one for one in page.complaints()))
        self.assertIsNone(page.ask("window.harmed"))

    def test_the_key_can_be_given_on_the_page(self):
        self.connect(options={"application_name": "somebody"})
        page = self.browser.open(self.url())
        page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
        page.wait_for("!document.querySelector('#key-form').hidden")
        self.assertNotIn("somebody", page.text("body"))
        self.keep(page, "without-key")

        def give(key):
            page.ask(f"document.querySelector('#key').value = {json.dumps(key)}")
            page.ask("document.querySelector('#key-form').requestSubmit()")

        for wrong in ("x" * 24, "ä"):
            give(wrong)
            page.wait_for("document.querySelector('#key-note').innerText === 'That is not the key of this node.'")
            page.ask("document.querySelector('#key-note').textContent = ''")
        give(self.key())
        page.wait_for("document.querySelector('#sessions').innerText.includes('somebody')")
        self.assertTrue(page.ask("document.querySelector('#key-form').hidden"))
        page.call("Page.reload")
        page.wait_for("document.querySelector('#sessions').innerText.includes('somebody')")

    def test_a_node_that_is_gone_and_comes_back(self):
        self.connect(options={"application_name": "before"})
        page = self.browser.open(self.url(self.key()))
        page.wait_for("document.querySelector('#sessions').innerText.includes('before')")
        self.node.kill()
        page.wait_for("/not reachable since \\d\\d:\\d\\d:\\d\\d/.test(document.querySelector('#health').innerText)")
        since = page.text("#health")
        self.assertIn("before", page.text("#sessions"), "what was seen last stays")
        self.keep(page, "gone")
        self.node.start()
        self.connect(options={"application_name": "after"})
        page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
        page.wait_for("document.querySelector('#sessions').innerText.includes('after')")
        self.assertNotEqual(page.text("#health"), since)
        self.assertFalse(page.ask("document.querySelector('#main').classList.contains('stale')"))

    def test_a_tab_that_nobody_sees_asks_nothing(self):
        page = self.browser.open(self.url())
        page.wait_for("document.querySelector('#health').innerText.includes('healthy')")
        page.ask("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")

        def asked():
            return len([url for url in page.requested() if "status.json" in url])

        page.wait_for("!asking")
        before = asked()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            self.assertLessEqual(asked(), before + 1, "one was due when it was hidden")
            time.sleep(0.2)
        page.ask("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
        page.ask("document.dispatchEvent(new Event('visibilitychange'))")
        self.until(lambda: asked() > before + 2)


def add_options(parser):
    parser.add_argument("--screenshots", help="folder for pictures of the page")


def check_machine():
    if browser.find_program() is None:
        print("skipped: Chromium is not installed; scripts/setup installs it where the package archive has it (BOP_CHROMIUM)")
        sys.exit(SKIPPED)


if __name__ == "__main__":
    own_node.main(add_options, check_machine)
