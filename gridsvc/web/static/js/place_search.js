// The search box: codes and names, with the keyboard or the pointer.

import { ask } from "./server.js";
import { element } from "./elements.js";

const WAIT_MS = 180;

export function startSearch(settings, choose) {
  const form = document.getElementById("search");
  const box = document.getElementById("words");
  const list = document.getElementById("hits");
  let hits = [];
  let marked = -1;
  let timer = 0;
  let asking = null;

  const hide = () => {
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const take = (hit) => {
    hide();
    box.value = hit.name || hit.code;
    choose(hit);
  };
  const mark = (index) => {
    marked = hits.length ? (index + hits.length) % hits.length : -1;
    [...list.children].forEach((row, i) => row.setAttribute("aria-selected", i === marked));
    if (marked >= 0) box.setAttribute("aria-activedescendant", `hit-${marked}`);
  };
  const kind = (hit) => settings.texts[hit.kind === "grid" ? hit.network : hit.level] ?? hit.kind;
  const show = (found, message) => {
    hits = found;
    const rows = found.map((hit, i) =>
      element(
        "li",
        { id: `hit-${i}`, role: "option", "aria-selected": "false", onmousedown: (event) => { event.preventDefault(); take(hit); } },
        element("b", {}, hit.name || hit.code),
        hit.name ? element("small", { class: "muted" }, hit.code) : null,
        element("span", { class: "tag" }, kind(hit)),
      ),
    );
    list.replaceChildren(...(rows.length ? rows : [element("li", { class: "none" }, message)]));
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    mark(0);
  };
  const look = async () => {
    asking?.abort();
    asking = new AbortController();
    const words = box.value.trim();
    if (!words) return hide();
    try {
      const answer = await ask(`${settings.urls.api}/search`, { q: words, limit: 15, at: settings.at }, asking.signal);
      return show(answer.hits, settings.texts.noHits);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      return show([], settings.texts.error.replace("{detail}", error.message));
    }
  };

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT_MS);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") mark(marked + 1);
    else if (event.key === "ArrowUp") mark(marked - 1);
    else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
  });
  box.addEventListener("blur", hide);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (list.hidden || !hits.length) await look();
    if (hits[marked]) take(hits[marked]);
  });
}
