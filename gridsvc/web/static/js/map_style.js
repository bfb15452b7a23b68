// From the map definition (maps/layers.json) to a MapLibre style: sources are our own tiles, text is drawn from our own font.

export const NETWORK_LAYERS = ["grids_urban", "grids_social", "grids_security", "grids_unified"];
const FONT = ["Noto Sans SC"];
const RAMP = ["#d94f3d", "#f0a04b", "#f3dc82", "#8cc08a", "#1f8a70"];

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
  return { ...common(layer, "fill"), type: "fill", paint: { "fill-color": colour, "fill-opacity": layer.fill.opacity } };
}

function lineLayer(layer) {
  const paint = {
    "line-color": layer.classes && layer.geometry === "line" ? matched(layer.classes, (c) => c.color, layer.line.color) : layer.line.color,
    "line-width": layer.classes && layer.geometry === "line" ? classWidths(layer) : byZoom(layer.line.width),
    "line-opacity": layer.line.opacity ?? 1,
  };
  if (layer.line.dash) paint["line-dasharray"] = layer.line.dash;
  return { ...common(layer, "line"), type: "line", paint, layout: { "line-join": "round", "line-cap": layer.line.dash ? "butt" : "round" } };
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
    layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": layer.label.size, "text-max-width": 7, "text-padding": 6 },
    paint: halo(definition),
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

// Far away a heat of all reports, near one circle for each, coloured by network; between the two, counts.
function reportLayers(layer, definition) {
  const colours = Object.entries(networkColours(definition)).flat();
  const colour = ["match", ["get", "network"], ...colours, layer.circle.color];
  const size = ["sqrt", ["get", "reports"]];
  return [
    {
      ...common(layer, "heat"),
      type: "heatmap",
      maxzoom: 13,
      paint: {
        "heatmap-weight": ["interpolate", ["linear"], ["get", "reports"], 0, 0, 12, 1],
        "heatmap-radius": byZoom([[6, 4], [10, 12], [13, 30]]),
        "heatmap-intensity": byZoom([[8, 1.2], [13, 0.4]]),
        "heatmap-opacity": byZoom([[12, 0.75], [13, 0.6]]),
        "heatmap-color": [
          "interpolate", ["linear"], ["heatmap-density"],
          0, "#fdbe8500", 0.3, "#fdbe8570", 0.55, "#fd8d3c", 0.75, "#e6550d", 1, "#8f2d04",
        ],
      },
    },
    {
      ...common(layer, "point"),
      type: "circle",
      minzoom: 13,
      layout: { "circle-sort-key": ["get", "reports"] },
      paint: {
        "circle-color": colour,
        "circle-opacity": ["case", [">", ["get", "reports"], 1], 0.7, 0.92],
        "circle-radius": [
          "interpolate", ["linear"], ["zoom"],
          13, ["interpolate", ["linear"], size, 1, 2.2, 6, 11],
          13.99, ["interpolate", ["linear"], size, 1, 3.4, 6, 15],
          14, 2.4, 16, 4, 18, 6.5,
        ],
        "circle-stroke-color": layer.circle.stroke,
        "circle-stroke-width": 0.8,
      },
    },
    {
      ...common(layer, "label"),
      type: "symbol",
      minzoom: 13,
      maxzoom: 14,
      filter: [">=", ["get", "reports"], 6],
      layout: { "text-field": ["to-string", ["get", "reports"]], "text-font": FONT, "text-size": 11 },
      paint: { "text-color": "#ffffff", "text-halo-color": "#00000066", "text-halo-width": 0.8 },
    },
  ];
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
  if (layer.id === "reports") return reportLayers(layer, definition);
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
  const layers = pageLayers(definition);
  const parts = {};
  const below = [];
  const labels = [];
  for (const layer of layers) {
    const made = layer.compliance ? [complianceLayer(layer)] : drawn(layer, definition);
    parts[layer.id] = made.map((one) => one.id);
    for (const one of made) {
      one.layout = { ...one.layout, visibility: isShown(layer.id) ? "visible" : "none" };
      (one.type === "symbol" ? labels : below).push(one);
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
      "font-faces": { "Noto Sans SC": settings.fontFaces },
      sources: { ...sources, chosen: empty, circle: empty, spot: empty },
      layers: [
        { id: "background", type: "background", paint: { "background-color": definition.background.color } },
        ...below.slice(0, firstSign),
        { id: "circle-fill", type: "fill", source: "circle", paint: { "fill-color": "#0f766e", "fill-opacity": 0.14 } },
        { id: "circle-line", type: "line", source: "circle", paint: { "line-color": "#0f766e", "line-width": 1.6 } },
        { id: "chosen-fill", type: "fill", source: "chosen", paint: { "fill-color": highlight.fill_color, "fill-opacity": highlight.fill_opacity } },
        { id: "chosen-line", type: "line", source: "chosen", paint: { "line-color": highlight.color, "line-width": highlight.width } },
        ...below.slice(firstSign),
        ...labels,
        { id: "spot", type: "circle", source: "spot", paint: { "circle-radius": 6, "circle-color": "#ffffff", "circle-stroke-color": "#0f766e", "circle-stroke-width": 4 } },
      ],
    },
  };
}

function tileSource(settings, layer) {
  const at = settings.at ? `?at=${encodeURIComponent(settings.at)}` : "";
  const path = settings.urls.tiles.replace("{layer}", layer.tiles);
  const reach = settings.extent;
  return {
    type: "vector",
    tiles: [`${location.origin}${path}${at}`],
    minzoom: Math.min(layer.min_zoom, 16),
    maxzoom: 16,
    ...(reach ? { bounds: [reach.min_lon - 0.05, reach.min_lat - 0.05, reach.max_lon + 0.05, reach.max_lat + 0.05] } : {}),
  };
}
