// A Chinese font of the machine, where it has one: labels then wait for no file of ours.

const LOCAL = ["PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei"];
const OURS = "Noto Sans SC";

/** Return the pixels of a character drawn by the fonts of the machine. */
function pixels(character) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.font = `24px ${LOCAL.map((name) => `"${name}"`).join()}`;
  context.fillText(character, 4, 26);
  return context.getImageData(0, 0, 32, 32).data.join();
}

// without a Chinese font all characters are the same box
const isLocal = pixels("网") !== pixels("格");

/** What a MapLibre style says of the font of labels: ours as files, or nothing. */
export const fontFaces = (files) => (isLocal ? {} : { "font-faces": { [OURS]: files } });

/** The fonts of a layer's labels. */
export const FONT = isLocal ? LOCAL : [OURS];
