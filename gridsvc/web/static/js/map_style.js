// From the map definition (maps/layers.json) to a MapLibre style: sources are our own tiles, text is drawn from a font of the machine or our own.

import { FONT, fontFaces } from "./local_font.js";

export const NETWORK_LAYERS = ["grids_urban", "grids_social", "grids_security", "grids_unified"];
const RAMP = ["#d94f3d", "#f0a04b", "#f3dc82", "#8cc08a", "#1f8a70"];

/** From this zoom on a click means the community; farther away the street office or district. */
export const COMMUNITY_CLICK_ZOOM = 12.5;

/** Colour of each network, as its grids' borders are drawn. */
export function networkColours(definition) {
  const grids = definition.layers.filter((layer) => layer.network);
  return Object.fromEntries(grids.map((layer) => [layer.network, layer.line.color]));
}

/** Colours of circle compliance from 0 to 1. */
export const complianceColours = RAMP;

const byZoom = (stops, factor = 1) =>
  ["interpolate", ["linear"], ["zoom"], ...stops.flatMap(([zoom, value]) => [zoom, value * factor])];

function matched(classes, pick, otherwise) {
  const cases = classes.values.flatMap((one) => [one.values, pick(one) ?? otherwise]);
  return ["match", ["get", classes.field], ...cases, otherwise];
}

function classWidths(layer) {
  const stops = [...new Set(layer.classes.values.flatMap((c) => (c.width ?? layer.line.width).map(([zoom]) => zoom)))];
  const at = (widths, zoom) => {
    const after = widths.findIndex(([z]) => z >= zoom);
    if (after <= 0) return widths[after === 0 ? 0 : widths.length - 1][1];
    const [[z0, w0], [z1, w1]] = [widths[after - 1], widths[after]];
    return w0 + ((w1 - w0) * (zoom - z0)) / (z1 - z0);
  };
  const ordered = stops.sort((a, b) => a - b);
  const widths = ordered.flatMap((zoom) => [
    zoom,
    matched(layer.classes, (c) => at(c.width ?? layer.line.width, zoom), at(layer.line.width, zoom)),
  ]);
  return ["interpolate", ["linear"], ["zoom"], ...widths];
}

const common = (layer, part) => ({
  id: `${layer.id}-${part}`,
  source: layer.tiles,
  "source-layer": layer.tiles,
  minzoom: layer.min_zoom,
});

function fillLayer(layer) {
  const colour = layer.classes ? matched(layer.classes, (c) => c.color, layer.fill.color) : layer.fill.color;
  // transparent fills stay: they make the inside of a grid answer a click
  const minzoom = layer.id === "communities" ? COMMUNITY_CLICK_ZOOM : layer.min_zoom;
  return { ...common(layer, "fill"), minzoom, type: "fill", paint: { "fill-color": colour, "fill-opacity": layer.fill.opacity } };
}

// at the overview grids are a fine net under the borders of divisions
const thinFar = (layer) => (layer.network ? layer.line.width.map(([zoom, value]) => [zoom, zoom <= 13 ? value * 0.5 : value]) : layer.line.width);

/** From which zoom on borders of a layer are drawn; communities are coloured from farther away, where their borders would be a grey net. */
export const borderZoom = (layer) => layer.line.min_zoom ?? layer.min_zoom;

function lineLayer(layer) {
  const paint = {
    "line-color": layer.classes && layer.geometry === "line" ? matched(layer.classes, (c) => c.color, layer.line.color) : layer.line.color,
    "line-width": layer.classes && layer.geometry === "line" ? classWidths(layer) : byZoom(thinFar(layer)),
    "line-opacity": layer.network ? byZoom([[13, 0.5], [15, 1]], layer.line.opacity ?? 1) : layer.line.opacity ?? 1,
  };
  if (layer.line.dash) paint["line-dasharray"] = layer.line.dash;
  return { ...common(layer, "line"), minzoom: borderZoom(layer), type: "line", paint, layout: { "line-join": "round", "line-cap": layer.line.dash ? "butt" : "round" } };
}

