// From district to grid: where you are, what is in it, and the list of what lies below.

import { ask } from "./server.js";
import { element } from "./elements.js";

const NETWORK_OF_LIST = "social";
const PAGE = 200;

export class SidePanel {
  /** `go(item)` shows a division on the map, `open(network, code)` a grid. */
  constructor(settings, { go, open }) {
    this.settings = settings;
    this.texts = settings.texts;
    this.go = go;
    this.open = open;
    this.trail = [];
    this.places = Object.fromEntries(["trail", "figures", "children"].map((id) => [id, document.getElementById(id)]));
    this.compliance = {};
    this.number = new Intl.NumberFormat(settings.language === "en" ? "en" : "zh-CN");
  }

  /** Show a division by its code ("" is the top), with the divisions above it as the trail; `known` holds what was asked for just now. */
  async show(code, { fly = true, known = new Map() } = {}) {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.say(this.texts.loading);
    try {
      const path = code ? [...[6, 9, 12].filter((n) => n <= code.length).map((n) => code.slice(0, n))] : [];
      const levels = await Promise.all([...new Set(["", ...path])].map((above) => known.get(above) ?? this.children(above, signal)));
      const rows = levels.flat();
      this.trail = path.map((one) => rows.find((row) => row.code === one)).filter(Boolean);
      const here = this.trail.at(-1);
      this.showTrail();
      if (fly && here) this.go(here);
      const below = levels.at(-1);
      if (here?.level === "community") await this.showGrids(here, signal);
      else this.showDivisions(below);
      this.showFigures(here, here ? [here] : below);
    } catch (error) {
      if (error.name !== "AbortError") this.say(this.texts.error.replace("{detail}", error.message));
    }
  }

  /** Show where one begins: the narrowest division that holds everything. */
  async begin(code) {
    let here = code.length >= 6 ? code : "";
    const known = new Map();
    try {
      for (;;) {
        known.set(here, await this.children(here));
        if (known.get(here).length !== 1) break;
        here = known.get(here)[0].code;
      }
    } catch (error) {
      return this.say(this.texts.error.replace("{detail}", error.message));
    }
    return this.show(here, { fly: false, known });
  }

  /** Count anew what is shown, without moving the map; the list of grids in a community stays, it holds no counts. */
  async refresh() {
    const here = this.trail.at(-1);
    try {
      const above = here && here.level === "community" ? here.code.slice(0, 9) : here?.code ?? "";
      const rows = await this.children(above);
      if (here !== this.trail.at(-1)) return;
      if (here?.level === "community") return this.showFigures(here, rows.filter((row) => row.code === here.code));
      this.showDivisions(rows);
      this.showFigures(here, rows);
    } catch {
      // the next event counts again
    }
  }

  async children(code, signal) {
    const { at, since, urls } = this.settings;
    return (await ask(`${urls.api}/overview`, { division: code, at, since }, signal)).children;
  }

  showTrail() {
    const steps = [{ code: "", name: this.texts.top }, ...this.trail];
    const buttons = steps.flatMap((step, i) => [
      i ? element("span", { "aria-hidden": "true" }, "›") : null,
      element("button", { type: "button", "aria-current": i === steps.length - 1 ? "true" : null, onclick: () => this.show(step.code) }, step.name),
    ]);
    this.places.trail.replaceChildren(...buttons.filter(Boolean));
  }

  showFigures(here, rows) {
    const sum = (pick) => rows.reduce((total, row) => total + pick(row), 0);
    const figures = [
      [sum((row) => row.grids[NETWORK_OF_LIST] ?? 0), this.texts.grids],
      [sum((row) => row.households), this.texts.households],
      [sum((row) => row.workers), this.texts.workers],
      [sum((row) => row.reports), this.texts.reports],
    ];
    const boxes = figures.map(([value, name]) => element("div", { class: "figure" }, element("b", {}, this.number.format(value)), element("span", {}, name)));
    this.places.figures.replaceChildren(...boxes);
  }

  showDivisions(rows) {
    if (!rows.length) return this.say(this.settings.extent ? this.texts.empty : this.texts.emptyTown);
    const most = Math.max(1, ...rows.map((row) => row.reports));
    const items = rows.map((row) => this.item(row, () => this.show(row.code), row.name, row.reports, most, this.below(row)));
    return this.places.children.replaceChildren(...items);
  }

  below(row) {
    const compliance = this.compliance[row.code];
    return [
      `${this.number.format(row.grids[NETWORK_OF_LIST] ?? 0)} ${this.texts.grids}`,
      `${this.number.format(row.households)} ${this.texts.households}`,
      compliance === undefined || compliance === null ? null : `${this.texts.circle} ${Math.round(compliance * 100)} %`,
    ].filter(Boolean).join(" · ");
  }

  async showGrids(community, signal, cursor = "") {
    const { at, urls } = this.settings;
    const asked = { network: NETWORK_OF_LIST, prefix: community.code, geometry: false, limit: PAGE, cursor, at };
    const page = await ask(`${urls.api}/grids`, asked, signal);
    if (!page.grids.length && !cursor) return this.say(this.texts.empty);
    const items = page.grids.map((grid) =>
      this.item(
        grid,
        () => this.open(grid.network, grid.code),
        // inside a community its own name says nothing new
        grid.name.replace(community.name, "") || `${this.texts.gridNumber} ${grid.code.slice(12)}`,
        null,
        1,
        `${grid.code} · ${this.number.format(grid.households)} ${this.texts.households} · ${(grid.area_m2 / 1e4).toFixed(1)} ${this.texts.hectares}`,
      ),
    );
    if (page.next_cursor) {
      const more = () => this.showGrids(community, signal, page.next_cursor);
      items.push(element("li", {}, element("button", { type: "button", class: "more", onclick: more }, this.texts.more)));
    }
    if (cursor) {
      this.places.children.lastElementChild.remove();
      return this.places.children.append(...items);
    }
    return this.places.children.replaceChildren(...items);
  }

  item(row, onclick, name, reports, most, below) {
    const share = element("span", { class: "share" }, element("i", {}));
    // set through the object model: the page's policy allows no style attributes
    share.firstElementChild.style.width = `${((reports ?? 0) / most) * 100}%`;
    return element(
      "li",
      { "data-code": row.code },
      element(
        "button",
        { type: "button", onclick },
        element("b", {}, name),
        reports === null ? null : element("span", { class: "count", "data-unit": this.texts.reports }, this.number.format(reports)),
        element("small", {}, below),
        reports === null ? null : share,
      ),
    );
  }

  /** Mark the list's row of a code as chosen. */
  choose(code) {
    for (const row of this.places.children.querySelectorAll("li[data-code]")) {
      const chosen = row.dataset.code === code;
      row.firstElementChild.classList.toggle("is-chosen", chosen);
      if (chosen) row.scrollIntoView({ block: "nearest" });
    }
  }

  say(text) {
    this.places.children.replaceChildren(element("li", { class: "message" }, text));
  }
}
