"""Looks at reports in headless Chromium, as `scripts/page-test` says. It speaks the DevTools protocol over two pipes, so that it hears of
every exception, console error and request, clicks as a person does, and needs nothing but Python's own library. To see that it would
notice, it also breaks a report in several ways, and fails if no fault is found then."""

import base64
import fcntl
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time

WAIT_S_MAX = 60
# The sample's: five sizes, three ways of gossip, two losses.
CELLS = 30


class Chromium:
    """A browser at the other end of two pipes: it reads commands from its descriptor 3 and writes answers and events to 4."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # Numbers from 10 on, so that neither is overwritten when the shell below gives them those that Chromium expects.
        pipes = os.pipe() + os.pipe()
        commands, self.commands, self.answers, answers = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipes]
        for end in pipes:
            os.close(end)
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += ["--disable-background-networking", "--hide-scrollbars", f"--user-data-dir={self.profile.name}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium's sandbox refuses root.
        shell = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "chromium", program, *flags]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(shell, pass_fds=(commands, answers), stdin=quiet, stdout=quiet, stderr=quiet)
        os.close(commands)
        os.close(answers)
        self.rest = b""
        self.events = []
        self.count = 0
        self.session = None

    def receive(self):
        """The next message."""
        end = time.monotonic() + WAIT_S_MAX
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.answers, 1 << 20) if ready else b""
            if not piece:
                raise RuntimeError("Chromium said nothing more" if ready else f"Chromium said nothing for {WAIT_S_MAX} s")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """The answer to a command. Events that come before it are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self.commands, rest):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def open(self, path, scheme, has_script=True):
        """A file in a new tab, looked at by someone who likes a colour scheme."""
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.session = session
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Emulation.setDeviceMetricsOverride", width=1280, height=1000, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setScriptExecutionDisabled", value=not has_script)
        self.events.clear()
        self.call("Page.navigate", url=pathlib.Path(path).absolute().as_uri())
        self.wait_for("Page.loadEventFired")

    def value(self, script):
        """What a script comes to, once what it changed was drawn."""
        drawn = f"(async () => {{ const result = (() => {{ {script} }})(); for (const _ of [0, 1]) await new Promise(requestAnimationFrame); return result; }})()"
        answer = self.call("Runtime.evaluate", expression=drawn, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "a script failed"))
        return answer["result"].get("value")

    def mouse(self, selector, x=0.5, y=0.5, is_click=True):
        """Goes to a place within an element, given as shares of its size, and clicks there."""
        box = self.value(
            f"const element = document.querySelector({json.dumps(selector)}); if (!element) return null;"
            "element.scrollIntoView({ block: 'center' }); const box = element.getBoundingClientRect();"
            "return [box.x, box.y, box.width, box.height];"
        )
        if not box:
            raise RuntimeError(f"there is no {selector}")
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
        if is_click:
            for kind in ["mousePressed", "mouseReleased"]:
                self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def picture(self, path):
        self.value("window.scrollTo(0, 0)")
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self, path):
        """What went wrong unseen: exceptions, errors and warnings, and whatever was asked for beside the page itself."""
        address = pathlib.Path(path).absolute().as_uri()
        for event in self.events:
            match event.get("method"), event.get("params"):
                case "Runtime.exceptionThrown", said:
                    details = said["exceptionDetails"]
                    yield f"exception: {details.get('exception', {}).get('description', details['text'])}"
                case "Runtime.consoleAPICalled", said if said["type"] in ["error", "warning", "assert"]:
                    yield f"console: {said['args']}"
                case "Log.entryAdded", said if said["entry"]["level"] in ["error", "warning"]:
                    yield f"log: {said['entry']['text']}"
                case "Network.requestWillBeSent", said if said["request"]["url"] != address:
                    yield f"request: {said['request']['url']}"
                case "Page.javascriptDialogOpening", _:
                    yield "a dialogue opened"

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
        except (RuntimeError, OSError):
            self.process.kill()
        self.process.wait(timeout=WAIT_S_MAX)
        self.profile.cleanup()


