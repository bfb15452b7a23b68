// What networks say of each other: the crosswalk of the place that is clicked, land of nobody or of several, the list of conflicts.
gridsvc.onStart(function (tools) {
  "use strict";
  var data = tools.data(), nets = data.networks;
  if (!nets) return;
  var both = tools.both, element = tools.element, holding = tools.holding;
  var MOST_ROWS = 8;
  var layers = nets.layers.map(tools.layer);
  var listed = tools.layer("network_conflicts");

  function groupBy(rows) {
    var groups = {};
    rows.forEach(function (row, i) { (groups[row] = groups[row] || []).push(i); });
    return groups;
  }
  nets.walks.forEach(function (walk) { walk.groups = [groupBy(walk.from), groupBy(walk.to)]; });

  // how a grid lies in the grids of another network, largest share first: [row or -1, share of area, share of weight or null, weight]
  function shares(walk, side, row) {
    var rows = walk.groups[side][row] || [], other = side ? walk.from : walk.to;
    function sum(values) { return rows.reduce(function (total, i) { return total + values[i]; }, 0); }
    var area = sum(walk.area) || 1, weight = walk.weight ? sum(walk.weight) : 0;
    return rows.map(function (i) {
      return [other[i], walk.area[i] / area, weight ? walk.weight[i] / weight : null, walk.weight ? walk.weight[i] : null];
    }).sort(function (a, b) { return b[1] - a[1]; });
  }

  function percent(share) { return share >= 0.0995 ? Math.round(share * 100) + "%" : (share * 100).toFixed(1) + "%"; }

  function link(layer, row) {
    var made = element("button", "gs-code gs-link", layer.code[row]);
    made.type = "button";
    made.title = layer.name ? layer.name[row] : "";
    made.onclick = function () { tools.goTo(layer, row); };
    return made;
  }

  function block(walk, side, row, isOpen) {
    var from = layers[walk.nets[side]], to = layers[walk.nets[1 - side]], found = shares(walk, side, row);
    var box = element("details", "gs-walk");
    box.open = isOpen;
    var head = element("summary");
    head.appendChild(tools.swatch(from));
    head.appendChild(both(from.short));
    head.append(" → ");
    head.appendChild(tools.swatch(to));
    head.appendChild(both(to.short));
    head.appendChild(element("span", "gs-count", String(found.filter(function (one) { return one[0] >= 0; }).length)));
    box.appendChild(head);
    found.slice(0, MOST_ROWS).forEach(function (one) {
      var line = element("div", "gs-share"), bar = element("i");
      bar.style.width = Math.max(1, one[1] * 100) + "%";
      bar.style.background = tools.swatch(to).style.background;
      line.appendChild(bar);
      line.appendChild(one[0] < 0 ? holding("span", "gs-code", both(["无网格", "no grid"])) : link(to, one[0]));
      line.appendChild(element("span", "gs-part", percent(one[1])));
      if (nets.measure) line.appendChild(holding("span", "gs-part gs-weight", both([
        one[3].toLocaleString("zh-CN") + " " + nets.measure[0] + (one[2] === null ? "" : " " + percent(one[2])),
        one[3].toLocaleString("en") + " " + nets.measure[1] + (one[2] === null ? "" : " " + percent(one[2]))])));
      box.appendChild(line);
    });
    if (found.length > MOST_ROWS) box.appendChild(holding("div", "gs-more", both(["另有 " + (found.length - MOST_ROWS) + " 个", (found.length - MOST_ROWS) + " more"])));
    return box;
  }

  // every further grid of a network at a place: grids that overlap
  function further(layer, place, first) {
    var x = place.lng * 1e6 - data.origin[0], y = place.lat * 1e6 - data.origin[1], rows = [];
    tools.rings(layer).forEach(function (rings, row) {
      var box = layer.boxes[row];
      if (row !== first && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3] && tools.inside(rings, x, y)) rows.push(row);
    });
    return rows;
  }

  function warning(pair) { return holding("p", "gs-note", both(pair)); }

  tools.onCard(function (hits, place) {
    var row = {}, box = element("div", "gs-crosswalk");
    hits.forEach(function (hit) { var n = nets.layers.indexOf(hit.layer.id); if (n >= 0) row[n] = hit.row; });
    var known = Object.keys(row).map(Number);
    if (place && !known.length && layers.length) {
      box.appendChild(warning(hits.length ? ["此处在各网络中均无人负责。", "Orphan land: no network has a grid here."] : ["此处在本图网格之外。", "Outside all grids of this map."]));
      return box;
    }
    if (!known.length) return null;
    if (place) layers.forEach(function (layer, n) {
      if (row[n] === undefined) {
        box.appendChild(warning([layer.short[0] + "：此处无网格", layer.short[1] + ": no grid here"]));
        return;
      }
      var more = further(layer, place, row[n]).map(function (i) { return layer.code[i]; });
      if (more.length) box.appendChild(warning([layer.short[0] + "：重复负责，另有 " + more.join("、"), layer.short[1] + ": also claimed by " + more.join(", ")]));
    });
    var made = [];
    [0, 1].forEach(function (side) {
      nets.walks.forEach(function (walk) { if (row[walk.nets[side]] !== undefined) made.push([walk, side]); });
    });
    if (made.length) box.appendChild(holding("h3", "", both(nets.measure ? ["新旧对照（面积、" + nets.measure[0] + "数占比）", "Crosswalk (share of area, " + nets.measure[1] + ")"] : ["新旧对照（面积占比）", "Crosswalk (share of area)"])));
    made.forEach(function (one, i) { box.appendChild(block(one[0], one[1], row[one[0].nets[one[1]]], i < 3)); });
    return box;
  });

  // --- conflicts: net, row, net, row, m2, share of each in percent
  function sides(row) { return [[layers[row[0]], row[1], row[5]], [layers[row[2]], row[3], row[6]]]; }

  function hectares(m2) { return m2 >= 10000 ? (m2 / 10000).toFixed(1) + " ha" : m2.toLocaleString("zh-CN") + " m²"; }

  function openConflict(row, i) {
    var rings = tools.decode(listed.shapes[i]), parts = sides(row), box = element("div", "gs-conflict");
    tools.show(tools.boxOf(rings), rings, "#dc2626", parts.map(function (side) { return [tools.rings(side[0])[side[1]], tools.swatch(side[0]).style.background]; }));
    var back = holding("button", "gs-link", both(["← 冲突清单", "← Conflicts"]));
    back.type = "button";
    back.onclick = openList;
    box.appendChild(back);
    parts.forEach(function (side) {
      var line = element("div", "gs-card-head");
      line.appendChild(tools.swatch(side[0]));
      line.appendChild(holding("b", "", both(side[0].short)));
      line.appendChild(link(side[0], side[1]));
      line.appendChild(element("span", "", side[0].name ? side[0].name[side[1]] : ""));
      box.appendChild(line);
      var fact = element("div", "gs-fact");
      fact.appendChild(holding("span", "", both(["重叠地块占本网格", "Disputed land of this grid"])));
      fact.appendChild(element("span", "", side[2] + "%"));
      box.appendChild(fact);
    });
    var fact = element("div", "gs-fact");
    fact.appendChild(holding("span", "", both(["重叠地块面积", "Disputed land"])));
    fact.appendChild(element("span", "", hectares(row[4])));
    box.appendChild(fact);
    tools.tell(box);
  }

  function openList() {
    var box = element("div", "gs-conflict");
    tools.deselect();
    box.appendChild(holding("h3", "", both(["冲突清单（" + nets.disputes.toLocaleString("zh-CN") + "）", "Conflicts (" + nets.disputes.toLocaleString("en") + ")"])));
    if (!nets.conflicts.length) box.appendChild(warning(["各网络边界之间没有冲突。", "No grids are in conflict."]));
    else if (nets.conflicts.length < nets.disputes) box.appendChild(warning(["只列出面积最大的 " + nets.conflicts.length + " 处", "The largest " + nets.conflicts.length + " are listed"]));
    var list = element("ol", "gs-conflicts");
    nets.conflicts.forEach(function (row, i) {
      var item = element("li"), button = element("button", "gs-link");
      button.type = "button";
      sides(row).forEach(function (side, k) {
        if (k) button.append(" × ");
        button.appendChild(tools.swatch(side[0]));
        button.append(" " + side[0].code[side[1]]);
      });
      button.appendChild(element("span", "gs-count", hectares(row[4])));
      button.onclick = function () { openConflict(row, i); };
      item.appendChild(button);
      list.appendChild(item);
    });
    box.appendChild(list);
    tools.tell(box);
  }

  var open = document.getElementById("gs-conflicts-open");
  if (open) open.onclick = openList;
});
