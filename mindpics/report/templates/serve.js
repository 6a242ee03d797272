"use strict";
const byId = (id) => document.getElementById(id);
const percent = (share) => (100 * share).toFixed(share < 0.0995 || share > 0.9905 ? 1 : 0) + "\u00a0%";

// Everything that comes from the run or from an answer becomes text here, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function thumbnail(found, ...lines) {
  const image = make("img", { src: found.thumbnail, alt: "", width: 128, height: 128 });
  return make("li", {}, image, ...lines.flatMap((line) => [make("br"), line]).slice(1));
}

const tabs = [...document.querySelectorAll("[role=tab]")];
function show(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !chosen;
  }
}
for (const tab of tabs) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    show(next);
    next.focus();
  });
}
for (const span of document.querySelectorAll(".origin")) span.textContent = location.origin;

// One request at a time for a form; the answer to an older one is passed over.
async function ask(form, address, data, showAnswer) {
  const panel = form.parentElement, status = form.querySelector(".status"), error = form.querySelector(".error");
  const result = panel.querySelector(".result"), turn = (form.turn = (form.turn || 0) + 1);
  status.textContent = "Looking …";
  error.hidden = true;
  result.hidden = true;
  try {
    const file = data.get("picture");
    const limit = Number(document.body.dataset.maxMegabytes);
    if (file instanceof File && file.size > limit * 1e6) throw new Error(`The upload is larger than ${limit} MB.`);
    const response = await fetch(address, { method: "POST", body: data }).catch(() => {
      throw new Error("No answer: is tools/serve still running?");
    });
    const answer = await response.json();
    if (turn !== form.turn) return;
    if (!response.ok) throw new Error(answer.error);
    showAnswer(answer);
    status.textContent = `Answered in ${answer.seconds.toFixed(2)} s.`;
    result.hidden = false;
    result.focus({ preventScroll: true });
  } catch (problem) {
    if (turn !== form.turn) return;
    status.textContent = "";
    error.textContent = problem.message;
    error.hidden = false;
  }
}

function preview(label, file) {
  const image = label.querySelector(".preview");
  if (image.src) URL.revokeObjectURL(image.src);
  image.onerror = () => (image.hidden = true);
  image.hidden = !file;
  if (file) image.src = URL.createObjectURL(file);
}
for (const label of document.querySelectorAll(".drop")) {
  const input = label.querySelector("input");
  input.addEventListener("change", () => preview(label, input.files[0]));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return; // Space opens the chooser; Enter would send the form
    event.preventDefault();
    input.click();
  });
  for (const kind of ["dragenter", "dragover"]) {
    label.addEventListener(kind, (event) => {
      event.preventDefault();
      label.classList.add("over");
    });
  }
  label.addEventListener("dragleave", () => label.classList.remove("over"));
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    label.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    const one = new DataTransfer();
    one.items.add(event.dataTransfer.files[0]);
    input.files = one.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

let traits = null;
function showTraits(answer) {
  traits = answer;
  byId("trait-bars").replaceChildren(...answer.traits.map(traitBar));
  const select = byId("region-trait");
  select.replaceChildren(...answer.traits.map((trait) => make("option", { value: trait.trait }, trait.name)));
  const surest = answer.traits.reduce((a, b) => (Math.abs(a.high - 0.5) >= Math.abs(b.high - 0.5) ? a : b));
  select.value = surest.trait;
  document.querySelector(`[name=pole][value=${surest.pole}]`).checked = true;
  byId("seen").src = answer.seen;
  showRegions();
  byId("nearest").replaceChildren(...answer.nearest.map((found) => {
    const name = answer.traits.find((trait) => trait.trait === found.trait).name;
    return thumbnail(found, make("strong", {}, found.word), `${found.pole === "high" ? "High" : "Low"} ${name}`,
      make("small", {}, `cosine ${found.cosine.toFixed(2)}`));
  }));
  if (!answer.nearest.length) byId("nearest").append(make("li", {}, "None: the run has no features of them."));
}
function traitBar(trait) {
  const pole = trait.pole === "high" ? "High" : "Low", filled = make("span", { class: trait.pole });
  filled.style.left = `${100 * Math.min(trait.high, 0.5)}%`;
  filled.style.width = `${100 * Math.abs(trait.high - 0.5)}%`;
  return make("li", {}, make("span", { class: "name" }, make("strong", {}, trait.name), `${pole} ${percent(Math.max(trait.high, 1 - trait.high))}`),
    make("span", { class: "bar pole", "aria-hidden": "true" }, filled));
}

