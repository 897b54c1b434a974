// The page: a text or a file in, labels out. What comes from elsewhere is only ever shown as text (textContent).

const PAUSE = 300; // milliseconds without a key before a text is sent
const SHOWN = 10; // labels with a bar; the others are folded away
const STRONGEST = 6; // words that are listed with their weights
const CHUNK = 500; // most texts of a file in one request
const LONGEST_NAME = 40; // characters on a button
const MAX_FILE = 50e6; // bytes
const RETRIES = 5; // where the server is busy

const at = (id) => document.getElementById(id);
const state = { models: [], limits: null, sent: 0, table: null, cancelled: false };

class Problem extends Error {}

async function ask(path, body) {
  const options = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  for (let attempt = 0; ; attempt += 1) {
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Problem("The server does not answer.");
    }
    if (response.ok) return response.json();
    if ((response.status === 429 || response.status === 503) && attempt < RETRIES) {
      await new Promise((resume) => setTimeout(resume, 1000));
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    throw new Problem(answer.error || `The server answers with ${response.status}.`);
  }
}

function say(problem) {
  if (problem && !(problem instanceof Problem)) console.error(problem);
  at("problem").textContent = problem ? problem.message : "";
  at("problem").hidden = !problem;
}

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

const model = () => state.models[at("model").selectedIndex];
const predictPath = () => `/predict?model=${encodeURIComponent(model().name)}`;
const percent = (value) => `${(100 * value).toFixed(1)} %`;

// Bars

function bar(name, share, text, predicted) {
  const row = element("div", "", predicted ? "bar predicted" : "bar");
  const title = element("span", name);
  title.title = name;
  const track = element("div", "", "track");
  const fill = element("div", "", "fill");
  fill.style.setProperty("--share", `${100 * share}%`);
  track.append(fill);
  row.append(title, track, element("span", text));
  return row;
}

function predictedLabels(prediction) {
  const separator = model().label_separator;
  return separator === null ? [prediction.label] : prediction.label.split(separator);
}

function showPrediction(prediction) {
  const predicted = new Set(predictedLabels(prediction));
  at("label").textContent = predictedLabels(prediction).join(", ") || "no label";
  at("label").classList.toggle("none", !prediction.label);
  const several = model().label_separator !== null;
  at("probability").textContent = `${percent(prediction.probability)}${several ? " for exactly this" : ""}`;
  const ordered = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
  const rows = ordered.map(([name, value]) => bar(name, value, percent(value), predicted.has(name)));
  at("bars").replaceChildren(...rows.slice(0, SHOWN));
  const more = at("more");
  more.hidden = rows.length <= SHOWN;
  more.querySelector("summary").textContent = `The other ${rows.length - SHOWN} labels`;
  more.querySelector("div").replaceChildren(...rows.slice(SHOWN));
  at("result").hidden = false;
}

// A text

let timer = null;

function textChanged() {
  clearTimeout(timer);
  at("explanation").hidden = true;
  at("result").classList.add("waiting");
  state.sent += 1; // an answer on the way is not shown
  timer = setTimeout(predictText, PAUSE);
}

async function predictText() {
  const text = at("text").value;
  state.sent += 1;
  const number = state.sent;
  if (!text.trim()) {
    at("result").hidden = true;
    say(null);
    return;
  }
  try {
    const answer = await ask(predictPath(), { texts: [text] });
    if (number !== state.sent) return;
    showPrediction(answer.predictions[0]);
    say(null);
  } catch (problem) {
    if (number !== state.sent) return;
    at("result").hidden = true;
    say(problem);
  }
  at("result").classList.remove("waiting");
}

async function explainText() {
  const text = at("text").value;
  const number = state.sent;
  at("why").disabled = true;
  try {
    const answer = await ask(predictPath(), { texts: [text], explain: true });
    if (number !== state.sent) return;
    at("words").replaceChildren(...answer.predictions[0].explanations.flatMap((each) => explanationParts(each, text)));
    at("explanation").hidden = false;
    say(null);
  } catch (problem) {
    if (number === state.sent) say(problem);
  } finally {
    at("why").disabled = false;
  }
}

function explanationParts(explanation, text) {
  const paragraph = element("p");
  for (const [part, word] of withGaps(text, explanation.words)) {
    paragraph.append(word ? coloured(part, word) : part);
  }
  const strongest = [...explanation.words].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, STRONGEST);
  const list = strongest.map((word) => `${word.word} ${signed(word.weight)}`).join(" · ");
  const cut = `The model does not read ${explanation.cut} further words of this text.`;
  const notes = [list, ...(explanation.cut ? [cut] : [])].map((note) => element("p", note, "soft note"));
  return [element("h3", `For and against ${explanation.label}`), paragraph, ...notes];
}

