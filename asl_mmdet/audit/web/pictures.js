// The embedded pictures, and boxes on them. Coordinates are pixels of the image as the model reads it.

const COLOURS = { annotated: "#4db2ff", model: "#ff9a2e", ignored: "#ffffff" };
const CROP = 224; // CSS pixels of a crop's side
const MAX_KEPT = 24; // decoded pictures
const AT_A_TIME = 4; // pictures that are decoded
const decoded = new Map();
const waiting = new Set(); // canvases to draw
let drawn = 0; // how many are being drawn
const loaded = new Promise(resolve => document.addEventListener("DOMContentLoaded", resolve, { once: true }));

/** A picture, decoded. The page's last part are the pictures: a card may come before its own. */
async function pictureOf(number) {
  const text = document.getElementById("picture-" + number);
  if (!text?.nextSibling && document.readyState === "loading") {
    await loaded;
    return pictureOf(number);
  }
  const kept = decoded.get(number) ?? decode(text.textContent);
  decoded.delete(number);
  decoded.set(number, kept);
  if (decoded.size > MAX_KEPT) {
    const [oldest, bitmap] = decoded.entries().next().value;
    decoded.delete(oldest);
    bitmap.then(
      one => setTimeout(() => one.close(), 5000), // its memory, once nobody draws it any more
      () => {},
    );
  }
  return kept;
}

async function decode(base64) {
  const response = await fetch("data:image/jpeg;base64," + base64); // the fastest way to decode the letters
  return createImageBitmap(await response.blob());
}

/** Draw the crop of a card while it is in view: few at a time, the last first, so fast scrolling waits for none. */
function drawSoon(canvas) {
  waiting.add(canvas);
  drawNext();
}

function drawNever(canvas) {
  waiting.delete(canvas);
  canvas.job = canvas.width = canvas.height = 0; // its memory
}

async function drawNext() {
  if (drawn >= AT_A_TIME || !waiting.size) return;
  const canvas = [...waiting].pop();
  waiting.delete(canvas);
  drawn++;
  await draw(canvas, canvas.finding, windowOf(canvas.finding), false).catch(() =>
    canvas.setAttribute("aria-label", "no picture"),
  );
  drawn--;
  drawNext();
}

/** The part of an image that a card shows: {x, y, width, height, scale}, scale in CSS pixels per pixel of the image. */
function windowOf(finding) {
  const image = data.images[finding.image];
  const boxes = mainBoxes(finding).map(({ box }) => box);
  if (!boxes.length)
    return {
      x: 0,
      y: 0,
      width: image.width,
      height: image.height,
      scale: CROP / Math.max(image.width, image.height),
    };
  const left = Math.min(...boxes.map(([x]) => x));
  const top = Math.min(...boxes.map(([, y]) => y));
  const right = Math.max(...boxes.map(([x, , width]) => x + width));
  const bottom = Math.max(...boxes.map(([, y, , height]) => y + height));
  const size = Math.max(right - left, bottom - top, 1);
  const room = 1.5 * size + 16;
  // Pixels as they are, or two or three times as large where the object is small; larger objects are reduced to fit.
  const scale = room > CROP ? CROP / room : Math.max(1, Math.min(3, Math.floor(CROP / (2.5 * size))));
  const side = CROP / scale;
  const within = (middle, length) =>
    Math.round(length < side ? (length - side) / 2 : Math.max(0, Math.min(length - side, middle - side / 2)));
  const x = within((left + right) / 2, image.width);
  return { x, y: within((top + bottom) / 2, image.height), width: side, height: side, scale };
}

/** The boxes that a finding is about: {box, as, label}. */
function mainBoxes(finding) {
  const { row } = finding;
  if (!row.bbox) return [];
  const about = row.annotation_id ?? row.touched_id;
  const boxes = data.images[finding.image].boxes
    .filter(one => about !== undefined && one.id === about)
    .map(one => ({ box: one.box, as: "annotated", label: one.name }));
  if (row.kind !== "spurious") boxes.push({ box: row.bbox, as: "model", label: row.category });
  else if (!boxes.length) boxes.push({ box: row.bbox, as: "annotated", label: row.category });
  if (row.seen_bbox)
    boxes.push({ box: row.seen_bbox, as: "model", label: `${row.seen_category} ${row.seen_score.toFixed(2)}` });
  return boxes;
}

/** Draw a part of a finding's image with its boxes; with names, and what else was found there, for the whole image. */
async function draw(canvas, finding, part, isWhole) {
  const image = data.images[finding.image];
  const [number, x0, y0, reduced] =
    isWhole || !finding.crop ? [image.picture, 0, 0, image.scale] : [...finding.crop, 1];
  const job = (canvas.job = {});
  const picture = await pictureOf(number);
  if (canvas.job !== job) return; // it is to show something else by now, or nothing
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(part.width * part.scale * ratio);
  canvas.height = Math.round(part.height * part.scale * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.imageSmoothingEnabled = (part.scale / reduced) * ratio < 1 || !Number.isInteger((part.scale / reduced) * ratio);
  pen.imageSmoothingQuality = "high";
  pen.save();
  pen.scale(part.scale, part.scale);
  pen.translate(-part.x, -part.y);
  pen.drawImage(picture, x0, y0, picture.width / reduced, picture.height / reduced);
  pen.restore();
  const main = mainBoxes(finding);
  if (finding.row.bbox) {
    for (const { box, ignored } of image.boxes) frame(pen, part, box, ignored ? "ignored" : "annotated", 1);
    if (isWhole)
      for (const other of findings)
        if (other.image === finding.image && other.row.kind !== "spurious" && other.row.bbox)
          frame(pen, part, other.row.bbox, "model", 1);
  }
  for (const { box, as } of main) frame(pen, part, box, as, 3);
  if (isWhole) for (const { box, as, label } of main) title(pen, part, box, as, label);
}

function frame(pen, part, [x, y, width, height], as, thick) {
  const place = [(x - part.x) * part.scale, (y - part.y) * part.scale, width * part.scale, height * part.scale];
  const dash = { annotated: [], model: [7, 4], ignored: [2, 3] }[as];
  pen.setLineDash([]);
  pen.lineWidth = thick + 2;
  pen.strokeStyle = "#0007"; // an edge that is seen on any background
  pen.strokeRect(...place);
  pen.setLineDash(dash);
  pen.lineWidth = thick;
  pen.strokeStyle = COLOURS[as];
  pen.strokeRect(...place);
}

function title(pen, part, [x, y, , height], as, label) {
  const text = as === "model" ? "model: " + label : label;
  pen.font = "13px system-ui, sans-serif";
  const width = pen.measureText(text).width + 8;
  const top = (y - part.y) * part.scale;
  const left = Math.max(0, Math.min((x - part.x) * part.scale, part.width * part.scale - width));
  // An annotation has its name above, the model's box below, so both can be read where they overlap.
  const line =
    as === "model" ? Math.min(top + height * part.scale + 2, part.height * part.scale - 19) : Math.max(0, top - 21);
  pen.fillStyle = "#000b";
  pen.fillRect(left, line, width, 19);
  pen.fillStyle = COLOURS[as];
  pen.fillText(text, left + 4, line + 14);
}
