// The command centre's page: the map, the list beside it, and what happens between the two.

import { FeatureCard } from "./feature_card.js";
import { followEvents } from "./live_events.js";
import { ShownLayers, showDensityKey, showLayerSwitch, showWalkKey } from "./layer_switch.js";
import { COMMUNITY_CLICK_ZOOM, NETWORK_LAYERS, buildStyle, densityColour, tileAddress } from "./map_style.js";
import { startSearch } from "./place_search.js";
import { readDensity, sinceOf } from "./report_density.js";
import { ask } from "./server.js";
import { SidePanel } from "./side_panel.js";

const settings = JSON.parse(document.getElementById("settings").textContent);
const { texts, urls } = settings;
settings.since = sinceOf(settings.reportWindow, settings.shownAt);
const isWide = matchMedia("(min-width: 900px)").matches;
// what lies over the map at its edges. Unit: CSS pixels
const ROOM = isWide ? { top: 60, bottom: 50, left: 40, right: 250 } : 24;
const EMPTY = { type: "FeatureCollection", features: [] };
const shown = new ShownLayers();
const notice = document.getElementById("notice");
const picture = document.getElementById("overview");
let map = null;
let parts = {};
// what was asked of the map before it was there: where to be, and what to draw
let wanted = null;
const undrawn = new Map();
let tool = "select";

function tell(text, isError = false) {
  notice.textContent = text;
  notice.hidden = !text;
  notice.classList.toggle("is-error", isError);
}

// one colour of the communities at a time: circle compliance goes before the density of reports
const isVisible = (id) => (id === "density" ? shown.has("reports") && !shown.has("compliance") : shown.has(id));

const tellError = (error) => error.name !== "AbortError" && tell(texts.error.replace("{detail}", error.message), true);

// --- the map -------------------------------------------------------------------------------------

/** The map, once its library is here; lists, search and the picture of the whole do not wait for it. */
async function startMap() {
  // what is in the page is painted first
  if (picture) await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  const maplibre = await import("../vendor/maplibre-gl/maplibre-gl.mjs");
  maplibre.setWorkerUrl(new URL(urls.worker, location.href).href);
  const { style, parts: made } = buildStyle(settings, isVisible);
  parts = made;
  const reach = settings.extent;
  const started = new maplibre.Map({
    container: "map",
    style,
    hash: true,
    bounds: wanted ?? (reach ? bounds(reach) : [[73, 18], [135, 54]]),
    fitBoundsOptions: { padding: ROOM },
    localIdeographFontFamily: false,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    maxZoom: 20,
    fadeDuration: 120,
    locale: {
      "AttributionControl.ToggleAttribution": texts.dataSources, "Map.Title": texts.map,
      "NavigationControl.ZoomIn": texts.zoomIn, "NavigationControl.ZoomOut": texts.zoomOut,
    },
  });
  started.touchZoomRotate.disableRotation();
  started.addControl(new maplibre.ScaleControl({ maxWidth: 130 }), "bottom-left");
  started.addControl(new maplibre.AttributionControl({ customAttribution: settings.attribution, compact: !isWide }), "bottom-right");
  started.addControl(new maplibre.NavigationControl({ showCompass: false }), "bottom-right");
  // on a phone a list of files would hide the map; a licence that asks for credit keeps it open
  if (!isWide && !settings.attribution.join().includes("OpenStreetMap")) {
    started.once("load", () => document.querySelector(".maplibregl-ctrl-attrib")?.classList.remove("maplibregl-compact-show"));
  }
  started.on("error", (event) => event.error && tellTileError(event.error));
  started.on("click", onClick);
  started.on("mousemove", onMove);
  started.on("zoomend", () => zoomed(started.getZoom()));
  started.on("load", () => {
    zoomed(started.getZoom());
    for (const [source, data] of undrawn) draw(source, data);
    undrawn.clear();
  });
  // the picture is of the first camera only
  for (const event of ["idle", "movestart", "resize"]) started.once(event, () => picture?.remove());
  return started;
}

function tellTileError(error) {
  if (error.name === "AbortError") return;
  tell(error.status === 503 || error.message === "Failed to fetch" ? texts.offline : texts.error.replace("{detail}", error.message), true);
}

function bounds(row) {
  return row.min_lon === null ? null : [[row.min_lon, row.min_lat], [row.max_lon, row.max_lat]];
}

function fly(row, maxZoom = 17) {
  const box = bounds(row);
  if (!box) return;
  if (map) return map.fitBounds(box, { padding: ROOM, maxZoom, duration: 600 });
  wanted = box;
  picture?.remove();
}

function draw(source, data) {
  const drawn = map?.getSource(source);
  if (drawn) drawn.setData(data);
  else undrawn.set(source, data);
}

// --- choosing ------------------------------------------------------------------------------------

