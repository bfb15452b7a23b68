"""The command centre in a real browser with the rest of the world cut off: grids are drawn, lists work, nothing complains."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
from factories import served_town, winding_town
from factories import stored_town as town
from PIL import Image
from werkzeug.serving import make_server

from gridsvc.bootstrap import App
from gridsvc.services.tile_shapes import renew_tile_shapes
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web import create_app

pytestmark = [pytest.mark.browser, pytest.mark.postgis]
playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
READY = "!!(window.gridsvcMap && window.gridsvcMap.loaded() && window.gridsvcMap.areTilesLoaded())"


@contextmanager
def serving(database: str):
    """Yield the address of a server thread over a database."""
    engine = make_engine(database)
    settings = served_town.settings(database_url=database)
    app = App(settings, engine)
    app.events.start()
    server = make_server("127.0.0.1", 0, create_app(app, settings), threaded=True)
    server.daemon_threads = False  # closing waits for what is still being answered, and its connection
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    app.events.close()
    server.shutdown()
    thread.join()
    server.server_close()
    engine.dispose()


@pytest.fixture
def town_url(town_database):
    """Address of a server thread over the stored town."""
    engine = make_engine(town_database)
    with UnitOfWork(engine) as uow:
        uow.reports.add_frame(town.report_frame(count=40))
        uow.commit()
    engine.dispose()
    with serving(town_database) as url:
        yield url


class Visit:
    """A page and what went wrong on it: console errors, requests to elsewhere, failed answers."""

    def __init__(self, page, home: str) -> None:
        self.page, self.home, self.complaints = page, home, []
        self.fonts: list[str] = []
        page.route("**/*", self._only_home)
        page.on("request", lambda asked: asked.url.endswith(".woff2") and self.fonts.append(asked.url))
        page.on("console", lambda m: m.type == "error" and self.complaints.append(m.text))
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("response", lambda r: r.status >= 400 and self.complaints.append(f"{r.status} {r.url}"))

    def _only_home(self, route) -> None:
        if route.request.url.startswith((self.home, "data:", "blob:")):
            route.continue_()
        else:
            self.complaints.append(f"asked elsewhere: {route.request.url}")
            route.abort()

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until a script says true (the page's policy allows no eval, so not with wait_for_function)."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}; {self.complaints}"
            self.page.wait_for_timeout(100)

    def drawn(self, layer: str) -> int:
        return self.page.evaluate(f"gridsvcMap.queryRenderedFeatures({{layers: ['{layer}']}}).length")


# every character comes out as nothing, as they all come out as the same box
NO_CHINESE = """(() => { const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (...given) {
  if (this.canvas.width !== 32) draw.apply(this, given); }; })()"""


@contextmanager
def visiting(url: str, *, prepared: str = "", width: int = 1280, ready: str = READY):
    """Yield the command centre, opened and drawn; a script may prepare the page."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": 800}, locale="zh-CN")
        visit = Visit(page, url.partition("/#")[0])
        page.add_init_script(prepared)
        page.goto(url)
        visit.wait(ready)
        yield visit
        browser.close()


