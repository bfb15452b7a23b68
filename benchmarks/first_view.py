"""The first view of the command centre in Chromium: what the server takes, what the network carries, what the browser does with it.

    python benchmarks/first_view.py [--keep DIR] [--runs 5]

Serves a folder with a database (default: the demo's, ``var``; ``benchmarks/tiles.py --keep DIR`` makes a whole city) and opens ``/`` in a browser of 1280 x 800
with nothing cached, `--runs` times, then once more with what the browser kept. Medians: milliseconds from the beginning of the navigation, bytes over the
network, CPU-seconds of the server and the database. *shown* is the first view: the frame with the picture of the whole area has been drawn (borders and names of what the map begins with); *listed* is when the list beside it has what lies below; *drawn* is when the map has
all its tiles and has drawn them. Without a graphics card MapLibre draws by SwiftShader on the processor, beside the server: what
that takes is measured on a page that has the same library and an empty style, *empty map*.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, sync_playwright

from benchmarks._measuring import goal, machine_noise, table
from benchmarks._serving import served

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run",
    "--disable-background-networking",
]  # fmt: skip
WANTED_MS, WANTED_MB = 1000.0, 2.0
_MARKS = """() => { const n = performance.getEntriesByType('navigation')[0], p = performance.getEntriesByName('first-contentful-paint')[0];
 const r = performance.getEntriesByType('resource').filter(e => e.name.includes('/api/'));
 return {answered: n.responseStart, received: n.responseEnd, dom: n.domContentLoadedEventEnd, painted: p ? p.startTime : NaN,
  last_answer: Math.max(...r.filter(e => !e.name.includes('/stream')).map(e => e.responseEnd)), requests: performance.getEntriesByType('resource').length + 1}; }"""
# written down by the page itself: asking again and again from outside would take the time that is measured
_WATCH = """(() => { const times = window.seenAt = {shown: 0, listed: 0, drawn: 0}, map = () => window.gridsvcMap;
 const frame = () => { if (!times.shown && document.querySelector('#overview path') && document.querySelector('.tools')) {
   times.shown = -1; setTimeout(() => { times.shown = performance.now(); }); }
  if (!times.shown) requestAnimationFrame(frame); };
 requestAnimationFrame(frame);
 const timer = setInterval(() => { if (!times.listed && document.querySelector('#children > li[data-code]')) times.listed = performance.now();
  if (map() && map().loaded() && map().areTilesLoaded()) { times.drawn = performance.now(); clearInterval(timer); } }, 20); })()"""
_EMPTY = """async ([script, worker]) => { const began = performance.now(); const maplibre = await import(script); const loaded = performance.now();
 maplibre.setWorkerUrl(worker); const holder = document.createElement('div'); holder.style.cssText = 'position:fixed;inset:0;background:#fff'; document.body.append(holder);
 const map = new maplibre.Map({container: holder, style: {version: 8, sources: {}, layers: [{id: 'b', type: 'background', paint: {'background-color': '#eee'}}]}});
 await new Promise(done => map.once('idle', done)); return [loaded - began, performance.now() - loaded]; }"""


def cpu_s(process: int) -> float:
    """Return the CPU-seconds of a process and all below it, the database included."""
    ticks, found = 0, [process]
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    while found:
        one = found.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
        found += parents.get(one, [])
    return ticks / os.sysconf("SC_CLK_TCK")


def view(browser: Browser, url: str, process: int, *, again: bool = False) -> dict[str, float]:
    """Return the figures of one visit; with ``again`` those of the second by the same browser."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="zh-CN")
    try:
        page = context.new_page()
        page.add_init_script(_WATCH)
        for _ in range(2 if again else 1):
            session = context.new_cdp_session(page)
            session.send("Network.enable")
            carried = [0.0]
            session.on(
                "Network.loadingFinished", lambda event, carried=carried: carried.append(event["encodedDataLength"])
            )
            # tiles are asked for by the map's worker, of which the page's own record knows nothing
            tiles: list[float] = []
            began = time.perf_counter()
            page.on(
                "requestfinished",
                lambda request, tiles=tiles, began=began: (
                    "/tiles/" in request.url and tiles.append(time.perf_counter() - began)
                ),
            )
            before = cpu_s(process)
            page.goto(url, wait_until="commit")
            end = time.monotonic() + 60
            while not page.evaluate("window.seenAt.drawn") and time.monotonic() < end:
                page.wait_for_timeout(100)
            figures = page.evaluate(_MARKS) | page.evaluate("window.seenAt")
            figures |= {
                "first_tile": min(tiles, default=0.0) * 1000,
                "last_tile": max(tiles, default=0.0) * 1000,
            }
            page.wait_for_timeout(300)
            figures |= {"mb": sum(carried) / 1e6, "server_cpu_ms": (cpu_s(process) - before) * 1000}
            session.detach()
        return figures
    finally:
        context.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keep", type=Path, default=Path("var"))
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    print(machine_noise(), flush=True)
    with served(given.keep.resolve()) as ((host, port), process), sync_playwright() as playwright:
        url = f"http://{host}:{port}/"
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        view(browser, url, process)  # both processes of the server and Chromium's own have begun
        first = [view(browser, url, process) for _ in range(given.runs)]
        second = [view(browser, url, process, again=True) for _ in range(given.runs)]
        page = browser.new_page()
        page.goto(f"{url}healthz")
        base = "/static/vendor/maplibre-gl/maplibre-gl"
        empty = [page.evaluate(_EMPTY, [f"{base}.mjs?{n}", f"{url[:-1]}{base}-worker.mjs"]) for n in range(given.runs)]
        browser.close()
    names = list(first[0])
    medians = {name: statistics.median(one[name] for one in first) for name in names}
    kept = {name: statistics.median(one[name] for one in second) for name in names}
    rows = [["first", *(f"{medians[name]:,.2f}" if name == "mb" else f"{medians[name]:,.0f}" for name in names)]]
    rows.append(["again", *(f"{kept[name]:,.2f}" if name == "mb" else f"{kept[name]:,.0f}" for name in names)])
    print(table(["visit", *names], rows))
    script, drawing = (statistics.median(one[k] for one in empty) for k in (0, 1))
    print(f"empty map: library loaded in {script:.0f} ms, drawn in {drawing:.0f} ms more")
    print("shown, each visit: " + ", ".join(f"{one['shown']:.0f}" for one in first))
    print(goal("goal / shown", WANTED_MS / (medians["shown"] or math.inf), 1.0, "{:.2f}"))
    print(goal("goal / drawn by the map", WANTED_MS / medians["drawn"], 1.0, "{:.2f}"))
    print(goal("goal / MB", WANTED_MB / medians["mb"], 1.0, "{:.2f}"))


if __name__ == "__main__":
    main()