const signed = (weight) => `${weight >= 0 ? "+" : "−"}${Math.abs(weight).toFixed(2)}`;

function coloured(part, word) {
  const span = element("span", part, `${word.share > 0 ? "for" : "against"}${word.known ? "" : " unknown"}`);
  span.style.setProperty("--w", `${Math.round(70 * Math.abs(word.share))}%`);
  span.title = `${signed(word.weight)}${word.known ? "" : ", unknown to the model"}`;
  return span;
}

// The parts of the text as it was typed, each with the word that the model read there. Where the model did not read
// all of it, or cleaning has changed it, the words alone.
function withGaps(text, words) {
  const lower = text.toLowerCase();
  const alone = words.flatMap((each) => [[each.word, each], [" ", null]]);
  const parts = [];
  let end = 0;
  for (const word of [...words, null]) {
    const start = word ? lower.indexOf(word.word.toLowerCase(), end) : text.length;
    const gap = text.slice(end, start);
    if (start < 0 || lower.length !== text.length || /[\p{L}\p{N}]/u.test(gap)) return alone;
    if (gap) parts.push([gap, null]);
    end = start + (word ? word.word.length : 0);
    if (word) parts.push([text.slice(start, end), word]);
  }
  return parts;
}

// A file

function parseTable(text, delimiter) {
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[i + 1] === '"') { cell += '"'; i += 1; }
      else quoted = false;
    } else if (character === '"' && cell === "") quoted = true;
    else if (character === delimiter) { row.push(cell); cell = ""; }
    else if (character === "\n" || character === "\r") {
      if (character === "\r" && text[i + 1] === "\n") i += 1;
      row.push(cell);
      rows.push(row);
      row = [];
      cell = "";
    } else cell += character;
  }
  if (quoted) throw new Problem("The file ends within a quoted cell: it is damaged, or no CSV.");
  if (cell !== "" || row.length) rows.push([...row, cell]);
  return rows.filter((each) => each.length > 1 || each[0] !== "");
}

function delimiterOf(text, name) {
  if (/\.tsv$/i.test(name)) return "\t";
  const line = text.slice(0, 10000).split(/\r?\n|\r/, 1)[0];
  return [",", ";", "\t"].reduce((best, each) => (line.split(each).length > line.split(best).length ? each : best));
}