const halo = (definition, width = 1.4) => ({
  "text-color": definition.text.color,
  "text-halo-color": definition.text.halo_color,
  "text-halo-width": width,
});

function labelLayer(layer, definition) {
  return {
    ...common(layer, "label"),
    "source-layer": `${layer.tiles}_labels`,
    type: "symbol",
    minzoom: layer.label.min_zoom,
    maxzoom: layer.label.max_zoom ?? 24,
    layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": layer.label.size, "text-max-width": 7, "text-padding": 2 },
    paint: halo(definition, 2),
  };
}

function streetNames(layer, definition) {
  return {
    ...common(layer, "label"),
    type: "symbol",
    minzoom: 14,
    layout: {
      "symbol-placement": "line", "text-field": ["get", "name"], "text-font": FONT,
      "text-size": byZoom([[14, 11], [18, 14]]), "text-max-angle": 30, "symbol-spacing": 320,
    },
    paint: { ...halo(definition, 1.6), "text-color": "#5d5a53" },
  };
}

/** From this zoom on each report is a point; farther away communities are coloured by reports per 1,000 households. */
export const POINT_ZOOM = 14.5;

/** Minutes walked and the colour of the area reached in them. */
export const walkColours = [[5, "#0b5d57"], [10, "#1fa08f"], [15, "#7ccabb"]];

const walkColour = ["match", ["get", "minutes"], ...walkColours.flat(), walkColours.at(-1)[1]];

function reportPoints(layer, definition) {
  const colours = Object.entries(networkColours(definition)).flat();
  return {
    ...common(layer, "point"),
    type: "circle",
    minzoom: POINT_ZOOM,
    paint: {
      "circle-color": ["match", ["get", "network"], ...colours, layer.circle.color],
      "circle-opacity": 0.9,
      "circle-radius": byZoom([[14, 2.6], [16, 4.2], [18, 6.5]]),
      "circle-stroke-color": layer.circle.stroke,
      "circle-stroke-width": 0.8,
    },
  };
}

/** Colour of a community by the feature state "density", in classes that begin at `breaks` (ascending). */
export function densityColour(definition, breaks) {
  const { colors } = definition.palettes.reports;
  const value = ["feature-state", "density"];
  const steps = breaks.flatMap((from, i) => [from, colors[i + 1]]);
  return ["case", ["==", value, null], "#00000000", steps.length ? ["step", value, colors[0], ...steps] : colors[0]];
}

function densityLayer(layer, definition) {
  return {
    ...common(layer, "fill"),
    type: "fill",
    maxzoom: POINT_ZOOM,
    paint: { "fill-color": densityColour(definition, []), "fill-opacity": byZoom([[13.5, 0.7], [POINT_ZOOM, 0.4]]) },
  };
}

function workerLayers(layer, definition) {
  return [
    pointLayer(layer),
    {
      ...common(layer, "label"),
      type: "symbol",
      minzoom: 15,
      layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 12, "text-offset": [0, 1], "text-anchor": "top" },
      paint: { ...halo(definition), "text-color": layer.circle.color },
    },
  ];
}

function pointLayer(layer) {
  return {
    ...common(layer, "point"),
    type: "circle",
    paint: {
      "circle-color": layer.circle.color,
      "circle-radius": byZoom(layer.circle.radius),
      "circle-stroke-color": layer.circle.stroke,
      "circle-stroke-width": 1,
    },
  };
}

function complianceLayer(layer) {
  const stops = RAMP.flatMap((colour, i) => [i / (RAMP.length - 1), colour]);
  const value = ["feature-state", "compliance"];
  return {
    ...common(layer, "fill"),
    id: "compliance-fill",
    type: "fill",
    paint: {
      "fill-color": ["case", ["==", value, null], "#c9ced3", ["interpolate", ["linear"], value, ...stops]],
      "fill-opacity": 0.62,
    },
  };
}

function drawn(layer, definition) {
  if (layer.id === "reports") return [reportPoints(layer, definition)];
  if (layer.id === "density") return [densityLayer(layer, definition)];
  if (layer.id === "workers") return workerLayers(layer, definition);
  if (layer.geometry === "point") return [pointLayer(layer)];
  const made = [];
  if (layer.fill) made.push(fillLayer(layer));
  if (layer.line) made.push(lineLayer(layer));
  if (layer.label) made.push(labelLayer(layer, definition));
  if (layer.id === "streets") made.push(streetNames(layer, definition));
  return made;
}

