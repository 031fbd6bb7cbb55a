// Sections, one for each kind, with cards that are made as one scrolls.

const CHUNK = 48; // cards that are added at a time
const KINDS = {
  missing: ["Objects that the model sees and nobody annotated.", "adds the model's box", "adds the label"],
  wrong_class: ["Annotations where the model sees another class.", "changes the class"],
  badly_located: ["Annotations whose box is off, by the model.", "takes the model's box"],
  spurious: ["Annotations that the model does not see.", "removes the annotation", "removes the label"],
};
const SIGNS = { open: "undecided", accepted: "accepted", rejected: "rejected" };
const filters = { class: "", image: "", state: "", sort: "score" };
const sections = new Map(); // by kind: {all, shown, made, from, element, grid, ...}
const cards = new Map(); // by n
let current = null; // the finding that keys are about
let active = null; // the section that is shown

const byId = id => document.getElementById(id);
const number = value => value.toLocaleString("en");

/** An element with properties, and with children: elements or text. */
function make(tag, properties = {}, ...children) {
  const { data: attributes = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A name from the data set: its own direction of writing does not reach the text around it. */
const named = text => make("bdi", {}, text);

const drawing = new IntersectionObserver(
  entries => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) drawSoon(target);
      else drawNever(target);
    }
  },
  { rootMargin: "400px" },
);
const growing = new IntersectionObserver(
  entries => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) grow(sections.get(target.dataset.kind));
  },
  { rootMargin: "800px" },
);

function makeSection(kind, all) {
  const [what, effect, effectOnTags] = KINDS[kind];
  const scores = all.map(finding => finding.row.score);
  const [low, high] = [Math.floor(Math.min(...scores) * 100) / 100, Math.ceil(Math.max(...scores) * 100) / 100];
  const slider = make("input", { type: "range", min: low, max: high, step: 0.01, value: low });
  const section = {
    kind,
    all,
    shown: [],
    made: 0,
    from: low,
    slider,
    tab: make("button", { type: "button" }),
    output: make("span", {}, low.toFixed(2)),
    counts: make("span", { className: "shown" }),
    precision: make("div"),
    summary: make("summary"),
    target: make(
      "select",
      {},
      ...[99, 95, 90, 80].map(share => make("option", { value: share / 100, selected: share === 95 }, share + " %")),
    ),
    grid: make("ul", { className: "grid", data: { role: "list" } }),
    more: make("div", { className: "more", data: { "data-kind": kind } }),
  };
  slider.addEventListener("input", () => {
    section.from = Number(slider.value);
    section.output.textContent = section.from.toFixed(2);
    refresh();
  });
  section.tab.addEventListener("click", () => show(section));
  section.target.addEventListener("change", () => showPrecision(section));
  section.element = make(
    "section",
    { data: { "aria-labelledby": "title-" + kind } },
    make("h2", { id: "title-" + kind }, kind, " ", make("small", {}, number(all.length))),
    make("p", { className: "what" }, `${what} Accept ${data.is_tags ? (effectOnTags ?? effect) : effect}.`),
    make("div", { className: "row" }, make("label", {}, "score from ", slider, " "), section.output, section.counts),
    make(
      "details",
      {},
      section.summary,
      make("p", {}, make("label", {}, "precision to keep ", section.target)),
      section.precision,
    ),
    section.grid,
    section.more,
  );
  growing.observe(section.more);
  return section;
}

function matches(finding, section) {
  const { row } = finding;
  const classes = [classOf(finding), row.category, row.annotated_category];
  return (
    row.score >= section.from &&
    (!filters.class || classes.includes(filters.class)) &&
    (!filters.image || row.file_name.toLowerCase().includes(filters.image.toLowerCase())) &&
    (!filters.state || stateOf(finding) === filters.state)
  );
}

const ORDERS = {
  score: () => 0,
  class: (a, b) => a.row.category.localeCompare(b.row.category),
  image: (a, b) => a.row.file_name.localeCompare(b.row.file_name),
};

