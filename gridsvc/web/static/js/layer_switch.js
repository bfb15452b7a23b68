// The list of layers: which are shown, what their signs mean, from which zoom they are drawn.

import { drawing, element } from "./elements.js";
import { POINT_ZOOM, borderZoom, complianceColours, networkColours, pageLayers, walkColours } from "./map_style.js";
import { WINDOWS, windowNote } from "./report_density.js";

const KEY = "gridsvc-layers";
const SHOWN_FIRST = new Set(["water", "residences", "streets", "grids_social", "communities", "street_offices", "districts", "reports"]);

/** Which layers are shown: what this browser chose last, else a clear beginning. */
export class ShownLayers {
  constructor() {
    try {
      this.chosen = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    } catch {
      this.chosen = {};
    }
  }

  has(id) {
    return this.chosen[id] ?? SHOWN_FIRST.has(id);
  }

  set(id, shown) {
    this.chosen[id] = shown;
    try {
      localStorage.setItem(KEY, JSON.stringify(this.chosen));
    } catch {
      // private windows keep nothing; the choice holds until the page is left
    }
  }
}

function sign(layer, colours) {
  const parts = [];
  if (layer.compliance) {
    complianceColours.forEach((colour, i) => parts.push(drawing("rect", { x: i * 3.6, y: 1, width: 3.6, height: 12, fill: colour })));
  } else if (layer.id === "reports") {
    Object.values(colours).slice(0, 3).forEach((colour, i) => parts.push(drawing("circle", { cx: 4 + i * 5, cy: 7, r: 3.2, fill: colour, stroke: "#fff" })));
  } else if (layer.geometry === "point") {
    parts.push(drawing("circle", { cx: 9, cy: 7, r: 4.5, fill: layer.circle.color, stroke: layer.circle.stroke }));
  } else if (layer.geometry === "line") {
    parts.push(drawing("line", { x1: 1, y1: 7, x2: 17, y2: 7, stroke: layer.line.color, "stroke-width": 3 }));
  } else {
    const dash = (layer.line.dash ?? []).map((n) => n * 0.6).join(" ");
    parts.push(
      drawing("rect", {
        x: 1.5, y: 1.5, width: 15, height: 11, fill: layer.fill.opacity > 0.03 ? layer.fill.color : "none",
        "fill-opacity": Math.max(layer.fill.opacity, 0.15), stroke: layer.line.color, "stroke-width": 2, "stroke-dasharray": dash,
      }),
    );
  }
  return drawing("svg", { width: 18, height: 14, "aria-hidden": "true" }, ...parts);
}

function complianceScale() {
  const wide = 100 / complianceColours.length;
  const boxes = complianceColours.map((colour, i) => drawing("rect", { x: `${i * wide}%`, y: 0, width: `${wide + 0.5}%`, height: 10, fill: colour }));
  return element("div", { class: "scale" }, drawing("svg", {}, ...boxes), element("div", {}, element("span", {}, "0 %"), element("span", {}, "100 %")), element("p", { class: "about", id: "compliance-about" }));
}

function reportKey(settings, colours) {
  const named = settings.networks.filter((network) => !network.is_merged);
  return element(
    "div",
    { class: "scale", id: "point-key" },
    named.map((network) =>
      element(
        "span",
        {},
        drawing("svg", { width: 11, height: 10 }, drawing("circle", { cx: 5, cy: 5, r: 4, fill: colours[network.network] ?? "#dc2626" })),
        ` ${settings.texts[network.network] ?? network.name_zh}`,
      ),
    ),
  );
}

function windowChoice(settings, choose) {
  const note = element("p", { class: "about", id: "window-note", role: "status" }, windowNote(settings, settings.reportWindow, true));
  const buttons = WINDOWS.map(([name]) =>
    element("button", {
      type: "button", "data-window": name, "aria-pressed": String(name === settings.reportWindow),
      onclick: (event) => {
        for (const one of buttons) one.setAttribute("aria-pressed", String(one === event.currentTarget));
        note.textContent = windowNote(settings, name, false);
        choose(name);
      },
    }, settings.texts[name]),
  );
  return [element("div", { class: "windows", role: "group", "aria-label": settings.texts.window }, buttons), note];
}

/** Say what the colours of the communities mean: classes of reports per 1,000 households that begin at `breaks`. */
export function showDensityKey(settings, breaks) {
  const colours = settings.map.palettes.reports.colors.slice(0, breaks.length + 1);
  const wide = 100 / colours.length;
  const boxes = colours.map((colour, i) => drawing("rect", { x: `${i * wide}%`, y: 0, width: `${wide + 0.5}%`, height: 10, fill: colour }));
  const marks = [0, ...breaks].map((value, i) => element("span", {}, i ? String(value) : "0"));
  const title = element("p", { class: "about" }, settings.texts.density);
  document.getElementById("density-key").replaceChildren(title, drawing("svg", {}, ...boxes), element("div", { class: "classes" }, marks));
}

/** Show what the colours of the walked areas mean, with a button that clears them; null hides it. */
export function showWalkKey(settings, clear) {
  const place = document.getElementById("walk-key");
  place.hidden = !clear;
  if (!clear) return place.replaceChildren();
  const rows = walkColours.map(([minutes, colour]) =>
    element("span", {}, drawing("svg", { width: 14, height: 11 }, drawing("rect", { x: 1, y: 1, width: 12, height: 9, fill: colour, "fill-opacity": 0.6, stroke: colour, "stroke-width": 2 })), ` ${minutes} ${settings.texts.minutes}`),
  );
  const button = element("button", { type: "button", class: "plain-button", onclick: clear }, settings.texts.clear);
  return place.replaceChildren(element("legend", {}, settings.texts.circle), element("div", { class: "scale" }, rows), button);
}

/** Fill `place` with the switches; `change(id, shown)` is called for each, `chooseWindow(name)` for a window of reports; returns a function to call with the zoom. */
export function showLayerSwitch(place, settings, shown, change, chooseWindow) {
  const colours = networkColours(settings.map);
  const english = settings.language === "en";
  const layers = pageLayers(settings.map).sort((a, b) => b.order - a.order);
  const rows = new Map();
  const switchOf = (layer) => {
    const title = layer.compliance ? settings.texts.compliance : english ? layer.title_en : layer.title_zh;
    const box = element("input", {
      type: "checkbox", name: layer.id, checked: shown.has(layer.id),
      onchange: (event) => {
        shown.set(layer.id, event.target.checked);
        change(layer.id, event.target.checked);
      },
    });
    const row = element("label", {}, box, sign(layer, colours), title);
    rows.set(layer, row);
    const key = layer.compliance ? complianceScale() : layer.id === "reports" ? [...windowChoice(settings, chooseWindow), element("div", { class: "scale", id: "density-key" }), reportKey(settings, colours)] : null;
    return [row, key];
  };
  for (const group of settings.map.groups) {
    const inside = layers.filter((layer) => layer.group === group.id);
    if (!inside.length) continue;
    const title = english ? group.title_en : group.title_zh;
    place.append(element("fieldset", {}, element("legend", {}, title), inside.map(switchOf)));
  }
  place.append(element("fieldset", { id: "walk-key", hidden: true }));
  return (zoom) => {
    rows.forEach((row, layer) => row.classList.toggle("is-too-far", zoom < (layer.line && !layer.compliance ? borderZoom(layer) : layer.min_zoom)));
    document.getElementById("density-key").hidden = zoom >= POINT_ZOOM;
    document.getElementById("point-key").hidden = zoom < POINT_ZOOM;
  };
}
