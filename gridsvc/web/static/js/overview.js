// The picture of the whole area that is in the page, before the map is there. Runs where it stands: right after the picture.

(() => {
  const picture = document.getElementById("overview");
  if (!picture) return;
  // a map that begins somewhere else draws itself
  if (location.hash.length > 1) return picture.remove();
  let chosen = {};
  try {
    chosen = JSON.parse(localStorage.getItem("gridsvc-layers") ?? "{}");
  } catch {
    // private windows keep nothing
  }
  for (const drawn of picture.querySelectorAll("[data-layer]")) drawn.toggleAttribute("hidden", chosen[drawn.dataset.layer] === false);
  const unit = picture.getScreenCTM()?.a;
  for (const name of unit ? picture.querySelectorAll("text") : []) name.setAttribute("font-size", name.dataset.size / unit);
})();