/** Filter and sort a section again; its cards are made anew if it is the one that is shown. */
function refreshSection(section) {
  section.shown = section.all.filter(finding => matches(finding, section));
  section.shown.sort((a, b) => ORDERS[filters.sort](a, b) || b.row.score - a.row.score);
  for (const element of section.grid.querySelectorAll("canvas")) {
    drawing.unobserve(element);
    drawNever(element);
  }
  for (const item of section.grid.children) cards.delete(item.firstChild.finding.n);
  section.grid.replaceChildren();
  section.made = 0;
  section.element.hidden = section !== active;
  if (section === active) grow(section);
  showCounts(section);
}

function refresh() {
  if (!active) return; // there is no finding
  for (const section of sections.values()) refreshSection(section);
  if (!active.shown.includes(current)) current = active.shown[0] ?? null;
  markCurrent();
}

/** Show another section. */
function show(section) {
  active = section;
  refresh();
  scrollTo(0, 0);
}

/** Make the next cards of a section, up to one of a place. */
function grow(section, upTo = section.made) {
  const end = Math.min(section.shown.length, upTo + CHUNK);
  const made = section.shown.slice(section.made, end).map(finding => make("li", {}, makeCard(finding)));
  section.grid.append(...made);
  section.made = Math.max(section.made, end);
  section.more.hidden = section.made >= section.shown.length;
  growing.unobserve(section.more); // observed again, it is told if it is still in view
  if (!section.more.hidden) growing.observe(section.more);
}

function makeCard(finding) {
  const { row } = finding;
  const canvas = make("canvas", { finding });
  const card = make(
    "div",
    { className: "card", tabIndex: finding === current ? 0 : -1, finding, data: { role: "group" } },
    make(
      "button",
      { className: "crop", tabIndex: -1, data: { "data-do": "whole", "aria-label": "Show the whole image" } },
      canvas,
    ),
    make("p", {}, make("b", {}, row.score.toFixed(2)), " ", ...describe(finding)),
    make("p", { className: "file", title: row.file_name }, named(row.file_name)),
    make(
      "div",
      { className: "actions" },
      button("accepted", "✓ Accept"),
      button("rejected", "✗ Reject"),
      button("up", "⇧", `Accept all that are left from ${row.score.toFixed(2)} up`),
    ),
  );
  if (canChangeClass(finding)) card.lastChild.append(makeClassChoice());
  cards.set(finding.n, card);
  showState(finding);
  drawing.observe(canvas);
  return card;
}

const button = (what, text, label) =>
  make(
    "button",
    {
      type: "button",
      ...(label && { title: label }),
      data: { "data-do": what, ...(label && { "aria-label": label }) },
    },
    text,
  );

const placeOfClass = finding => data.classes.findIndex(({ name }) => name === classOf(finding));

/** A choice whose options are made when it is used: most never are. */
function makeClassChoice() {
  const choice = make("select", { data: { "aria-label": "Class" } });
  const fill = () => {
    if (choice.options.length > 1) return;
    const place = key => (classKeys.includes(key) ? ` (${classKeys.indexOf(key) + 1})` : "");
    const finding = choice.closest(".card").finding;
    choice.replaceChildren(
      ...data.classes.map(({ name }, i) =>
        make("option", { value: i, selected: name === classOf(finding) }, name + place(i)),
      ),
    );
  };
  choice.revert = () => {
    delete choice.dataset.typed;
    choice.selectedIndex = placeOfClass(choice.closest(".card").finding);
  };
  choice.addEventListener("focus", fill);
  choice.addEventListener("pointerdown", fill);
  return choice;
}

/** What a finding is, in words. */
function describe({ row }) {
  const annotated = row.annotated_category;
  if (row.kind === "wrong_class") return ["annotated ", named(annotated), ", the model sees ", named(row.category)];
  if (row.kind === "badly_located") return [named(annotated), `, IoU ${row.iou.toFixed(2)} with the model's box`];
  if (row.kind === "spurious") {
    const seen = row.seen_bbox
      ? ["; the model sees ", named(row.seen_category), ` ${row.seen_score.toFixed(2)} there`]
      : [];
    return ["annotated ", named(row.category), ...seen];
  }
  if (row.touched_id === undefined) return [named(row.category)];
  const other = row.touched_is_found
    ? "; it touches an annotation that the model finds too: a second object"
    : "; it touches an annotation that the model finds nowhere else: perhaps the same object in a loose box";
  return [named(row.category), other];
}

