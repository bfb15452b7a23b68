// Reports in a window of time: from when they count, and how many there are per 1,000 households of each community.

import { ask } from "./server.js";

const HOUR_MS = 3600 * 1000;

/** The windows to choose from, by the name of their text, with their hours before the instant shown. */
export const WINDOWS = [["hours24", 24], ["days7", 7 * 24], ["days30", 30 * 24], ["all", null]];

/** Return the instant from which reports count, null for all. */
export function sinceOf(name, shownAt) {
  const hours = new Map(WINDOWS).get(name) ?? null;
  return hours === null ? null : new Date(new Date(shownAt).getTime() - hours * HOUR_MS).toISOString().replace(/\.\d+Z$/, "Z");
}

/** Return what is to be said of a window chosen: that it was widened, or that nothing was reported in it; "" for nothing. */
export function windowNote(settings, name, isFirst) {
  const { newestReport, shownAt, texts, language, timezone } = settings;
  if (!newestReport) return "";
  const since = sinceOf(name, shownAt);
  const isEmpty = since !== null && new Date(newestReport) < new Date(since);
  const text = isEmpty ? texts.noReports : isFirst && name === "all" ? texts.fewReports : "";
  const date = new Date(newestReport).toLocaleString(language === "en" ? "en-GB" : "zh-CN", { timeZone: timezone, dateStyle: "long", timeStyle: "short" });
  return text.replace("{date}", date);
}

const rounded = (value) => Number(value.toPrecision(2));

/** Return up to four ascending class breaks that part the values evenly, each of two figures. */
export function breaksOf(values) {
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  const breaks = [0.2, 0.4, 0.6, 0.8].map((part) => rounded(sorted[Math.floor(part * sorted.length)] ?? 0));
  return [...new Set(breaks)].filter((value) => value > 0);
}

/** Return {rates, breaks}: reports per 1,000 households by community code, and the breaks of their classes. */
export async function readDensity(settings) {
  const { at, since, urls, extent } = settings;
  const division = extent?.code ?? "";
  const { children } = await ask(`${urls.api}/overview`, { division, level: "community", at, since });
  const lived = children.filter((row) => row.households > 0);
  const rates = new Map(lived.map((row) => [row.code, (row.reports / row.households) * 1000]));
  return { rates, breaks: breaksOf([...rates.values()]) };
}