@pytest.fixture
def visit(town_url):
    """The command centre, opened and drawn."""
    with visiting(town_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _vendored(request):
    """Say what to do when the front-end files were not copied yet, rather than fail on a blank page."""
    from gridsvc.resources import content_dir

    script = content_dir("migrations").parent / "gridsvc/web/static/vendor/maplibre-gl/maplibre-gl.mjs"
    assert script.is_file(), "the front-end files are missing: run ./run setup"


def test_grids_are_drawn_without_anything_from_elsewhere(visit):
    page = visit.page
    assert visit.drawn("grids_social-line") >= 8
    assert visit.drawn("communities-fill") >= 4
    assert page.title().startswith("网格化服务管理")
    assert page.locator("#children > li").count() == 2  # the two street offices
    assert "民族街道" in page.locator("#children").inner_text()
    assert page.locator(".figure b").first.inner_text() == "8"

    assert visit.complaints == []
    assert visit.fonts == []  # the machine has a Chinese one


@pytest.fixture
def drawn_town_url(town_database):
    """Address of a server thread over the stored town, the shapes of its tiles drawn."""
    engine = make_engine(town_database)
    with UnitOfWork(engine) as uow:
        renew_tile_shapes(uow)
    engine.dispose()
    with serving(town_database) as url:
        yield url


# where the picture ends, as places on the map
PICTURE_ON_MAP = """(() => { const drawn = window.seen.box, corner = (x, y) => { const p = gridsvcMap.unproject([x, y]); return [p.lng, p.lat]; };
return [...corner(drawn.left, drawn.bottom), ...corner(drawn.right, drawn.top)]; })()"""
# remembers where the picture of the districts was on the map's part of the page, before it went
WATCH_PICTURE = """new MutationObserver((_, watcher) => { const drawn = document.querySelector('#overview [data-layer=districts]'), map = document.getElementById('map');
  if (!drawn || !document.querySelector('.tools')) return;
  const box = drawn.getBoundingClientRect(), frame = map.getBoundingClientRect();
  window.seen = {box: {left: box.left - frame.left, right: box.right - frame.left, top: box.top - frame.top, bottom: box.bottom - frame.top},
   mapWas: !!window.gridsvcMap, listed: document.querySelectorAll('#overview text').length}; watcher.disconnect();
}).observe(document, {childList: true, subtree: true});"""


@pytest.mark.parametrize("width", [1280, 390])
def test_a_picture_is_there_before_the_map_and_at_the_same_place(drawn_town_url, width):
    with visiting(drawn_town_url, prepared=WATCH_PICTURE, width=width) as visit:
        visit.wait("!document.getElementById('overview')")
        page = visit.page
        reach = page.evaluate("JSON.parse(document.getElementById('settings').textContent).extent")
        west, south, east, north = page.evaluate(PICTURE_ON_MAP)

        assert page.evaluate("window.seen.mapWas") is False
        assert page.evaluate("window.seen.listed") >= 2
        # two pixels: borders are drawn as wide as that
        pixel = (reach["max_lon"] - reach["min_lon"]) / 300
        found, wanted = (west, south, east, north), [reach[k] for k in ("min_lon", "min_lat", "max_lon", "max_lat")]
        assert np.abs(np.subtract(found, wanted)).max() < 2 * pixel
        assert visit.complaints == []


def test_where_there_is_no_webgl_the_picture_stays_and_the_list_works(drawn_town_url):
    no_webgl = """HTMLCanvasElement.prototype.getContext = ((get) => function (kind, ...rest) {
      return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); })(HTMLCanvasElement.prototype.getContext)"""
    with visiting(
        drawn_town_url, prepared=no_webgl, ready="document.getElementById('notice').textContent !== ''"
    ) as visit:
        assert visit.page.locator("#overview").is_visible()
        assert "WebGL" in visit.page.locator("#notice").inner_text()
        visit.wait("document.querySelectorAll('#children > li').length === 2")


def test_a_link_to_a_place_begins_there_without_the_picture(drawn_town_url):
    with visiting(f"{drawn_town_url}/#16/30.5850/114.2600", prepared=WATCH_PICTURE) as visit:
        assert visit.page.evaluate("!document.getElementById('overview')")
        assert visit.page.evaluate("gridsvcMap.getZoom()") == 16


@pytest.mark.slow
def test_where_the_machine_has_no_chinese_font_names_are_drawn_from_ours(town_url):
    with visiting(town_url, prepared=NO_CHINESE) as visit:
        visit.wait("gridsvcMap.queryRenderedFeatures({layers: ['street_offices-label']}).length === 2")
        assert len(visit.fonts) >= 2
        assert visit.complaints == []


@pytest.mark.slow
def test_street_offices_are_named_over_the_density_and_reports_are_points_when_near(visit):
    page = visit.page
    page.evaluate("gridsvcMap.jumpTo({zoom: 12.8})")
    visit.wait(f"{READY} && gridsvcMap.queryRenderedFeatures({{layers: ['street_offices-label']}}).length === 2")
    visit.wait("gridsvcMap.queryRenderedFeatures({layers: ['density-fill']}).some((f) => f.state.density > 0)")
    assert visit.drawn("reports-point") == 0
    assert page.locator("#density-key").is_visible() and not page.locator("#point-key").is_visible()

    page.evaluate("gridsvcMap.jumpTo({zoom: 15})")
    visit.wait(f"{READY} && gridsvcMap.queryRenderedFeatures({{layers: ['reports-point']}}).length > 0")
    assert visit.drawn("density-fill") == 0
    assert page.locator("#point-key").is_visible() and not page.locator("#density-key").is_visible()
    assert visit.complaints == []


@pytest.mark.slow
def test_a_window_of_time_cuts_the_reports_of_list_and_map(visit):
    page = visit.page
    assert page.locator(".windows [aria-pressed=true]").inner_text() == "全部"  # none in the last 30 days
    assert page.locator(".figure b").last.inner_text() == "40"
    assert (
        page.locator("#window-note").inner_text() == "近 30 天上报很少或没有，现显示全部；最近一件：2026年3月10日 10:00"
    )

    page.click("[data-window=days7]")
    visit.wait("document.querySelector('.figure:last-child b').textContent === '0'")
    assert page.locator("#window-note").inner_text() == "此时段内没有上报；最近一件：2026年3月10日 10:00"
    page.click("[data-window=all]")
    visit.wait("document.querySelector('.figure:last-child b').textContent === '40'")
    assert page.locator("#window-note").inner_text() == ""

    assert visit.complaints == []


def test_a_new_report_appears_without_loading_the_page_again(visit, town_database):
    page = visit.page
    page.evaluate("window.notLoadedAgain = true")
    visit.wait("document.getElementById('live').classList.contains('is-live')")
    engine = make_engine(town_database)
    with UnitOfWork(engine) as uow:
        uow.reports.add(town.report_row(), bytes(32))
        uow.events.add("report.received", town.COMMUNITIES[0], "a report", {})
        uow.commit()
    engine.dispose()
    visit.wait("document.querySelector('.figure:last-child b').textContent === '41'")

    assert page.evaluate("window.notLoadedAgain")
    assert page.locator("#live").inner_text() == "实时"
    assert visit.complaints == []


@pytest.mark.slow
def test_the_past_is_not_followed(visit, town_url):
    visit.page.goto(f"{town_url}/?at=2026-06-01T00:00:00Z")
    visit.wait(READY)

    assert visit.page.locator("#live").is_hidden()


@pytest.mark.slow
def test_the_map_credits_the_files_imported(visit):
    assert "gridsvc" not in visit.page.locator(".maplibregl-ctrl-attrib").inner_text()


@pytest.mark.slow
def test_networks_are_switched(visit):
    assert visit.drawn("grids_security-line") == 0

    visit.page.check("input[name=grids_security]")
    visit.wait(f"{READY} && gridsvcMap.queryRenderedFeatures({{layers: ['grids_security-line']}}).length >= 8")
    visit.page.uncheck("input[name=grids_social]")
    visit.wait("gridsvcMap.queryRenderedFeatures({layers: ['grids_social-line']}).length === 0")

    assert visit.complaints == []


@pytest.mark.slow
def test_drill_down_from_district_to_the_card_of_a_grid(visit):
    page = visit.page
    for _ in range(2):
        page.locator("#children > li button").first.click()
        visit.wait("!gridsvcMap.isMoving()")
        page.wait_for_timeout(300)
    assert page.locator("#trail").inner_text().count("›") == 3
    page.locator("#children > li button").first.click()
    page.locator("#card h2").wait_for()

    card = page.locator("#card").inner_text()
    assert "420103001001001" in card and "网格员0" in card and "138****5678" in card
    assert "13812345678" not in page.content()
    assert visit.complaints == []


@pytest.mark.slow
def test_search_by_code_opens_the_grid_with_the_keyboard(visit):
    page = visit.page
    page.fill("#words", "420103002002002")
    page.locator("#hits [role=option]").first.wait_for()
    page.keyboard.press("Enter")
    page.locator("#card h2").wait_for()

    assert "420103002002002" in page.locator("#card").inner_text()


def test_a_click_tells_who_answers_in_every_network(visit):
    page = visit.page
    page.click("[data-tool=locate]")
    box = page.locator("#map canvas").bounding_box()
    page.mouse.click(box["x"] + (box["width"] - 210) / 2, box["y"] + box["height"] / 2)
    page.locator("#card .row").first.wait_for()

    assert page.locator("#card .row").count() == len(served_town.NETWORKS)
    # the department that answers for every matter of the district, or of the street
    assert "江汉区" in page.locator("#card .row").first.inner_text()


@pytest.mark.slow
def test_a_place_outside_is_answered_in_the_language_of_the_page(visit):
    page = visit.page
    page.evaluate("void gridsvcMap.jumpTo({center: [0, 0], zoom: 5})")
    for tool, words in (("locate", "不在已有的"), ("circle", "靠近道路")):
        page.click(f"[data-tool={tool}]")
        page.mouse.click(700, 450)
        visit.wait(f"document.getElementById('notice').textContent.includes('{words}')")
    assert not page.locator("#walk-key").is_visible()


@pytest.mark.slow
def test_on_a_phone_the_layers_begin_closed(visit):
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    visit.wait(READY)

    assert not page.locator("#layer-list").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.complaints == []


@pytest.mark.slow
def test_the_page_is_english_by_switch(visit):
    visit.page.click("text=English")
    visit.wait(READY)

    assert visit.page.title().startswith("Grid service management")
    assert visit.page.evaluate("document.documentElement.lang") == "en"
    assert "民族街道" in visit.page.locator("#children").inner_text()  # data stay Chinese
    assert visit.complaints == []


@pytest.mark.slow
def test_the_documentation_page_shows_the_api_without_anything_from_elsewhere(visit, town_url):
    page = visit.page
    page.goto(f"{town_url}/docs")
    page.locator(".opblock").first.wait_for()

    assert page.locator(".opblock").count() >= 15
    assert visit.complaints == []


# what is drawn at a zoom of the page (tiles of 512 pixels: one less than the zoom of layers.json)
SEEN = {
    "districts-line": range(8, 17), "street_offices-line": range(8, 17), "communities-line": range(10, 17), "grids_social-line": range(12, 17),
}  # fmt: skip


@pytest.mark.slow
def test_a_district_of_winding_borders_is_drawn_at_every_zoom(clean_database):
    divisions, grids = winding_town.town_frames(8, 3)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(divisions, start)
        winding_town.put_grids(uow, grids, start)
        renew_tile_shapes(uow)
        uow.commit()
    engine.dispose()
    middle = grids.geometry.union_all().centroid
    with serving(clean_database) as url, visiting(url) as visit:
        for zoom in range(8, 18):
            visit.page.evaluate(f"void gridsvcMap.jumpTo({{center: [{middle.x}, {middle.y}], zoom: {zoom}}})")
            visit.wait(f"{READY} && !gridsvcMap.isMoving() && Math.round(gridsvcMap.getZoom()) === {zoom}")
            drawn = {layer: visit.drawn(layer) for layer, zooms in SEEN.items() if zoom in zooms}
            assert all(drawn.values()), (zoom, drawn)
            shown = np.asarray(Image.open(io.BytesIO(visit.page.locator("#map canvas").screenshot())).convert("RGB"))
            # lines, not the empty ground alone: at zoom 17 a screen is hardly wider than a grid
            assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20, zoom

        assert visit.complaints == []