/** Return the switchable layers of the page: those with tiles, and circle compliance beside the communities. */
export function pageLayers(definition) {
  const layers = definition.layers.filter((layer) => layer.tiles).sort((a, b) => a.order - b.order);
  const communities = layers.find((layer) => layer.id === "communities");
  const compliance = { ...communities, id: "compliance", group: "divisions", label: null, order: 45, compliance: true };
  return [...layers, compliance].sort((a, b) => a.order - b.order);
}

/** Return {style, parts}: a MapLibre style, and for each page layer the ids of its style layers. */
export function buildStyle(settings, isShown) {
  const definition = settings.map;
  const switched = pageLayers(definition);
  const communities = switched.find((layer) => layer.id === "communities");
  // under water and streets, which keep the place recognisable
  const layers = [...switched, { ...communities, id: "density", order: 5 }].sort((a, b) => a.order - b.order);
  const parts = {};
  const below = [];
  const labels = [];
  const names = [];
  for (const layer of layers) {
    const made = layer.compliance ? [complianceLayer(layer)] : drawn(layer, definition);
    parts[layer.id] = made.map((one) => one.id);
    for (const one of made) {
      one.layout = { ...one.layout, visibility: isShown(layer.id) ? "visible" : "none" };
      // what comes last is placed first: names of divisions go before all other text
      (one.type !== "symbol" ? below : layer.group === "divisions" ? names : labels).push(one);
    }
  }
  const sources = Object.fromEntries(layers.map((layer) => [layer.tiles, tileSource(settings, layer)]));
  const firstSign = below.findIndex((one) => ["circle", "heatmap"].includes(one.type));
  const empty = { type: "geojson", data: { type: "FeatureCollection", features: [] } };
  const highlight = definition.highlight;
  return {
    parts,
    style: {
      version: 8,
      ...fontFaces(settings.fontFaces),
      sources: { ...sources, chosen: empty, circle: empty, spot: empty },
      layers: [
        { id: "background", type: "background", paint: { "background-color": definition.background.color } },
        ...below.slice(0, firstSign),
        { id: "circle-fill", type: "fill", source: "circle", layout: { "fill-sort-key": ["-", 0, ["get", "minutes"]] }, paint: { "fill-color": walkColour, "fill-opacity": 0.5 } },
        { id: "circle-line", type: "line", source: "circle", paint: { "line-color": walkColour, "line-width": 2 } },
        { id: "chosen-fill", type: "fill", source: "chosen", paint: { "fill-color": highlight.fill_color, "fill-opacity": highlight.fill_opacity } },
        { id: "chosen-line", type: "line", source: "chosen", paint: { "line-color": highlight.color, "line-width": highlight.width } },
        ...below.slice(firstSign),
        ...labels,
        ...names,
        { id: "spot", type: "circle", source: "spot", paint: { "circle-radius": 6, "circle-color": "#ffffff", "circle-stroke-color": "#0f766e", "circle-stroke-width": 4 } },
      ],
    },
  };
}

/** Address of a layer's tiles at the instant shown; `since` leaves out reports made before. */
export function tileAddress(settings, name, since = null) {
  const given = Object.entries({ at: settings.at, since }).filter(([, value]) => value);
  const query = new URLSearchParams(given).toString();
  return `${location.origin}${settings.urls.tiles.replace("{layer}", name)}${query ? `?${query}` : ""}`;
}

function tileSource(settings, layer) {
  const reach = settings.extent;
  return {
    type: "vector",
    tiles: [tileAddress(settings, layer.tiles, layer.id === "reports" ? settings.since : null)],
    minzoom: Math.min(Math.floor(layer.min_zoom), 16),
    maxzoom: 16,
    ...(reach ? { bounds: [reach.min_lon - 0.05, reach.min_lat - 0.05, reach.max_lon + 0.05, reach.max_lat + 0.05] } : {}),
  };
}
