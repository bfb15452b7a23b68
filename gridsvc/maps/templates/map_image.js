// Saves what the map shows as a PNG: title, map, names, legend of the layers shown, scale, date and sources. Drawn here, nothing is loaded.
gridsvc.onStart(function (tools) {
  "use strict";
  var SCALE = 2, HEAD = 62, FOOT = 30, SIDE = 236, INK = "#22313f", SOFT = "#5b6b7a";
  var map = tools.map(), data = tools.data(), family = getComputedStyle(document.body).fontFamily;

  function language() { return document.documentElement.getAttribute("data-lang") === "en" ? 1 : 0; }

  // the text of an element in the language shown
  function textOf(node) {
    var hidden = language() ? "zh" : "en", copy = node.cloneNode(true);
    copy.querySelectorAll('[lang="' + hidden + '"]').forEach(function (one) { one.remove(); });
    return copy.textContent.trim();
  }

  function write(pen, text, x, y, size, color, weight) {
    pen.font = (weight || 400) + " " + size + "px " + family;
    pen.fillStyle = color;
    pen.fillText(text, x, y);
  }

  // the canvas of the map with twice the dots, then as it was
  function withDots(use) {
    var renderer = map.getRenderer({ options: {} }), before = L.Browser.retina;
    L.Browser.retina = true;
    renderer._update();
    try { use(renderer._container); } finally { L.Browser.retina = before; renderer._update(); }
  }

  function drawMap(pen, size) {
    var holder = map.getContainer().getBoundingClientRect();
    pen.save();
    pen.beginPath();
    pen.rect(0, HEAD, size.x, size.y);
    pen.clip();
    pen.fillStyle = getComputedStyle(map.getContainer()).backgroundColor;
    pen.fillRect(0, HEAD, size.x, size.y);
    withDots(function (canvas) {
      var at = canvas.getBoundingClientRect();
      if (canvas.width) pen.drawImage(canvas, at.left - holder.left, at.top - holder.top + HEAD, at.width, at.height);
    });
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    document.querySelectorAll(".leaflet-marker-pane .gs-label").forEach(function (label) {
      var part = label.querySelector("span"), at = part.getBoundingClientRect();
      if (label.style.opacity === "0" || !at.width) return;
      pen.font = "700 " + part.style.fontSize + " " + family;
      pen.strokeStyle = "#ffffff";
      pen.lineWidth = 3;
      pen.strokeText(part.textContent, (at.left + at.right) / 2 - holder.left, (at.top + at.bottom) / 2 - holder.top + HEAD);
      pen.fillStyle = INK;
      pen.fillText(part.textContent, (at.left + at.right) / 2 - holder.left, (at.top + at.bottom) / 2 - holder.top + HEAD);
    });
    pen.restore();
  }

  function fitted(pen, text, room) {
    while (text && pen.measureText(text).width > room) text = text.slice(0, -2) + "…";
    return text;
  }

  function swatch(pen, line, fill, x, y) {
    if (fill) {
      pen.globalAlpha = fill.opacity;
      pen.fillStyle = fill.color;
      pen.fillRect(x, y - 6, 28, 12);
      pen.globalAlpha = 1;
    }
    if (!line) return;
    pen.save();
    pen.globalAlpha = line.opacity === undefined ? 1 : line.opacity;
    pen.strokeStyle = line.color;
    pen.lineWidth = Math.min(6, Math.max(1, tools.width(line.width, map.getZoom())));
    pen.setLineDash(line.dash || []);
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + 28, y);
    pen.stroke();
    pen.restore();
  }

  function drawLegend(pen, x, most) {
    var shown = (document.documentElement.getAttribute("data-drawn") || "").split(" "), y = HEAD + 22;
    pen.textBaseline = "middle";
    write(pen, ["图例", "Legend"][language()], x, y, 14, INK, 700);
    data.order.forEach(function (one) {
      var layer = tools.layer(one.id);
      if (shown.indexOf(one.id) < 0 || y > most) return;
      y += 24;
      if (layer.classes) {
        write(pen, one.title[language()], x, y, 12.5, INK);
        layer.classes.forEach(function (look) {
          y += 18;
          swatch(pen, null, { color: look.color, opacity: layer.fill ? layer.fill.opacity : 1 }, x + 6, y);
          write(pen, look.title || [look.title_zh, look.title_en][language()], x + 42, y, 12, SOFT);
        });
        return;
      }
      var line = layer.lines ? layer.lines[layer.lines.length - 1] : layer.line;
      swatch(pen, line, layer.fill && layer.fill.opacity > 0.1 ? layer.fill : null, x, y);
      pen.font = "400 12.5px " + family;
      write(pen, fitted(pen, one.title[language()], SIDE - 60), x + 38, y, 12.5, INK);
    });
  }

  function drawScale(pen, size, y) {
    var middle = map.getSize().y / 2, wide = 120;
    var metres = map.distance(map.containerPointToLatLng([0, middle]), map.containerPointToLatLng([wide, middle]));
    var power = Math.pow(10, Math.floor(Math.log10(metres))), nice = [5, 2, 1].filter(function (n) { return n * power <= metres; })[0] * power;
    var long = wide * nice / metres;
    pen.strokeStyle = INK;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(14, y - 5);
    pen.lineTo(14, y + 3);
    pen.lineTo(14 + long, y + 3);
    pen.lineTo(14 + long, y - 5);
    pen.stroke();
    write(pen, nice >= 1000 ? nice / 1000 + " km" : nice + " m", 22 + long, y, 12, INK);
    return 22 + long + 60;
  }

  function draw() {
    var size = map.getSize(), canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    canvas.width = (size.x + SIDE) * SCALE;
    canvas.height = (size.y + HEAD + FOOT) * SCALE;
    pen.scale(SCALE, SCALE);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, size.x + SIDE, size.y + HEAD + FOOT);
    pen.textBaseline = "middle";
    write(pen, textOf(document.querySelector("#gs-head h1")), 14, 24, 21, INK, 700);
    write(pen, textOf(document.querySelector("#gs-head p")), 14, 47, 12.5, SOFT);
    drawMap(pen, size);
    drawLegend(pen, size.x + 16, HEAD + size.y - 20);
    var y = HEAD + size.y + FOOT / 2, after = drawScale(pen, size, y), credit = sources();
    pen.textAlign = "right";
    pen.font = "400 11px " + family;
    write(pen, fitted(pen, credit, size.x + SIDE - after - 20), size.x + SIDE - 14, y, 11, SOFT);
    return canvas;
  }

  function sources() {
    var lines = Array.prototype.map.call(document.querySelectorAll("#gs-sources li"), function (one) { return one.textContent; });
    return lines.join("; ");
  }

  var button = document.getElementById("gs-image");
  button.onclick = function () {
    button.disabled = true;
    document.fonts.ready.then(function () {
      draw().toBlob(function (blob) {
        var link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = data.file + ".png";
        link.click();
        setTimeout(function () { URL.revokeObjectURL(link.href); }, 10000);
        button.disabled = false;
      }, "image/png");
    });
  };
});
