// What the findings are, what a person decided, and where that is kept.

const data = JSON.parse(document.getElementById("data").textContent);
const findings = data.findings; // {n, row, image, crop}: n is its place in findings.json
const KEPT = "asl-mmdet audit " + data.audit;
const MIN_REVIEWED = 20; // fewer say little about a threshold
const decisions = new Map(); // by n: {state, chosen, estimated}: chosen is a place in data.classes
const past = []; // steps to undo, each a list of [finding, decision before]
let storageFails = false;

const canChangeClass = finding => finding.row.kind === "missing" || finding.row.kind === "wrong_class";
const stateOf = finding => decisions.get(finding.n)?.state ?? "open";

function classOf(finding) {
  const chosen = decisions.get(finding.n)?.chosen;
  return chosen === undefined ? finding.row.category : data.classes[chosen].name;
}

function load() {
  try {
    const known = new Set(findings.map(finding => finding.n));
    for (const [n, decision] of JSON.parse(localStorage.getItem(KEPT) ?? "[]"))
      if (known.has(n)) decisions.set(n, decision);
  } catch {
    storageFails = true;
  }
}

function save() {
  try {
    localStorage.setItem(KEPT, JSON.stringify([...decisions]));
  } catch {
    storageFails = true;
  }
}

/** Take decisions, [finding, decision or null], as one step that can be undone. */
function decide(changes) {
  past.push(changes.map(([finding]) => [finding, decisions.get(finding.n) ?? null]));
  put(changes);
}

function put(changes) {
  for (const [finding, decision] of changes) {
    if (decision) decisions.set(finding.n, decision);
    else decisions.delete(finding.n);
  }
  save();
}

/** Undo the last step; the findings that it was about. */
function undo() {
  const step = past.pop() ?? [];
  put(step);
  return step.map(([finding]) => finding);
}

/** The decision that gives a finding a class: the annotated one says that the label is right. */
function withClass(finding, chosen) {
  const name = data.classes[chosen].name;
  if (finding.row.kind === "wrong_class" && name === finding.row.annotated_category) return { state: "rejected" };
  return name === finding.row.category ? { state: "accepted" } : { state: "accepted", chosen };
}

function countsOf(list) {
  const counts = { open: 0, accepted: 0, rejected: 0 };
  for (const finding of list) counts[stateOf(finding)]++;
  return counts;
}

/** Precision by bands of 0.1 of the score, best first; what was accepted by an estimate does not count as reviewed. */
function bandsOf(list) {
  const bands = [];
  for (let from = 9; from >= 0; from--) bands.push({ from: from / 10, all: 0, reviewed: 0, accepted: 0 });
  for (const finding of list) {
    const band = bands[9 - Math.min(9, Math.floor(finding.row.score * 10))];
    band.all++;
    count(band, finding);
  }
  return bands.filter(band => band.all);
}

function count(sum, finding) {
  const decision = decisions.get(finding.n);
  if (!decision || decision.estimated) return;
  sum.reviewed++;
  if (decision.state === "accepted") sum.accepted++;
}

/** The lowest score from which on that share of what was reviewed is accepted: {score, reviewed, accepted}, or null. */
function thresholdOf(list, target) {
  const sum = { reviewed: 0, accepted: 0 };
  let best = null;
  for (const finding of [...list].sort((a, b) => b.row.score - a.row.score)) {
    const before = sum.accepted;
    count(sum, finding);
    if (sum.accepted > before && sum.reviewed >= MIN_REVIEWED && sum.accepted >= target * sum.reviewed)
      best = { score: finding.row.score, ...sum };
  }
  return best;
}

/** Findings with decisions, as JSON; numbers that JavaScript would round are text that starts with the audit. */
function reviewedJson() {
  const rows = findings.map(finding => {
    const decision = decisions.get(finding.n);
    const row = { ...finding.row, decision: decision?.state ?? "open" };
    if (decision?.estimated) row.estimated = true;
    if (decision?.chosen === undefined) return row;
    const { id, name } = data.classes[decision.chosen];
    return {
      ...row,
      category_id: id,
      category: name,
      model_category_id: row.category_id,
      model_category: row.category,
    };
  });
  return JSON.stringify(rows, null, 1).replaceAll(new RegExp(`"${data.audit}:(-?\\d+)"`, "g"), "$1");
}

const numberOf = id => Number(String(id).replace(data.audit + ":", ""));

function keyOf(row) {
  const { kind, file_name, bbox, model_category, category } = row;
  return JSON.stringify([
    kind,
    file_name,
    numberOf(row.image_id),
    numberOf(row.annotation_id),
    bbox,
    model_category ?? category,
  ]);
}

/**
 * Take the decisions of a reviewed.json, also of an older audit where a finding is the same.
 * {read, others}: how many, and how many are about other findings.
 */
function readReviewed(text) {
  const rows = JSON.parse(text);
  if (!Array.isArray(rows)) throw new Error("it is no list of findings");
  const byKey = new Map(findings.map(finding => [keyOf(finding.row), finding]));
  const changes = [];
  let others = 0;
  for (const row of rows) {
    if (row?.decision !== "accepted" && row?.decision !== "rejected") continue;
    const finding = byKey.get(keyOf(row));
    const chosen = data.classes.findIndex(one => one.name === row.category);
    if (!finding || chosen < 0) others++;
    else
      changes.push([
        finding,
        {
          ...(row.decision === "accepted" && canChangeClass(finding) ? withClass(finding, chosen) : {}),
          state: row.decision,
          ...(row.estimated && { estimated: true }),
        },
      ]);
  }
  if (changes.length) decide(changes);
  return { read: changes.length, others };
}