async function openGrid(network, code, { move = true } = {}) {
  try {
    const grid = await ask(`${urls.api}/grids/${code}`, { network, at: settings.at });
    draw("chosen", grid);
    card.grid(grid.properties);
    panel.choose(code);
    if (move) {
      const points = grid.geometry.coordinates.flat(2);
      const [lons, lats] = [points.map((p) => p[0]), points.map((p) => p[1])];
      fly({ min_lon: Math.min(...lons), min_lat: Math.min(...lats), max_lon: Math.max(...lons), max_lat: Math.max(...lats) });
    }
  } catch (error) {
    tellError(error);
  }
}

async function chooseDivision(row) {
  fly(row);
  card.hide();
  try {
    draw("chosen", await ask(`${urls.api}/divisions/${row.code}`, { at: settings.at }));
  } catch (error) {
    tellError(error);
  }
}

let categories = null;

async function openReport(id) {
  try {
    const report = await ask(`${urls.api}/reports/${id}`);
    categories ??= ask(`${urls.api}/categories`);
    const known = (await categories).categories.find((one) => one.code === report.category_code);
    const name = known ? (settings.language === "en" ? known.name_en || known.name_zh : known.name_zh) : report.category_code;
    draw("chosen", EMPTY);
    card.report(report, name);
  } catch (error) {
    tellError(error);
  }
}

async function locateHere({ lng, lat }) {
  draw("spot", { type: "Feature", geometry: { type: "Point", coordinates: [lng, lat] }, properties: {} });
  try {
    const asked = { lon: lng, lat, datum: "cgcs2000", at: settings.at };
    const [place, who] = await Promise.all([ask(`${urls.api}/locate`, asked), ask(`${urls.api}/answers`, asked)]);
    card.located(place, who);
    tell("");
  } catch (error) {
    if (error.code === "position-outside-coverage") tell(texts.outside, true);
    else tellError(error);
  }
}

async function circleFrom({ lng, lat }) {
  draw("spot", { type: "Feature", geometry: { type: "Point", coordinates: [lng, lat] }, properties: {} });
  tell(texts.loading);
  try {
    const areas = await ask(`${urls.api}/circle/isochrone`, { lon: lng, lat, datum: "cgcs2000", minutes: "5,10,15", at: settings.at });
    draw("circle", areas);
    card.walked(areas.features.map((area) => area.properties), clearCircle);
    showWalkKey(settings, clearCircle);
    tell("");
  } catch (error) {
    clearCircle();
    const isFar = error.code === "position-outside-coverage";
    if (isFar) tell(texts.noStreet, true);
    else tellError(error);
  }
}

function clearCircle() {
  draw("circle", EMPTY);
  draw("spot", EMPTY);
  showWalkKey(settings, null);
  card.hide();
  tell("");
}

function visible(ids) {
  return ids.flatMap((id) => parts[id] ?? []).filter((id) => map.getLayer(id) && map.getLayoutProperty(id, "visibility") !== "none");
}

function near(point, ids, reach = 4) {
  const layers = visible(ids).filter((id) => id.endsWith("-point"));
  const box = [[point.x - reach, point.y - reach], [point.x + reach, point.y + reach]];
  return layers.length ? map.queryRenderedFeatures(box, { layers }) : [];
}

function at(point, ids) {
  const layers = visible(ids).filter((id) => id.endsWith("-fill"));
  return layers.length ? map.queryRenderedFeatures(point, { layers }) : [];
}

function onClick(event) {
  tell("");
  if (tool === "locate") return locateHere(event.lngLat);
  if (tool === "circle") return circleFrom(event.lngLat);
  const [sign] = near(event.point, ["reports", "workers", "facilities"]);
  if (sign) return openSign(sign);
  const [grid] = at(event.point, NETWORK_LAYERS);
  if (grid && map.getZoom() >= 14) return openGrid(grid.layer.source.replace("grids_", ""), grid.properties.code, { move: false });
  const deeper = map.getZoom() < COMMUNITY_CLICK_ZOOM ? ["street_offices", "districts"] : ["communities", "street_offices", "districts"];
  const found = deeper.map((id) => at(event.point, [id])[0]).find(Boolean);
  if (found) return panel.show(found.properties.code);
  return grid ? openGrid(grid.layer.source.replace("grids_", ""), grid.properties.code, { move: false }) : undefined;
}

function openSign(feature) {
  const { properties, source } = feature;
  if (source === "reports") return openReport(properties.report_id);
  if (source === "workers") return openGrid(properties.network, properties.grid_code, { move: false });
  const kind = settings.language === "en" ? properties.kind_en : properties.kind_zh;
  return card.plain(properties.name || kind || texts.facility, kind, [[texts.code, properties.facility_code], [texts.kind, properties.kind_code]]);
}

function onMove(event) {
  const pointing = tool !== "select" || near(event.point, ["reports", "workers", "facilities"]).length > 0;
  document.getElementById("map").classList.toggle("is-pointing", pointing);
}

