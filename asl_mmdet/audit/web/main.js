// Clicks, keys, dialogs and files.

const whole = byId("whole");
const classKeys = mostFrequentClasses();
let isZoomed = false;

/** The classes that the keys 1 to 9 give: all where there are so few, else those that most findings have. */
function mostFrequentClasses() {
  const places = data.classes.map((_, i) => i);
  if (places.length <= 9) return places;
  const numbers = new Map();
  for (const { row } of findings)
    if (row.kind === "missing" || row.kind === "wrong_class")
      numbers.set(row.category, (numbers.get(row.category) ?? 0) + 1);
  const frequency = i => numbers.get(data.classes[i].name) ?? 0;
  return places.sort((a, b) => frequency(b) - frequency(a)).slice(0, 9);
}

function markCurrent() {
  for (const card of cards.values()) card.tabIndex = card.finding === current ? 0 : -1;
}

function select(finding, focuses = true) {
  current = finding;
  const place = active.shown.indexOf(finding);
  if (place >= active.made) grow(active, place);
  markCurrent();
  const card = cards.get(finding.n);
  if (focuses && !whole.open) card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
  if (whole.open) showWhole();
}

/** Go some findings further. */
function move(step) {
  const next = current && active.shown[active.shown.indexOf(current) + step];
  if (next) select(next);
}

/** Go to the card above or below: the one of the next row that is nearest. */
function moveRow(step) {
  const card = current && cards.get(current.n);
  if (!card || whole.open) return move(step);
  const { top, left } = card.getBoundingClientRect();
  const { shown } = active;
  let best = null;
  for (let i = shown.indexOf(current) + step; i >= 0 && i < shown.length; i += step) {
    if (i >= active.made) grow(active, i);
    const place = cards.get(shown[i].n).getBoundingClientRect();
    if (place.top === top) continue;
    if (best && place.top !== best.top) break;
    const distance = Math.abs(place.left - left);
    if (!best || distance < best.distance) best = { finding: shown[i], top: place.top, distance };
  }
  if (best) select(best.finding);
  else move(step);
}

/** Accept or reject; a decision that is there already is taken back by its button, not by its key. */
function decideOn(finding, state, isToggle) {
  const before = decisions.get(finding.n);
  if (before?.state !== state) take([[finding, { state }]]);
  else if (isToggle) take([[finding, null]]);
}

function chooseClass(finding, chosen) {
  if (canChangeClass(finding)) take([[finding, withClass(finding, chosen)]]);
  else say(`A ${finding.row.kind} finding has no other class to choose.`);
}

/** Accept what is left among those that are shown with at least this score. */
function acceptUp(finding) {
  take(
    active.shown
      .filter(one => one.row.score >= finding.row.score && stateOf(one) === "open")
      .map(one => [one, { state: "accepted" }]),
  );
}

function undoStep() {
  const changed = undo();
  if (!changed.length) return say("There is nothing to undo.");
  showDecided(changed);
  const section = sections.get(changed[0].row.kind);
  if (section !== active) show(section);
  if (section.shown.includes(changed[0])) select(changed[0]);
  say(`Undone: ${changed.length === 1 ? classOf(changed[0]) : changed.length + " findings"}`);
}

function showWhole() {
  const { row } = current;
  const image = data.images[current.image];
  if (!whole.open) whole.showModal();
  byId("whole-title").replaceChildren(named(row.file_name));
  const labels = image.tags.length
    ? [" Labelled: ", ...image.tags.flatMap((tag, i) => [i ? ", " : "", named(tag)]), "."]
    : [];
  byId("whole-note").replaceChildren(
    make("b", {}, `${row.kind} ${row.score.toFixed(2)} `),
    ...describe(current),
    `. ${SIGNS[stateOf(current)]}.`,
    ...labels,
  );
  const canvas = byId("whole-canvas");
  canvas.setAttribute("aria-label", `${row.file_name} with its boxes`);
  const fits = Math.min((innerWidth - 60) / image.width, (innerHeight - 220) / image.height, 3);
  const scale = isZoomed ? image.scale : Math.max(fits, 0.05);
  canvas.style.width = Math.round(image.width * scale) + "px";
  byId("zoom").setAttribute("aria-pressed", isZoomed);
  for (const element of whole.querySelectorAll("[data-do]"))
    element.setAttribute("aria-pressed", element.dataset.do === stateOf(current));
  draw(canvas, current, { x: 0, y: 0, width: image.width, height: image.height, scale }, true);
}

