// The whole search runs in the page: the student, in int8, and the vectors of all answers.
import { env, pipeline } from "@huggingface/transformers";

env.allowLocalModels = true;
env.allowRemoteModels = false;
env.localModelPath = "/";
env.backends.onnx.wasm.wasmPaths = "/wasm/";
const status = document.querySelector("#status");
const input = document.querySelector("#question");
const list = document.querySelector("#answers");
const options = { pooling: "mean", normalize: true };

const faq = await (await fetch("/faq.json")).json();
const { prompts } = await (await fetch("/student/config_sentence_transformers.json")).json();
const extract = await pipeline("feature-extraction", "student", { dtype: "q8" });

const vectors = [];
for (const [index, { a }] of faq.entries()) {
  vectors.push((await extract(prompts.document + a, options)).data);
  if (index % 10 === 0) status.textContent = `${index} of ${faq.length} answers read …`;
}
status.textContent = `${faq.length} answers, searched on this machine`;
input.disabled = false;

async function search(question) {
  const [query] = [(await extract(prompts.query + question, options)).data];
  const scores = vectors.map((vector) => vector.reduce((sum, value, i) => sum + value * query[i], 0));
  const best = [...scores.keys()].sort((one, other) => scores[other] - scores[one]).slice(0, 3);
  list.replaceChildren(...best.map((index) => item(faq[index], scores[index])));
}

function item({ q, a }, score) {
  const row = document.createElement("li");
  for (const [tag, text, name] of [["h2", q], ["p", a], ["p", `cosine ${score.toFixed(3)}`, "score"]]) {
    const part = document.createElement(tag);
    part.textContent = text;
    if (name) part.className = name;
    row.append(part);
  }
  return row;
}

document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await search(input.value);
  document.body.dataset.answered = input.value;
});