const ROWS = ["top", "middle", "bottom"], COLUMNS = ["left", "centre", "right"];
function place(row, column, size) {
  const third = (cell) => Math.min(2, Math.floor((3 * cell + 1.5) / size));
  return `${ROWS[third(row)]} ${COLUMNS[third(column)]}`;
}
function rectangle(row, column, kind) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ x: column, y: row, width: 1, height: 1, class: kind })) rect.setAttribute(name, value);
  return rect;
}
function showRegions() {
  const trait = byId("region-trait").value, pole = document.querySelector("[name=pole]:checked").value;
  const drops = traits.occlusion[trait].map((line) => line.map((drop) => (pole === "high" ? drop : -drop)));
  const size = drops.length, cells = drops.flatMap((line, row) => line.map((drop, column) => ({ drop, row, column })));
  // Changes of less than a point are no finding (a sure net hardly moves), so they stay pale.
  const largest = Math.max(...cells.map((cell) => Math.abs(cell.drop)), 0.01);
  const map = byId("regions");
  map.setAttribute("viewBox", `0 0 ${size} ${size}`);
  map.replaceChildren(...cells.map((cell) => {
    const rect = rectangle(cell.row, cell.column, cell.drop > 0 ? "for" : "against");
    rect.setAttribute("fill-opacity", (0.75 * Math.abs(cell.drop)) / largest);
    return rect;
  }));
  const best = cells.reduce((a, b) => (a.drop >= b.drop ? a : b));
  if (best.drop > 0) map.append(rectangle(best.row, best.column, "strongest"));
  byId("regions-said").textContent = best.drop > 0
    ? `Strongest, dashed: ${place(best.row, best.column, size)}; with it covered the score is ${best.drop < 0.001 ? "less than 0.1" : (100 * best.drop).toFixed(1)} points lower.`
    : "No square lowers the score when it is covered.";
}
if (byId("traits-form")) {
  const form = byId("traits-form");
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("traits-picture").addEventListener("change", (event) => {
    if (event.target.files.length) ask(form, "api/traits", new FormData(form), showTraits);
  });
  byId("regions-form").addEventListener("change", showRegions);
  byId("regions-form").addEventListener("submit", (event) => event.preventDefault());
}

let ranked = null;
function showUsers(answer) {
  ranked = answer;
  const words = Object.keys(answer.words);
  const said = [`Ranked by ${answer.by}.`];
  if (answer.by.includes("text")) said.push(`Known words: ${words.join(", ") || "none"}.`);
  if (answer.unknown.length) said.push(`Not in the dictionary: ${answer.unknown.join(", ")}.`);
  byId("users-by").textContent = said.join(" ");
  showRanking();
}
function showRanking() {
  const order = document.querySelector("[name=order]:checked").value;
  const users = [...ranked.users].sort((a, b) => a[order] - b[order]);
  byId("ranking").replaceChildren(...users.map((user) => rankedUser(user, order)));
}
function rankedUser(user, order) {
  const share = order === "cf_rank" ? user.probability.cf : user.probability.cf_ref, filled = make("span");
  filled.style.width = `${100 * share}%`;
  const parts = ["text", "picture"].filter((name) => name in user.probability).map((name) => `${name} alone ${percent(user.probability[name])}`);
  const why = make("div", {}, make("h3", {}, `${user[order]}. ${user.user}`),
    make("span", { class: "hint" }, `${percent(share)} · CF place ${user.cf_rank}, CF+Ref place ${user.cf_ref_rank} · ${parts.join(", ")}`),
    make("span", { class: "bar", "aria-hidden": "true" }, filled));
  if (user.words.length) {
    why.append(make("ul", { class: "words", "aria-label": "What each word adds" }, ...user.words.map((word) =>
      make("li", {}, `${word.word} ${word.weight < 0 ? "−" : "+"}${Math.abs(word.weight).toFixed(2)}`))));
  }
  const pins = make("ul", { class: "pictures", "aria-label": "Most similar pins" }, ...user.pins.map((pin) =>
    thumbnail(pin, pin.text, make("small", {}, `cosine ${pin.cosine.toFixed(2)}`))));
  return make("li", {}, why, user.pins.length ? pins : make("p", { class: "hint" }, "No similar pin."));
}
if (byId("users-form")) {
  const form = byId("users-form"), input = byId("users-picture"), without = byId("no-picture");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form, "api/users", new FormData(form), showUsers);
  });
  input.addEventListener("change", () => (without.hidden = !input.files.length));
  without.addEventListener("click", () => {
    input.value = "";
    input.dispatchEvent(new Event("change"));
    byId("users-text").focus();
  });
  for (const radio of document.querySelectorAll("[name=order]")) radio.addEventListener("change", showRanking);
}