function showState(finding) {
  const card = cards.get(finding.n);
  if (!card) return;
  const state = stateOf(finding);
  card.dataset.state = state;
  const { row } = finding;
  card.setAttribute(
    "aria-label",
    `${row.kind}, ${classOf(finding)}, score ${row.score.toFixed(2)}, ${row.file_name}, ${SIGNS[state]}`,
  );
  for (const element of card.querySelectorAll("[data-do=accepted], [data-do=rejected]"))
    element.setAttribute("aria-pressed", element.dataset.do === state);
  const choice = card.querySelector("select");
  if (!choice) return;
  if (choice.options.length > 1)
    choice.selectedIndex = placeOfClass(finding);
  else choice.replaceChildren(make("option", { selected: true }, classOf(finding)));
}

const inWords = ({ open, accepted, rejected }) =>
  `${number(open)} left, ${number(accepted)} accepted, ${number(rejected)} rejected`;

function showCounts(section) {
  section.counts.textContent = `${number(section.shown.length)} shown: ${inWords(countsOf(section.shown))}`;
  section.tab.replaceChildren(section.kind, " ", make("small", {}, number(section.shown.length)));
  section.tab.setAttribute("aria-current", section === active);
  showPrecision(section);
  const all = countsOf(findings);
  byId("counts").textContent = inWords(all);
  byId("apply").hidden = !all.accepted;
  byId("warning").hidden = !storageFails;
  byId("warning").textContent = "This browser does not keep what you decide: download it before you leave the page.";
}

function showPrecision(section) {
  const bands = bandsOf(section.all);
  const reviewed = bands.reduce((sum, band) => sum + band.reviewed, 0);
  const accepted = bands.reduce((sum, band) => sum + band.accepted, 0);
  const share = reviewed ? `${number(accepted)} of ${number(reviewed)} accepted` : "nothing reviewed";
  section.summary.textContent = `Precision so far: ${share}`;
  const head = ["score", "findings", "reviewed", "accepted", "precision"].map(title =>
    make("th", { scope: "col" }, title),
  );
  const rows = bands.map(band => {
    const share = band.reviewed ? Math.round((100 * band.accepted) / band.reviewed) + " %" : "";
    const last = band.from === 0.9 ? "1.0" : (band.from + 0.1).toFixed(1);
    return make(
      "tr",
      {},
      ...[`${band.from.toFixed(1)} to ${last}`, band.all, band.reviewed, band.accepted, share].map(value =>
        make("td", {}, String(value)),
      ),
    );
  });
  section.precision.replaceChildren(
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
    suggest(section),
  );
}

function suggest(section) {
  const best = thresholdOf(section.all, Number(section.target.value));
  if (!best)
    return make(
      "p",
      {},
      `No threshold yet: at least ${MIN_REVIEWED} findings must be reviewed, and that share of them accepted.`,
    );
  const from = best.score.toFixed(2);
  const rest = section.all.filter(finding => finding.row.score >= best.score && stateOf(finding) === "open");
  const text = make(
    "p",
    { className: "suggestion" },
    `Above ${from} you accepted ${number(best.accepted)} of ${number(best.reviewed)}. `,
  );
  if (rest.length) {
    const accept = make("button", { type: "button" }, `Accept the ${number(rest.length)} left above ${from}`);
    accept.addEventListener("click", () =>
      take(rest.map(finding => [finding, { state: "accepted", estimated: true }])),
    );
    text.append(accept);
  }
  return text;
}

/** Show decisions that were taken or undone. */
function showDecided(changed) {
  for (const finding of changed) showState(finding);
  for (const kind of new Set(changed.map(finding => finding.row.kind))) showCounts(sections.get(kind));
}

function say(text) {
  byId("status").textContent = text;
}

/** Take decisions and show them. */
function take(changes) {
  if (!changes.length) return;
  decide(changes);
  showDecided(changes.map(([finding]) => finding));
  const [[finding, decision]] = changes;
  const state = SIGNS[decision?.state ?? "open"];
  say(
    changes.length > 1
      ? `${changes.length} findings: ${state}`
      : `${classOf(finding)}, ${finding.row.score.toFixed(2)}: ${state}`,
  );
}
