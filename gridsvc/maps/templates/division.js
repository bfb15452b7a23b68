// The quality panel of a division map: its tabs, and the list of problem places with click-to-zoom.
gridsvc.onStart(function (tools) {
  "use strict";
  var data = tools.data(), box = document.getElementById("gs-quality"), list = document.getElementById("gs-problems");
  var hidden = {};

  box.querySelectorAll("[role=tab]").forEach(function (tab) {
    tab.onclick = function () {
      box.querySelectorAll("[role=tab]").forEach(function (other) { other.setAttribute("aria-selected", String(other === tab)); });
      box.querySelectorAll(".gs-tab").forEach(function (part) { part.hidden = part.dataset.tab !== tab.dataset.tab; });
    };
  });

  function dot(kind) {
    var made = tools.element("i", "gs-dot");
    made.style.background = data.problem_colors[kind];
    return made;
  }

  // a place in view, with room around it however small it is
  function visit(problem, item) {
    var rings = tools.decode(problem.shape);
    if (!rings.length) return;
    var around = tools.boxOf(rings), least = 300;
    [0, 1].forEach(function (axis) {
      var missing = least - (around[axis + 2] - around[axis]);
      if (missing > 0) { around[axis] -= missing / 2; around[axis + 2] += missing / 2; }
    });
    list.querySelectorAll("[aria-current]").forEach(function (other) { other.removeAttribute("aria-current"); });
    item.setAttribute("aria-current", "true");
    tools.show(around, rings, data.problem_colors[problem.kind]);
  }

  function fill() {
    list.replaceChildren();
    data.problems.forEach(function (problem) {
      if (hidden[problem.kind]) return;
      var item = tools.element("button", "gs-problem");
      item.type = "button";
      item.appendChild(dot(problem.kind));
      item.appendChild(tools.holding("b", "", tools.both(data.problem_titles[problem.kind])));
      item.appendChild(tools.holding("span", "", tools.both([problem.zh, problem.en])));
      item.onclick = function () { visit(problem, item); };
      list.appendChild(tools.holding("li", "", item));
    });
    if (!data.problems.length) list.appendChild(tools.holding("li", "gs-none", tools.both(["没有发现问题", "No problem found"])));
  }

  function chips() {
    var counts = {}, row = document.getElementById("gs-problem-kinds");
    data.problems.forEach(function (problem) { counts[problem.kind] = (counts[problem.kind] || 0) + 1; });
    Object.keys(data.problem_titles).filter(function (kind) { return counts[kind]; }).forEach(function (kind) {
      var chip = tools.element("button", "gs-chip");
      chip.type = "button";
      chip.setAttribute("aria-pressed", "true");
      chip.appendChild(dot(kind));
      chip.appendChild(tools.both(data.problem_titles[kind]));
      chip.appendChild(tools.element("span", "gs-chip-count", String(counts[kind])));
      chip.onclick = function () {
        hidden[kind] = !hidden[kind];
        chip.setAttribute("aria-pressed", String(!hidden[kind]));
        fill();
      };
      row.appendChild(chip);
    });
  }

  // the legend has what the layer switch above it leaves
  function fitLegend() {
    var map = tools.map(), above = map.getContainer().querySelector(".leaflet-control-layers");
    document.getElementById("gs-legend").style.maxHeight = Math.max(34, map.getSize().y - above.offsetHeight - above.offsetTop - 42) + "px";
  }

  chips();
  fill();
  fitLegend();
  tools.map().on("resize", fitLegend);
});