function download() {
  const address = URL.createObjectURL(new Blob([reviewedJson()], { type: "application/json" }));
  make("a", { href: address, download: "reviewed.json" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  say("reviewed.json is downloaded.");
}

async function readFile(input) {
  const [file] = input.files;
  try {
    const { read, others } = readReviewed(await file.text());
    refresh();
    say(`${file.name}: ${read} decisions read${others ? `, ${others} of findings that are not on this page` : ""}.`);
  } catch (error) {
    say(`${file.name} cannot be read: ${error.message}`);
  }
  input.value = ""; // the same file may be chosen again
}

const KEYS = {
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  ArrowUp: () => moveRow(-1),
  ArrowDown: () => moveRow(1),
  a: () => (decideOn(current, "accepted"), move(1)),
  r: () => (decideOn(current, "rejected"), move(1)),
  A: () => acceptUp(current),
  u: undoStep,
  c: () => cards.get(current.n)?.querySelector("select")?.focus(),
  Enter: () => (whole.open ? whole.close() : showWhole()),
};

/** Whether a key is for the control that has the focus. */
function isForControl({ target, key }) {
  if (target.matches("[type=range]")) return /^(Arrow|Page|Home|End)/.test(key);
  return target.matches("input, select") || (target.matches("button, summary") && (key === "Enter" || key === " "));
}

/** The place of the class that a number key stands for, if there is one. */
const classOfKey = key => (/^[1-9]$/.test(key) ? classKeys[key - 1] : undefined);

/** A key in the choice of a class. What is typed counts when Enter ends it: a browser jumps to another class at each letter. */
function pressInChoice(event) {
  const { target: choice, key } = event;
  const card = choice.closest(".card");
  if (key === "Enter" || key === "Escape") {
    event.preventDefault();
    if (key === "Enter" && choice.dataset.typed) chooseClass(card.finding, choice.selectedIndex);
    card.focus();
  } else if (key !== "Tab") {
    choice.dataset.typed = true;
    const chosen = classOfKey(key);
    const isInNames = data.classes.some(({ name }) => name.startsWith(key));
    if (chosen !== undefined && !isInNames) choice.selectedIndex = chosen;
  }
}

function press(event) {
  if (event.target.matches(".card select")) return pressInChoice(event);
  if (isForControl(event) || event.ctrlKey || event.metaKey || event.altKey || !current || byId("keys").open) return;
  const chosen = classOfKey(event.key);
  const action = chosen === undefined ? KEYS[event.key] : () => chooseClass(current, chosen);
  if (!action) return;
  event.preventDefault();
  action();
  if (whole.open) showWhole();
}

function click(event) {
  const card = event.target.closest(".card");
  if (card) select(card.finding, !event.target.closest("button, select"));
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (!what) return;
  if (what === "whole") showWhole();
  else if (what === "up") acceptUp(current);
  else decideOn(current, what, true);
  if (what !== "whole" && whole.open) showWhole();
}

function start() {
  load();
  for (const kind of Object.keys(KINDS)) {
    const all = findings.filter(finding => finding.row.kind === kind);
    if (all.length) sections.set(kind, makeSection(kind, all));
  }
  byId("total").textContent =
    findings.length < data.total
      ? `The best ${number(findings.length)} of ${number(data.total)} findings, of each kind.`
      : `${number(data.total)} findings.`;
  byId("sections").append(...[...sections.values()].map(section => section.element));
  byId("tabs").append(...[...sections.values()].map(section => section.tab));
  byId("class").append(...data.classes.map(({ name }) => make("option", {}, name)));
  byId("names").append(
    ...[...new Set(data.images.map(image => image.name))].slice(0, 500).map(value => make("option", { value })),
  );
  byId("class-keys").append(
    ...classKeys.map((place, i) =>
      make("tr", {}, make("td", {}, make("kbd", {}, String(i + 1))), make("td", {}, named(data.classes[place].name))),
    ),
  );
  byId("filters").open = matchMedia("(min-width: 700px)").matches;
  for (const key of Object.keys(filters))
    byId(key).addEventListener("input", event => {
      filters[key] = event.target.value;
      refresh();
    });
  byId("filters")
    .querySelector("form")
    .addEventListener("submit", event => event.preventDefault());
  byId("undo").addEventListener("click", undoStep);
  byId("download").addEventListener("click", download);
  byId("read").addEventListener("change", event => readFile(event.target));
  byId("show-keys").addEventListener("click", () => byId("keys").showModal());
  byId("zoom").addEventListener("click", () => {
    isZoomed = !isZoomed;
    showWhole();
  });
  for (const element of whole.querySelectorAll("[data-move]"))
    element.addEventListener("click", () => move(Number(element.dataset.move)));
  whole.addEventListener("close", () => current && select(current));
  byId("sections").addEventListener("change", event => {
    const card = event.target.closest(".card");
    if (card && !event.target.dataset.typed) chooseClass(card.finding, event.target.selectedIndex);
  });
  for (const leaving of ["focusout", "pointerdown"])
    byId("sections").addEventListener(leaving, event => {
      if (event.target.dataset.typed) event.target.revert();
    });
  document.addEventListener("click", click);
  document.addEventListener("keydown", press);
  const bar = byId("bar"); // a card that is scrolled to must not lie behind it
  new ResizeObserver(() => {
    document.documentElement.style.scrollPaddingTop =
      getComputedStyle(bar).position === "sticky" ? bar.offsetHeight + "px" : "";
  }).observe(bar);
  addEventListener("storage", event => {
    if (event.key !== KEPT) return; // another tab has the same page
    decisions.clear();
    load();
    refresh();
  });
  active = sections.values().next().value;
  refresh();
}

start();
