// Draws a map file from the data in the page: layers, tooltips, search, labels. No library but Leaflet; nothing is loaded.
// What only one map has comes in a script of its own, which waits with gridsvc.onStart.
var gridsvc = (function () {
  "use strict";
  var ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  var SIX_BITS = {};
  for (var i = 0; i < 64; i++) SIX_BITS[ALPHABET.charCodeAt(i)] = i;

  var data = null, map = null, shown = {}, layers = {}, style = {};
  var highlight = null, tooltip = null, labels = {}, waitingForStart = [], cardParts = [];

  function read() {
    data = JSON.parse(document.getElementById("gridsvc-data").textContent);
    data.layers.forEach(function (layer) { style[layer.id] = layer; });
  }

  // one text of gridsvc/maps/compact_shapes.py -> rings or lines of whole millionths of a degree
  function decode(text) {
    if (!text) return [];
    return text.split(" ").map(function (piece) {
      var line = [], x = 0, y = 0, at = 0, value, shift, bits;
      while (at < piece.length) {
        for (var axis = 0; axis < 2; axis++) {
          value = 0; shift = 1;
          do { bits = SIX_BITS[piece.charCodeAt(at++)]; value += (bits & 31) * shift; shift *= 32; } while (bits & 32);
          value = value % 2 ? -(value + 1) / 2 : value / 2;
          if (axis) y += value; else x += value;
        }
        line.push([x, y]);
      }
      return line;
    });
  }

  function latlng(vertex) {
    return [(vertex[1] + data.origin[1]) / 1e6, (vertex[0] + data.origin[0]) / 1e6];
  }

  function open(ring) { return ring.map(latlng); }

  // every border once, though two neighbours own it: dashes stay dashes and half as much is drawn
  function borders(shapes) {
    var seen = new Set(), lines = [];
    shapes.forEach(function (rings) {
      rings.forEach(function (ring) {
        var line = null;
        for (var i = 0; i < ring.length; i++) {
          var a = ring[i], b = ring[(i + 1) % ring.length];
          var first = a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
          var key = first ? a[0] + "," + a[1] + "," + b[0] + "," + b[1] : b[0] + "," + b[1] + "," + a[0] + "," + a[1];
          if (seen.has(key)) { line = null; continue; }
          seen.add(key);
          if (!line) { line = [latlng(a)]; lines.push(line); }
          line.push(latlng(b));
        }
      });
    });
    return lines;
  }

  function boxOf(rings) {
    var box = [Infinity, Infinity, -Infinity, -Infinity];
    rings.forEach(function (ring) {
      ring.forEach(function (v) {
        if (v[0] < box[0]) box[0] = v[0];
        if (v[1] < box[1]) box[1] = v[1];
        if (v[0] > box[2]) box[2] = v[0];
        if (v[1] > box[3]) box[3] = v[1];
      });
    });
    return box;
  }

  function width(stops, zoom) {
    if (zoom <= stops[0][0]) return stops[0][1];
    for (var i = 1; i < stops.length; i++) {
      if (zoom <= stops[i][0]) {
        var low = stops[i - 1], high = stops[i];
        return low[1] + (high[1] - low[1]) * (zoom - low[0]) / (high[0] - low[0]);
      }
    }
    return stops[stops.length - 1][1];
  }

  function path(kind, lines, options) {
    return L[kind](lines, L.extend({ interactive: false, smoothFactor: 0.6, lineJoin: "round" }, options));
  }

  function lineOptions(line) {
    return { color: line.color, opacity: line.opacity === undefined ? 1 : line.opacity, dashArray: line.dash ? line.dash.join(" ") : null, fill: false };
  }

  // the drawn pieces of a layer: [path, width stops, least zoom]
  function pieces(layer) {
    var made = [];
    if (layer.lines) {
      layer.lines.forEach(function (group) {
        var lines = [];
        group.shapes.forEach(function (text) { decode(text).forEach(function (line) { lines.push(open(line)); }); });
        made.push([path("polyline", lines, { color: group.color, fill: false, lineCap: group.dash ? "butt" : "round", dashArray: group.dash ? group.dash.join(" ") : null }), group.width, group.min_zoom]);
      });
      return made;
    }
    if (layer.points) {
      layer.points.forEach(function (spot, i) {
        var look = layer.classes[layer.class_of[i]];
        made.push([L.circleMarker(latlng(spot), { interactive: false, radius: layer.circle.radius, color: layer.circle.stroke, weight: 1.5, fillColor: look.color, fillOpacity: 1 }), null, layer.min_zoom]);
      });
      return made;
    }
    layer.rings = layer.shapes.map(decode);
    layer.boxes = layer.rings.map(boxOf);
    if (layer.classes) {
      layer.classes.forEach(function (entry, index) {
        var rings = [];
        layer.rings.forEach(function (shape, i) { if (layer.class_of[i] === index) shape.forEach(function (r) { rings.push(open(r)); }); });
        if (rings.length) made.push([path("polygon", rings, { stroke: false, fillColor: entry.color, fillOpacity: layer.fill.opacity }), null, layer.min_zoom]);
      });
    } else if (layer.fill && layer.fill.opacity > 0) {
      var all = [];
      layer.rings.forEach(function (shape) { shape.forEach(function (r) { all.push(open(r)); }); });
      made.push([path("polygon", all, { stroke: false, fillColor: layer.fill.color, fillOpacity: layer.fill.opacity }), null, layer.min_zoom]);
    }
    if (layer.line) made.push([path("polyline", borders(layer.rings), lineOptions(layer.line)), layer.line.width, layer.min_zoom]);
    return made;
  }

  // a layer for folium: a group whose pieces come and go with the zoom
  function makeLayer(id) {
    var layer = style[id], group = L.layerGroup(), made = null;
    layer.group = group;
    group.on("add", function () {
      if (!made) made = layer.pieces = pieces(layer);
      shown[id] = true;
      refresh();
    });
    group.on("remove", function () { delete shown[id]; refresh(); });
    layers[id] = group;
    return group;
  }

  var waiting = false;
  function refresh() {
    if (waiting) return;
    waiting = true;
    L.Util.requestAnimFrame(function () { waiting = false; redraw(); });
  }

  function redraw() {
    if (!map) return;
    var zoom = map.getZoom();
    data.layers.forEach(function (layer) {
      (layer.pieces || []).forEach(function (piece) {
        var visible = shown[layer.id] && zoom >= piece[2];
        if (!visible) { layer.group.removeLayer(piece[0]); return; }
        if (!layer.group.hasLayer(piece[0])) layer.group.addLayer(piece[0]);
        if (piece[1]) piece[0].setStyle({ weight: width(piece[1], zoom) });
        piece[0].bringToFront();
      });
      relabel(layer, zoom);
    });
    thin();
    if (highlight) highlight.eachLayer(function (drawn) { drawn.bringToFront(); });
    document.documentElement.setAttribute("data-drawn", Object.keys(shown).sort().join(" "));
  }

  function relabel(layer, zoom) {
    if (!layer.label || !layer.label_at) return;
    var wanted = shown[layer.id] && zoom >= layer.label.min_zoom && !(layer.label.max_zoom && zoom > layer.label.max_zoom) && !(layer.label.below_zoom && zoom >= layer.label.below_zoom);
    if (wanted && !labels[layer.id]) {
      labels[layer.id] = L.layerGroup(layer.label_at.map(function (at, i) {
        var text = document.createElement("span");
        text.textContent = layer.name[i];
        text.style.fontSize = layer.label.size + "px";
        return L.marker(latlng(at), { interactive: false, keyboard: false, icon: L.divIcon({ className: "gs-label", html: text, iconSize: [0, 0] }) });
      }));
    }
    if (!labels[layer.id]) return;
    if (wanted) labels[layer.id].addTo(map); else labels[layer.id].remove();
  }

  // of names that would lie on each other the first stays: larger divisions before smaller ones, then by code
  function thin() {
    var taken = [];
    data.layers.slice().reverse().forEach(function (layer) {
      if (!labels[layer.id] || !map.hasLayer(labels[layer.id])) return;
      labels[layer.id].getLayers().forEach(function (marker, i) {
        var spot = map.latLngToLayerPoint(marker.getLatLng()), half = layer.name[i].length * layer.label.size / 2 + 3;
        var box = [spot.x - half, spot.y - layer.label.size * 0.7, spot.x + half, spot.y + layer.label.size * 0.7];
        var free = taken.every(function (other) { return box[0] > other[2] || box[2] < other[0] || box[1] > other[3] || box[3] < other[1]; });
        if (free) taken.push(box);
        marker.setOpacity(free ? 1 : 0);
      });
    });
  }

  function inside(rings, x, y) {
    var odd = false;
    rings.forEach(function (ring) {
      for (var i = 0, j = ring.length - 1; i < ring.length; j = i++) {
        var a = ring[i], b = ring[j];
        if (a[1] > y !== b[1] > y && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0]) odd = !odd;
      }
    });
    return odd;
  }

  // the rings of every feature of a layer
  function ringsOf(layer) {
    if (!layer.rings) layer.rings = layer.shapes.map(decode);
    if (!layer.boxes) layer.boxes = layer.rings.map(boxOf);
    return layer.rings;
  }

  // row of the feature of a layer at a place, -1 for none; rows are in code order, so the smallest code answers
  function find(layer, x, y) {
    ringsOf(layer);
    for (var i = 0; i < layer.boxes.length; i++) {
      var box = layer.boxes[i];
      if (x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3] && inside(layer.rings[i], x, y)) return i;
    }
    return -1;
  }

  // the features at a place, smallest divisions first; of hidden layers too when all are asked for
  function at(place, all) {
    var x = place.lng * 1e6 - data.origin[0], y = place.lat * 1e6 - data.origin[1];
    return data.layers.filter(function (layer) { return layer.code && (all || shown[layer.id]); }).map(function (layer) {
      return { layer: layer, row: find(layer, x, y) };
    }).filter(function (hit) { return hit.row >= 0; }).reverse();
  }

  function element(tag, className, text) {
    var made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // a text in both languages; the style sheet shows one of them
  function both(pair) {
    var made = document.createDocumentFragment();
    ["zh", "en"].forEach(function (language, i) {
      var part = element("span", "", pair[i]);
      part.lang = language;
      made.appendChild(part);
    });
    return made;
  }

  function holding(tag, className, content) {
    var made = element(tag, className);
    made.appendChild(content);
    return made;
  }

  function swatch(layer) {
    var dot = element("i", "gs-dot");
    dot.style.background = layer.dot || (layer.line ? layer.line.color : "#999");
    return dot;
  }

  // what is said of a feature; of all facts those named, all where none are
  function facts(layer, row, known, named) {
    return data.facts.filter(function (fact) { return (fact[0] !== "community" || !known) && (!named || named.indexOf(fact[0]) >= 0); }).filter(function (fact) { return layer[fact[0]] && layer[fact[0]][row] !== null && layer[fact[0]][row] !== ""; })
      .map(function (fact) {
        var value = layer[fact[0]][row], pair = Array.isArray(value) ? value : [value, value];
        pair = pair.map(function (part) { return typeof part === "number" ? part.toLocaleString("zh-CN") : part; });
        return [[fact[1], fact[3]], [pair[0] + fact[2], pair[1] + fact[4]]];
      });
  }

  function card(hits, full) {
    var box = element("div", "gs-card");
    var known = hits.some(function (hit) { return hit.layer.id === "communities"; });
    hits.forEach(function (hit) {
      var head = element("div", "gs-card-head");
      head.appendChild(swatch(hit.layer));
      head.appendChild(holding("b", "", both(hit.layer.short)));
      head.appendChild(element("span", "gs-code", hit.layer.code[hit.row]));
      head.appendChild(element("span", "", hit.layer.name ? hit.layer.name[hit.row] : ""));
      box.appendChild(head);
      facts(hit.layer, hit.row, known, full ? null : data.tip_facts || []).forEach(function (line) {
        var row = element("div", "gs-fact");
        row.appendChild(holding("span", "", both(line[0])));
        row.appendChild(holding("span", "", both(line[1])));
        box.appendChild(row);
      });
    });
    return box;
  }

  function extent(hit) {
    var box = hit.layer.boxes[hit.row];
    return (box[2] - box[0]) * (box[3] - box[1]);
  }

  // the smallest area is filled, the other grids around it are outlined; outlines of whole districts would say nothing
  function mark(hits) {
    var smallest = hits.reduce(function (least, hit) { return extent(hit) < extent(least) ? hit : least; });
    var look = data.highlight, marked = hits.filter(function (hit) { return hit !== smallest && /^(grids_|division_households)/.test(hit.layer.id); });
    highlight = L.layerGroup(marked.concat([smallest]).map(function (hit) {
      var fill = hit === smallest;
      return path("polygon", hit.layer.rings[hit.row].map(open), {
        color: fill ? look.color : (hit.layer.line || look).color, weight: look.width, fill: fill, fillColor: look.fill_color, fillOpacity: look.fill_opacity
      });
    })).addTo(map);
    refresh();
  }

  // shows the panel with this content; nothing closes it
  function tell(content) {
    var panel = document.getElementById("gs-panel");
    panel.replaceChildren();
    panel.scrollTop = 0;
    panel.hidden = !content;
    if (!content) return;
    // below the switch of layers, where both are on the right
    var above = document.querySelector(".leaflet-control-layers"), whole = map.getSize();
    var left = whole.x < 700 || !above ? Infinity : whole.y - above.offsetTop - above.offsetHeight - 46;
    panel.style.maxHeight = left < 200 || left === Infinity ? "" : left + "px";
    var close = element("button", "gs-close", "×");
    close.type = "button";
    close.setAttribute("aria-label", "关闭 Close");
    close.onclick = function () { select([]); };
    panel.appendChild(close);
    panel.appendChild(content);
  }

  // what is at a place; without a place, what was searched for
  function select(hits, place) {
    var content = document.createDocumentFragment();
    if (hits.length) content.appendChild(card(hits, true));
    cardParts.forEach(function (part) { var more = part(hits, place); if (more) content.appendChild(more); });
    tell(content.childNodes.length ? content : null);
    if (highlight) highlight.remove();
    highlight = null;
    if (hits.length) mark(hits);
  }

  function goTo(layer, row) {
    ringsOf(layer);
    if (!shown[layer.id]) layer.group.addTo(map);
    var box = layer.boxes[row];
    map.fitBounds([latlng([box[0], box[1]]), latlng([box[2], box[3]])], L.extend({ maxZoom: 17 }, room(80)));
    select([{ layer: layer, row: row }]);
  }

  // codes that begin with the words, then codes and names that contain them
  function matches(words) {
    var begins = [], holds = [];
    data.layers.filter(function (layer) { return layer.code; }).reverse().forEach(function (layer) {
      for (var i = 0; i < layer.code.length && begins.length < 40; i++) {
        var name = layer.name ? layer.name[i] : "";
        if (layer.code[i].indexOf(words) === 0 || name === words) begins.push({ layer: layer, row: i });
        else if (holds.length < 40 && (layer.code[i].indexOf(words) > 0 || name.indexOf(words) >= 0)) holds.push({ layer: layer, row: i });
      }
    });
    begins.sort(function (a, b) { return a.layer.code[a.row].length - b.layer.code[b.row].length; });
    return begins.concat(holds).slice(0, 12);
  }

  function search() {
    var input = document.getElementById("gs-search"), list = document.getElementById("gs-found");
    function fill() {
      list.replaceChildren();
      var words = input.value.trim();
      list.hidden = !words;
      if (!words) return;
      var found = matches(words);
      if (!found.length) list.appendChild(holding("li", "gs-none", both(["没有找到", "Nothing found"])));
      found.forEach(function (hit) {
        var item = element("li");
        item.appendChild(swatch(hit.layer));
        item.appendChild(element("span", "gs-code", hit.layer.code[hit.row]));
        item.appendChild(element("span", "", hit.layer.name ? hit.layer.name[hit.row] : ""));
        item.appendChild(holding("span", "", both(hit.layer.short)));
        item.onmousedown = function (event) { event.preventDefault(); list.hidden = true; input.blur(); goTo(hit.layer, hit.row); };
        list.appendChild(item);
      });
    }
    input.addEventListener("input", fill);
    input.addEventListener("focus", fill);
    input.addEventListener("blur", function () { list.hidden = true; });
    input.addEventListener("keydown", function (event) {
      if (event.key === "Escape") { input.value = ""; fill(); }
      if (event.key !== "Enter") return;
      var found = matches(input.value.trim());
      if (input.value.trim() && found.length) { list.hidden = true; input.blur(); goTo(found[0].layer, found[0].row); }
    });
  }

  // the layer switch of folium is one list: headings are put before the first layer of each group, again whenever it is rebuilt
  function headings() {
    var list = document.querySelector(".leaflet-control-layers-overlays");
    if (!list) return;
    function put() {
      if (list.querySelector(".gs-group")) return;
      var labelled = list.querySelectorAll("label");
      data.order.forEach(function (entry, i) {
        if (!labelled[i]) return;
        if (entry.heading) list.insertBefore(holding("div", "gs-group", both(entry.heading)), labelled[i]);
        labelled[i].querySelector("input + span").replaceChildren(" ", both(entry.title));
      });
    }
    put();
    new MutationObserver(put).observe(list, { childList: true });
  }

  // on a narrow screen the switch is behind a button
  function layersButton() {
    var control = document.querySelector(".leaflet-control-layers");
    if (!control) return;
    var button = holding("button", "gs-layers-switch", both(["图层", "Layers"]));
    button.type = "button";
    button.onclick = function () { control.classList.toggle("gs-open"); };
    control.insertBefore(button, control.firstChild);
  }

  // the padding that keeps what is shown beside the boxes, where there is room for that
  function room(least) {
    var wide = map.getSize().x >= 1100;
    return { paddingTopLeft: [wide ? data.left_room || 400 : 16, wide ? least : 190], paddingBottomRight: [wide ? data.right_room || 210 : 16, Math.max(least, 30)] };
  }

  // the whole division
  function fit() {
    var size = map.getSize(), legend = document.getElementById("gs-legend");
    legend.open = size.y >= 600;
    map.fitBounds(data.bounds, L.extend({ animate: false }, room(16)));
  }

  function useLanguage(language) {
    document.documentElement.setAttribute("data-lang", language);
    document.documentElement.lang = language === "en" ? "en" : "zh-CN";
  }

  // the buttons of the head and of the attribution; an address that ends in #en opens in English
  function buttons() {
    document.getElementById("gs-language").onclick = function () {
      useLanguage(document.documentElement.getAttribute("data-lang") === "en" ? "zh" : "en");
    };
    useLanguage(location.hash === "#en" ? "en" : "zh");
    var list = document.getElementById("gs-sources"), open = document.getElementById("gs-sources-switch");
    if (open) open.onclick = function () { list.hidden = !list.hidden; };
  }

  function start(leafletMap) {
    map = leafletMap;
    map.attributionControl.setPrefix("Leaflet");
    map.attributionControl.addAttribution(data.attribution);
    L.control.scale({ imperial: false, maxWidth: 160 }).addTo(map);
    map.on("zoomend", refresh);
    tooltip = L.tooltip({ className: "gs-tip", direction: "right", offset: [14, 0] });
    var moved = null;
    map.on("mousemove", function (event) {
      if (!moved) L.Util.requestAnimFrame(function () {
        var hits = at(moved.latlng);
        if (hits.length) map.openTooltip(tooltip.setLatLng(moved.latlng).setContent(card(hits, false))); else map.closeTooltip(tooltip);
        moved = null;
      });
      moved = event;
    });
    map.on("mouseout", function () { map.closeTooltip(tooltip); });
    map.on("click", function (event) { select(at(event.latlng, true), event.latlng); });
    document.querySelectorAll(".gs-box").forEach(function (box) {
      L.DomEvent.disableClickPropagation(box);
      // a button that is gone once it was clicked is, to Leaflet, no longer in a box
      box.addEventListener("click", function (event) { event.stopPropagation(); });
      L.DomEvent.disableScrollPropagation(box);
      map.getContainer().appendChild(box);
    });
    search();
    headings();
    layersButton();
    buttons();
    waitingForStart.forEach(function (extra) { extra(tools); });
    fit();
    // again with the window, until somebody moves the map
    map.on("resize", fit);
    ["mousedown", "wheel", "touchstart", "keydown"].forEach(function (kind) {
      map.getContainer().addEventListener(kind, function () { map.off("resize", fit); }, { once: true, capture: true, passive: true });
    });
    refresh();
  }

  // goes to a box of whole millionths and marks rings there, others (rings, colour) as outlines; nothing is selected
  function show(box, rings, color, outlines) {
    select([]);
    map.fitBounds([latlng([box[0], box[1]]), latlng([box[2], box[3]])], L.extend({ maxZoom: 18 }, room(60)));
    highlight = L.layerGroup((outlines || []).map(function (one) {
      return path("polygon", one[0].map(open), { color: one[1], weight: data.highlight.width, fill: false });
    }).concat([path("polygon", rings.map(open), { color: color, weight: data.highlight.width, fill: true, fillColor: color, fillOpacity: 0.3 })])).addTo(map);
    refresh();
  }

  // draws a layer anew after its classes, shapes or points have changed
  function remake(id) {
    var layer = style[id];
    if (!layer) return;
    layer.rings = layer.boxes = null;
    if (!layer.pieces) return;
    layer.group.clearLayers();
    layer.pieces = pieces(layer);
    refresh();
  }

  var tools = {
    data: function () { return data; }, map: function () { return map; }, layer: function (id) { return style[id]; }, decode: decode, boxOf: boxOf,
    latlng: latlng, both: both, element: element, holding: holding, swatch: swatch, show: show, goTo: goTo, remake: remake, tell: tell,
    deselect: function () { select([]); }, rings: ringsOf, inside: inside, width: width, onCard: function (part) { cardParts.push(part); }
  };

  return {
    read: read, layer: makeLayer, start: start, decode: decode, find: function (words) { return matches(words); },
    onStart: function (extra) { waitingForStart.push(extra); }
  };
})();