def look(browser):
    """The faults of the report that is open."""
    rows = "[...document.querySelectorAll('#means tbody tr')].filter((row) => !row.hidden)"
    ink = "document.querySelector('#plot canvas').toDataURL()"
    size = "const canvas = document.querySelector('#plot canvas'); return canvas ? [canvas.width, canvas.height] : [0, 0];"
    column = f"return {rows}.map((row) => Number(row.cells[0].dataset.value));"

    for table in ["runs", "means", "metrics", "growths", "failures"]:
        if not browser.value(f"return document.querySelector('#{table} tbody tr') !== null;"):
            yield f"the table {table} has no rows"
    if browser.value(f"return {rows}.length;") != CELLS:
        yield f"the table of means has not {CELLS} rows"
    if browser.value("return document.querySelector('img') !== null;"):
        yield "a name became an element"
    if min(browser.value(size)) < 100:
        yield "there is no canvas of a plot, or it has no size"
        return

    # Peers are written as texts, and have to sort as numbers: 1000 after 500. Rows that are alike keep their order.
    before = browser.value(f"return {rows}.map((row) => row.dataset.place);")
    browser.mouse("#means thead th button")
    if browser.value(column) != sorted(browser.value(column)) or browser.value(f"return {rows}.map((row) => row.dataset.place);") != before:
        yield "a click on a heading does not sort upwards and stably"
    browser.mouse("#means thead th button")
    if browser.value(column) != sorted(browser.value(column), reverse=True) or browser.value(column)[0] != 1000:
        yield "a second click does not sort downwards"
    if browser.value("return document.querySelector('#means thead th').getAttribute('aria-sort');") != "descending":
        yield "the heading does not say how it is sorted"
    arrow = "return getComputedStyle(document.querySelector('#means thead th button'), '::after').content;"
    if browser.value(arrow) != '"↓"':
        yield f"the heading has no arrow downwards, but {browser.value(arrow)}"
    means = f"return {rows}.map((row) => row.querySelector('[data-metric=\"2\"][data-run=\"1\"]')).map((cell) => cell.dataset.value ?? null);"
    browser.mouse("#means thead tr:nth-child(2) th[data-metric='2'][data-run='1'] button")
    sorted_means = [None if value is None else float(value) for value in browser.value(means)]
    known = [value for value in sorted_means if value is not None]
    if len(known) != 18 or sorted_means != sorted(known) + [None] * (CELLS - 18):
        yield "a column of one run does not sort by its means, or what is missing is not last"

    def choose(form, number, value):
        return browser.value(
            f"const select = document.querySelectorAll('{form} select')[{number}]; select.value = '{value}';"
            "select.dispatchEvent(new Event('change', { bubbles: true }));"
        )

    first = browser.value(f"return {ink};")
    lines = "return document.querySelectorAll('#plot .u-legend tbody tr').length;"
    if browser.value(lines) != 12:
        yield f"there are {browser.value(lines)} lines, and not one for each of two runs, three gossips and two losses"
    choose("#filters", 2, 0)
    if browser.value(f"return {rows}.length;") != CELLS / 3 or browser.value(lines) != 4:
        yield "a filter of an axis does not filter the table and the plot"
    choose("#filters", 2, "")
    choose("#filters", 0, 1)
    shown = "return [...document.querySelectorAll('#means thead tr:first-child [data-metric]')].filter((cell) => cell.offsetWidth > 0).length;"
    if browser.value(shown) != 1:
        yield "the filter of metrics does not leave one"
    choose("#filters", 0, "")
    choose("#filters", 4, 0)
    widths = f"return [...document.querySelectorAll('#means thead tr:first-child [data-metric]')].map((cell) => cell.colSpan);"
    if browser.value(lines) != 6 or browser.value(widths) != [1, 1, 1, 1]:
        yield "the filter of runs does not leave one"
    choose("#filters", 4, "")
    if browser.value(f"return {ink};") != first:
        yield "what was filtered and shown again is not drawn as before"

    for number, name in enumerate(["along", "upwards"]):
        before = browser.value(f"return {ink};")
        browser.mouse(f"#plot .switch:nth-of-type({number + 3}) input")
        if browser.value(f"return {ink};") == before:
            yield f"the switch to a logarithmic axis {name} does not draw anew"
    choose("#plot", 0, 1)
    if browser.value(f"return {ink};") == first:
        yield "another metric is not drawn"
    for number in [1, 3]:
        before = browser.value(f"return {ink};")
        choose("#plot", 1, {1: 1, 3: -1}[number])
        if browser.value(f"return {ink};") == before or min(browser.value(size)) < 100:
            yield "another axis is not drawn along"
    choose("#plot", 1, 0)
    browser.mouse("#plot .u-over", 0.5, 0.5, is_click=False)
    read = browser.value("return document.querySelector('#plot .readout').innerText;")
    if not re.search(r"copies_per_message.* at peers.* = \d+", read) or not re.search(r"\t\d+(\.\d+)?\t", read):
        yield f"pointing at the plot reads nothing: {read[:200]}"