async function readTable(file) {
  if (file.size > MAX_FILE) throw new Problem(`${file.name} has more than 50 MB. For such files: textclf predict.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem(`${file.name} is not UTF-8. Save it as UTF-8.`);
  }
  const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  if (!/\.(csv|tsv)$/i.test(file.name) && !file.type.includes("csv")) {
    const lines = text.split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    return { file, mark, delimiter: ",", header: ["text"], rows: lines.map((line) => [line]), lines: true };
  }
  const delimiter = delimiterOf(text, file.name);
  const [header, ...rows] = parseTable(text, delimiter);
  if (!header) throw new Problem(`${file.name} is empty.`);
  return { file, mark, delimiter, header, rows, lines: false };
}

async function takeFile(file) {
  state.cancelled = true;
  at("output").hidden = at("progress").hidden = at("job").hidden = true;
  state.table = null;
  try {
    const table = await readTable(file);
    if (!table.rows.length) throw new Problem(`${file.name} has no rows.`);
    const unit = table.lines ? "lines" : "rows";
    at("what").textContent = `${file.name}: ${table.rows.length.toLocaleString("en")} ${unit}`;
    at("column").replaceChildren(...table.header.map((name) => element("option", name)));
    const expected = table.header.findIndex((name) => model().columns.includes(name.trim()));
    at("column").selectedIndex = Math.max(0, expected);
    at("column-choice").hidden = table.lines || table.header.length === 1;
    state.table = table;
    at("job").hidden = false;
    at("start").disabled = false;
    at("start").focus();
    say(null);
  } catch (problem) {
    say(problem);
  }
}

function* chunksOf(texts) {
  const encoder = new TextEncoder();
  let start = 0;
  let size = 0;
  for (let i = 0; i < texts.length; i += 1) {
    if (texts[i].length > state.limits.characters) {
      throw new Problem(`Row ${i + 1} has more than ${state.limits.characters.toLocaleString("en")} characters.`);
    }
    const bytes = encoder.encode(JSON.stringify(texts[i])).length + 1;
    if (i > start && (i - start >= Math.min(CHUNK, state.limits.texts) || size + bytes > state.limits.body - 100)) {
      yield texts.slice(start, i);
      [start, size] = [i, 0];
    }
    size += bytes;
  }
  yield texts.slice(start);
}

async function labelFile(event) {
  event.preventDefault();
  const table = state.table;
  const column = at("column").selectedIndex;
  const texts = table.rows.map((row) => row[column] ?? "");
  const predictions = [];
  state.cancelled = false;
  at("start").disabled = true;
  at("output").hidden = true;
  at("progress").hidden = false;
  showProgress(0, texts.length);
  try {
    for (const chunk of chunksOf(texts)) {
      const answer = await ask(predictPath(), { texts: chunk });
      if (state.cancelled || state.table !== table) return;
      predictions.push(...answer.predictions);
      showProgress(predictions.length, texts.length);
    }
    showOutput(table, predictions);
    say(null);
  } catch (problem) {
    say(problem);
  } finally {
    if (state.table === table) {
      at("start").disabled = false;
      at("progress").hidden = true;
    }
  }
}

function showProgress(done, all) {
  at("done").max = all;
  at("done").value = done;
  at("count").textContent = `${done.toLocaleString("en")} of ${all.toLocaleString("en")}`;
}

// A spreadsheet would compute a label that looks like a formula.
const safeLabel = (label) => (/^['\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(label) && Number.isNaN(Number(label)) ? `'${label}` : label);

function cellText(cell, delimiter) {
  return cell.includes('"') || cell.includes(delimiter) || /[\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function outputText(table, predictions) {
  const names = ["label", "probability"].map((name) => (table.header.includes(name) ? `predicted ${name}` : name));
  const width = table.header.length;
  const rows = table.rows.map((row, i) => {
    const padded = [...row, ...Array(Math.max(0, width - row.length)).fill("")];
    const kept = padded.slice(0, width);
    return [...kept, safeLabel(predictions[i].label), predictions[i].probability.toFixed(6)];
  });
  const lines = [[...table.header, ...names], ...rows];
  return lines.map((row) => `${row.map((cell) => cellText(cell, table.delimiter)).join(table.delimiter)}\n`).join("");
}

function showOutput(table, predictions) {
  const counts = new Map();
  for (const { label } of predictions) counts.set(label, (counts.get(label) ?? 0) + 1);
  const ordered = [...counts].sort((a, b) => b[1] - a[1]);
  const shown = ordered.slice(0, SHOWN).map(([name, count]) =>
    bar(name || "no label", count / predictions.length, count.toLocaleString("en"), false));
  const hidden = ordered.length - shown.length;
  at("counts").replaceChildren(...shown, ...(hidden ? [element("p", `and ${hidden} further labels`, "soft")] : []));
  at("summary").textContent = `${predictions.length.toLocaleString("en")} rows labelled.`;
  const link = at("download");
  if (link.href) URL.revokeObjectURL(link.href);
  const mark = table.mark ? "\ufeff" : "";
  link.href = URL.createObjectURL(new Blob([mark, outputText(table, predictions)], { type: "text/csv;charset=utf-8" }));
  const suffix = table.delimiter === "\t" ? "tsv" : "csv";
  link.download = `${table.file.name.replace(/\.\w+$/, "")}-labelled.${suffix}`;
  link.textContent = `Download ${link.download.length <= LONGEST_NAME ? link.download : "the labelled rows"}`;
  at("output").hidden = false;
  link.focus();
}

function cancelJob() {
  state.cancelled = true;
  state.table = null;
  at("job").hidden = at("progress").hidden = true;
  at("file").focus();
}

// Events

function modelChanged() {
  at("name").textContent = state.models.length > 1 ? "textclf" : model().name;
  document.title = `${model().name} - textclf`;
  at("report").hidden = !model().report;
  at("report").href = `/report?model=${encodeURIComponent(model().name)}`;
  at("output").hidden = true;
  textChanged();
}

function dropped(event) {
  event.preventDefault();
  at("drop").classList.remove("over");
  if (event.dataTransfer.files.length) takeFile(event.dataTransfer.files[0]);
}

async function begin() {
  try {
    const answer = await ask("/models");
    state.models = answer.models;
    state.limits = answer.limits;
  } catch (problem) {
    say(problem);
    return;
  }
  at("model").replaceChildren(...state.models.map((each) => element("option", each.name)));
  at("choice").hidden = state.models.length < 2;
  modelChanged();
  at("model").addEventListener("change", modelChanged);
  at("text").addEventListener("input", textChanged);
  at("why").addEventListener("click", explainText);
  at("file").addEventListener("change", () => {
    if (at("file").files.length) takeFile(at("file").files[0]);
    at("file").value = ""; // the same file can be chosen again
  });
  at("job").addEventListener("submit", labelFile);
  at("cancel").addEventListener("click", cancelJob);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) at("drop").classList.remove("over");
  });
  document.addEventListener("drop", dropped);
}

begin();