function choose(name) {
  tool = name;
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === name);
  if (name === "select") {
    draw("spot", EMPTY);
    draw("circle", EMPTY);
    showWalkKey(settings, null);
  }
  tell(name === "locate" ? texts.locateNow : name === "circle" ? texts.circleNow : "");
}

// --- what colours the communities ----------------------------------------------------------------

async function loadCompliance() {
  for (const code of settings.circleRuns) {
    try {
      const run = await ask(`${urls.api}/circle/coverage`, { division: code });
      tellStandard(run);
      for (const [community, { compliance }] of Object.entries(run.coverage.communities)) {
        panel.compliance[community] = compliance;
        map?.setFeatureState({ source: "communities", sourceLayer: "communities", id: Number(community) }, { compliance });
      }
    } catch (error) {
      tellError(error);
    }
  }
}

function tellStandard(run) {
  const named = settings.standards[run.standard];
  const name = named ? (settings.language === "en" ? named.name_en : named.name_zh) : run.standard;
  const day = new Date(run.ran_at).toLocaleDateString(settings.language === "en" ? "en-GB" : "zh-CN", { timeZone: settings.timezone, dateStyle: "medium" });
  document.getElementById("compliance-about").textContent = texts.byStandard.replace("{standard}", name).replace("{date}", day);
}

async function loadDensity() {
  try {
    const { rates, breaks } = await readDensity(settings);
    showDensityKey(settings, breaks);
    if (!map) return;
    map.setPaintProperty("density-fill", "fill-color", densityColour(settings.map, breaks));
    for (const [code, density] of rates) map.setFeatureState({ source: "communities", sourceLayer: "communities", id: Number(code) }, { density });
  } catch (error) {
    tellError(error);
  }
}

function chooseWindow(name) {
  settings.since = sinceOf(name, settings.shownAt);
  map?.getSource("reports")?.setTiles([tileAddress(settings, "reports", settings.since)]);
  loadDensity();
  panel.show(panel.trail.at(-1)?.code ?? "", { fly: false });
}

// --- the instant shown ---------------------------------------------------------------------------

function startInstant() {
  const shownAt = document.getElementById("shown-at");
  const language = settings.language === "en" ? "en-GB" : "zh-CN";
  shownAt.dateTime = settings.shownAt;
  shownAt.textContent = new Date(settings.shownAt).toLocaleString(language, { timeZone: settings.timezone, dateStyle: "long", timeStyle: "short" });
  const box = document.getElementById("at");
  box.value = settings.shownLocal;
  box.addEventListener("change", () => {
    if (!box.value) return;
    const address = new URL(location.href);
    address.searchParams.set("at", `${box.value}:00${settings.utcOffset}`);
    location.assign(address);
  });
  document.getElementById("now").addEventListener("click", () => {
    const address = new URL(location.href);
    address.searchParams.delete("at");
    location.assign(address);
  });
}

// --- what happens meanwhile ----------------------------------------------------------------------

/** Draw anew what events of these kinds changed; the server answers 304 for tiles that did not. */
function drawAnew(kinds) {
  const networks = kinds.has("redraw.in_force") ? NETWORK_LAYERS : [];
  for (const id of ["reports", ...networks]) {
    const layer = settings.map.layers.find((one) => one.id === id);
    if (layer) map?.getSource(id)?.setTiles([tileAddress(settings, layer.tiles, id === "reports" ? settings.since : null)]);
  }
  loadDensity();
  panel.refresh();
}

function tellLive(isLive) {
  const mark = document.getElementById("live");
  mark.hidden = false;
  mark.classList.toggle("is-live", isLive);
  mark.textContent = isLive ? texts.live : texts.notLive;
}

// --- beginning -----------------------------------------------------------------------------------

const card = new FeatureCard(settings, { open: (network, code) => openGrid(network, code), close: () => draw("chosen", EMPTY) });
const panel = new SidePanel(settings, { go: chooseDivision, open: (network, code) => openGrid(network, code) });

startInstant();
startSearch(settings, (hit) => {
  if (hit.kind === "grid") {
    panel.show(hit.code.slice(0, 12), { fly: false }).then(() => openGrid(hit.network, hit.code));
  } else {
    panel.show(hit.code);
  }
});
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
const zoomed = showLayerSwitch(document.getElementById("layer-list"), settings, shown, (id, isShown) => {
  for (const part of parts[id] ?? []) map?.setLayoutProperty(part, "visibility", isShown ? "visible" : "none");
  map?.setLayoutProperty("density-fill", "visibility", isVisible("density") ? "visible" : "none");
}, chooseWindow);
if (!isWide) document.getElementById("layers").open = false;
panel.begin(settings.extent?.code ?? "");
try {
  map = await startMap();
} catch {
  tell(texts.noWebgl, true);
}
// for tests and for people who look inside with the browser's tools
window.gridsvcMap = map;
if (map) await new Promise((resolve) => map.once("load", resolve));
loadCompliance();
loadDensity();
// the past does not change while one looks at it
if (!settings.at) followEvents(urls.api, { onChange: drawAnew, onLive: tellLive });