def look_without_script(browser):
    """The faults of the report that is open, where script is switched off."""
    seen = "[document.querySelectorAll('#means tbody tr').length, document.querySelector('noscript').innerText, document.querySelector('#plot').offsetHeight]"
    # What the page's own scripts may not do, this may.
    rows, note, height = browser.call("Runtime.evaluate", expression=seen, returnByValue=True)["result"]["value"]
    if rows != CELLS or not note.startswith("Script is switched off.") or height != 0:
        yield "without script the tables are not whole, or nothing says what is missing"


def faults(browser, path, scheme="light"):
    """All that is wrong with a report."""
    browser.open(path, scheme)
    found = []
    try:
        found.extend(look(browser))
    except RuntimeError as error:
        found.append(str(error))
    return found + list(browser.complaints(path))


def broken(text):
    """A report, broken in ways that have to be noticed."""
    plot = re.search(r"<script>\n/\*.*?</script>", text, re.DOTALL).group()
    yield "an error of syntax in its script", text.replace('"use strict";\n(() => {', '"use strict";\n(() => {{', 1)
    yield "no uPlot", text.replace(plot, "")
    yield "an error in the console", text.replace('"use strict";\n(() => {', '"use strict";\nconsole.error("broken");\n(() => {', 1)
    yield "a picture from a network", text.replace("<main>", '<main><img src="https://example.invalid/x.png">', 1)
    yield "sorting as texts", text.replace('return "value" in cell.dataset && !Number.isNaN(number) ? number :', "return", 1)


def main(program, plain, hostile, pictures):
    browser = Chromium(program)
    wrong = 0
    try:
        for path, scheme in [(plain, "light"), (plain, "dark"), (hostile, "light")]:
            found = faults(browser, path, scheme)
            print(f"{pathlib.Path(path).stem}, {scheme}: {'; '.join(found) or 'no faults'}")
            wrong += len(found)
        browser.open(plain, "light", has_script=False)
        found = [*look_without_script(browser), *browser.complaints(plain)]
        print(f"plain, without script: {'; '.join(found) or 'no faults'}")
        wrong += len(found)
        for scheme in ["light", "dark"]:
            browser.open(plain, scheme)
            browser.value("for (const box of document.querySelectorAll('#plot .switch:nth-of-type(3) input')) box.click();")
            browser.picture(pathlib.Path(pictures) / f"report-{scheme}.png")
        text = pathlib.Path(plain).read_text(encoding="utf-8")
        for name, page in broken(text):
            path = pathlib.Path(plain).with_name("broken.html")
            path.write_text(page, encoding="utf-8")
            found = faults(browser, path) if page != text else []
            print(f"with {name}: {f'noticed, {len(found)} faults, first: {found[0].splitlines()[0]}' if found else 'NOT NOTICED'}")
            wrong += not found
    finally:
        browser.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
