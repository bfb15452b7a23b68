// A small map of the whole in the corner, with what the large one shows; a click goes there.
gridsvc.onStart(function (tools) {
  "use strict";
  var map = tools.map(), data = tools.data(), holder = document.getElementById("gs-mini");
  var off = { zoomControl: false, attributionControl: false, dragging: false, scrollWheelZoom: false, doubleClickZoom: false, boxZoom: false, keyboard: false, touchZoom: false, tap: false, zoomSnap: 0, zoomAnimation: false, fadeAnimation: false, inertia: false };
  holder.title = "总览 Overview";
  var small = L.map(holder, L.extend({ renderer: L.svg() }, off));
  small.fitBounds(data.bounds, { animate: false, padding: [6, 6] });
  data.outline.forEach(function (text) {
    L.polygon(tools.decode(text).map(function (ring) { return ring.map(tools.latlng); }), { interactive: false, color: "#334155", weight: 1.2, fillColor: "#cbd5e1", fillOpacity: 0.6 }).addTo(small);
  });
  var seen = L.rectangle(data.bounds, { interactive: false, color: "#dc2626", weight: 2, fill: false }).addTo(small);
  function follow() { seen.setBounds(map.getBounds()); }
  map.on("move zoomend resize", follow);
  small.on("click", function (event) { map.panTo(event.latlng); });
});
