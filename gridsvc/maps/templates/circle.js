// The kinds of a service-circle map: everything is coloured by all required kinds, or by the one that is chosen.
gridsvc.onStart(function (tools) {
  "use strict";
  var data = tools.data(), circle = data.circle, choice = document.getElementById("gs-kind");
  var MINUTES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", OUT_OF_REACH = 63, NAMED = 8;
  var communities = tools.layer("circle_communities"), residences = tools.layer("circle_residences");
  var gaps = tools.layer("circle_gaps"), facilities = tools.layer("circle_facilities");
  var allGaps = gaps && { code: gaps.code, shapes: gaps.shapes, kinds: gaps.kinds, population: gaps.population, households: gaps.households, residences: gaps.residences };
  var allFacilities = facilities && { points: facilities.points, kind: facilities.kind };

  function lacks(row, kind) { return (parseInt(residences.lacks[row][kind >> 2], 16) >> (kind & 3)) & 1; }

  // names of what is lacking, in both languages; of many the first
  function named(kinds) {
    return ["zh", "en"].map(function (language) {
      var names = kinds.slice(0, NAMED).map(function (kind) { return circle.kinds[kind][language]; });
      var more = kinds.length - names.length;
      if (language === "zh") return names.join("、") + (more ? " 等 " + kinds.length + " 类" : "");
      return names.join(", ") + (more ? " and " + more + " more" : "");
    });
  }

  function rowsOf(layer, made) { return layer.code.map(function (_, row) { return made(row); }); }

  function walkOf(row, kind) {
    var minutes = MINUTES.indexOf(residences.walks[row][kind]);
    return minutes === OUT_OF_REACH ? ["超出范围", "out of reach"] : ["≤ " + minutes + " 分钟", "≤ " + minutes + " min"];
  }

  if (residences) {
    var required = circle.kinds.map(function (_, kind) { return kind; }).filter(function (kind) { return circle.kinds[kind].required; });
    residences.lacking = rowsOf(residences, function (row) {
      var kinds = required.filter(function (kind) { return lacks(row, kind); });
      return kinds.length ? named(kinds) : "";
    });
    residences.classOfAll = residences.class_of;
  }
  if (communities) communities.lacking = communities.lacks.map(function (kinds) { return kinds.length ? named(kinds) : ""; });

  function classOf(share) {
    return share === null ? -1 : circle.breaks.filter(function (edge) { return share >= edge; }).length;
  }

  function kept(all, rows) {
    var made = {};
    Object.keys(all).forEach(function (key) { made[key] = rows.map(function (row) { return all[key][row]; }); });
    return made;
  }

  // the number of a line of the legend; of residences those that are none are left out
  function tell(name, number) {
    var line = document.querySelector('[data-count="' + name + '"]');
    if (!line) return;
    line.querySelector(".gs-count").textContent = number.toLocaleString("zh-CN");
    line.hidden = !number && name.indexOf("residences") === 0;
  }

  // number 0 is all required kinds, the others are the kinds in order
  function show(number) {
    var kind = number - 1, chosen = number > 0;
    tools.deselect();
    if (communities) {
      communities.class_of = circle.shares[number].map(classOf);
      communities.share = chosen ? circle.shares[number] : null;
    }
    if (residences) {
      residences.class_of = chosen ? rowsOf(residences, function (row) { return residences.classOfAll[row] === 3 ? 3 : lacks(row, kind) ? 2 : 0; }) : residences.classOfAll;
      [0, 1, 2, 3].forEach(function (look) { tell("residences-" + look, residences.class_of.filter(function (own) { return own === look; }).length); });
      residences.walk = chosen ? rowsOf(residences, function (row) { return walkOf(row, kind); }) : null;
    }
    if (gaps) {
      Object.assign(gaps, kept(allGaps, allGaps.kinds.map(function (_, row) { return row; }).filter(function (row) { return allGaps.kinds[row].indexOf(number) >= 0; })));
      tell("gaps", gaps.code.length);
    }
    if (facilities) {
      var here = allFacilities.kind.map(function (_, row) { return row; }).filter(function (row) { return allFacilities.kind[row] === kind; });
      facilities.points = here.map(function (row) { return allFacilities.points[row]; });
      facilities.class_of = here.map(function () { return 0; });
      tell("facilities", chosen ? here.length : allFacilities.kind.length);
    }
    ["circle_communities", "circle_residences", "circle_gaps", "circle_facilities"].forEach(tools.remake);
    var shown = document.querySelectorAll("#gs-counts li")[1];
    shown.querySelector("b").textContent = circle.totals[number];
    shown.querySelector("[lang=zh]").textContent = chosen ? "居民可达所选设施" : "居民可达全部必备设施";
    shown.querySelector("[lang=en]").textContent = chosen ? "reach the chosen kind" : "reach every required kind";
    document.documentElement.setAttribute("data-kind", chosen ? circle.kinds[kind].code : "");
  }

  choice.onchange = function () { show(Number(choice.value)); };
  show(0);
});
