// The card of what was chosen on the map: a grid with who answers for it, a report, a place with the grids of all networks.

import { element } from "./elements.js";
import { networkColours, walkColours } from "./map_style.js";

export class FeatureCard {
  constructor(settings, { open, close }) {
    this.settings = settings;
    this.texts = settings.texts;
    this.open = open;
    this.close = close;
    this.place = document.getElementById("card");
    this.colours = networkColours(settings.map);
    this.number = new Intl.NumberFormat(settings.language === "en" ? "en" : "zh-CN");
    this.place.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
  }

  hide() {
    this.place.hidden = true;
    this.close();
  }

  fill(title, sub, ...content) {
    const button = element("button", { type: "button", class: "close", "aria-label": this.texts.close, onclick: () => this.hide() }, "×");
    this.place.replaceChildren(button, element("h2", {}, title), sub ? element("p", { class: "sub" }, sub) : "", ...content.filter(Boolean));
    this.place.hidden = false;
  }

  say(text) {
    this.fill(text, "");
  }

  facts(pairs) {
    const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return element("dl", {}, known.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }

  when(instant) {
    const language = this.settings.language === "en" ? "en-GB" : "zh-CN";
    return new Date(instant).toLocaleString(language, { timeZone: this.settings.timezone, dateStyle: "medium", timeStyle: "short" });
  }

  network(code) {
    return this.texts[code] ?? code;
  }

  swatch(network) {
    const square = element("i", { class: "swatch" });
    square.style.background = this.colours[network] ?? "#64748b";
    return square;
  }

  workers(workers) {
    if (!workers.length) return element("p", { class: "sub" }, this.texts.nobody);
    return element(
      "div",
      {},
      workers.map((worker) =>
        element(
          "div",
          { class: "row" },
          element("span", { class: "tag" }, this.texts[worker.role] ?? worker.role),
          element("span", {}, worker.name, " ", element("small", {}, [worker.worker_code, worker.phone_masked].filter(Boolean).join(" · "))),
        ),
      ),
    );
  }

  /** A grid as /api/v1/grids/{code} answers it. */
  grid(grid) {
    const inside = [grid.district_name, grid.street_name, grid.community_name].filter(Boolean).join(" › ");
    const responsible = Object.entries(grid.responsible ?? {});
    this.fill(
      `${this.network(grid.network)} · ${grid.code}`,
      [grid.name, inside].filter(Boolean).join(" · "),
      this.facts([
        [this.texts.households, this.number.format(grid.households)],
        [this.texts.population, this.number.format(grid.population)],
        [this.texts.area, `${this.number.format(Math.round(grid.area_m2))} m²`],
        [this.texts.reports, this.number.format(grid.reports)],
        [this.texts.validFrom, this.when(grid.valid_from)],
      ]),
      responsible.length ? element("h3", {}, this.texts.locate) : null,
      responsible.length ? this.responsible(responsible) : null,
      element("h3", {}, this.texts.responsible),
      this.workers(grid.workers),
    );
  }

  responsible(entries) {
    return element(
      "div",
      {},
      entries.filter(([, answer]) => answer?.code).map(([network, answer]) =>
        element(
          "div",
          { class: "row" },
          this.swatch(network),
          element(
            "span",
            {},
            this.network(network), " ",
            element("button", { type: "button", class: "link", onclick: () => this.open(network, answer.code) }, answer.code), " ",
            element("small", {}, `${Math.round(answer.share * 100)} %`),
          ),
        ),
      ),
    );
  }

  /** A position as /api/v1/locate answers it, and who answers there (/api/v1/answers). */
  located(answer, who) {
    const answers = new Map(who.networks.map((one) => [one.network, one]));
    const names = answer.divisions.map((division) => division.name).join(" › ");
    const rows = answer.grids.map((grid) =>
      element(
        "div",
        { class: "row" },
        this.swatch(grid.network),
        element(
          "div",
          {},
          this.network(grid.network), " ",
          element("button", { type: "button", class: "link", onclick: () => this.open(grid.network, grid.code) }, grid.code),
          this.outside(grid.outside_m),
          this.department(answers.get(grid.network)),
          element("small", { class: "line" }, grid.workers.map((worker) => worker.name).join("、") || this.texts.nobody),
        ),
      ),
    );
    this.fill(
      this.texts.locate,
      names,
      who.is_orphan ? element("p", { class: "sub" }, this.texts.orphan) : null,
      element("div", {}, rows.length ? rows : element("p", { class: "sub" }, this.texts.noGrid)),
      element("h3", {}, this.texts.coordinates),
      this.facts([
        ["CGCS2000", `${answer.lon.toFixed(6)}, ${answer.lat.toFixed(6)}`],
        [this.texts.distanceToBorder, answer.distance_to_border_m === null ? null : `${Math.round(answer.distance_to_border_m)} m`],
      ]),
    );
  }

  /** The department that answers in one network, that several do, or that others claim the place, too; a line for each. */
  department(answer) {
    if (!answer) return null;
    const said = [];
    if (answer.is_conflict) said.push(this.texts.severalDepartments);
    else if (answer.department) said.push(answer.department.name ?? answer.department.department_code);
    if (answer.claims.length > 1) said.push(`${this.texts.claimedBy} ${answer.claims.join("、")}`);
    return said.length ? element("span", {}, said.map((line) => element("small", { class: "line department" }, line))) : null;
  }

  /** A report as /api/v1/reports/{id} answers it, with the name of its category. */
  report(report, category) {
    const grids = Object.entries(report.grids).filter(([, code]) => code);
    this.fill(
      `${this.texts.report} · ${category}`,
      `${report.case_code ?? ""} · ${this.when(report.occurred_at)}`,
      report.description ? element("p", {}, report.description) : null,
      element("h3", {}, this.texts.grids),
      element(
        "div",
        {},
        grids.map(([network, code]) =>
          element(
            "div",
            { class: "row" },
            this.swatch(network),
            element("span", {}, this.network(network), " ", element("button", { type: "button", class: "link", onclick: () => this.open(network, code) }, code), this.outside(report.outside_m[network])),
          ),
        ),
      ),
    );
  }

  /** How far outside of the grid named a place is; nothing where the grid holds it. */
  outside(metres) {
    return metres > 0 ? element("small", {}, ` ${this.texts.outsideBy.replace("{metres}", metres < 10 ? metres.toFixed(1) : Math.round(metres))}`) : null;
  }

  /** Areas walked to, by minutes; `clear` takes them off the map. */
  walked(areas, clear) {
    const rows = areas.map(({ minutes, area_m2 }) => {
      const square = element("i", { class: "swatch" });
      square.style.background = new Map(walkColours).get(minutes);
      return element("div", { class: "row" }, square, element("span", {}, `${minutes} ${this.texts.minutes} · ${(area_m2 / 1e4).toFixed(1)} ${this.texts.hectares}`));
    });
    const button = element("button", { type: "button", class: "plain-button", onclick: clear }, this.texts.clear);
    this.fill(this.texts.circle, this.texts.circleFrom, ...rows, button);
  }

  /** What a tile itself says of a facility, a worker, or reports counted together. */
  plain(title, sub, pairs) {
    this.fill(title, sub, this.facts(pairs));
  }
}
