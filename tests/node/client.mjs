// The npm SDK against a live site: what a program in JavaScript would do. Prints what it got, as JSON, for the test.
// OPENAI_BASE_URL and OPENAI_API_KEY are the site's.

import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0, timeout: 120_000 });
const messages = [{ role: "user", content: "Hi there" }];
const chat = { model: "tiny", messages, max_tokens: 12, temperature: 0 };
const schema = { type: "object", properties: { city: { enum: ["Ulm", "Bonn"] } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
const tool_choice = { type: "function", function: { name: "weather" } };

async function joined(stream, piece) {
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0] ? piece(chunk.choices[0]) : "";
    usage = chunk.usage ?? usage;
  }
  return { text, usage };
}

async function refused(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param, id: error.requestID };
  }
  throw new Error("it was not refused");
}

async function left() {
  const stream = await client.chat.completions.create({ ...chat, max_tokens: 2000, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break; // leaving the loop aborts the request
  return stream.controller.signal.aborted;
}

async function batch() {
  const line = { custom_id: "only", method: "POST", url: "/v1/completions", body: { model: "tiny", prompt: "Once", max_tokens: 4 } };
  const file = await client.files.create({ file: await OpenAI.toFile(Buffer.from(JSON.stringify(line)), "in.jsonl"), purpose: "batch" });
  const made = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/completions", completion_window: "24h" });
  const found = await client.batches.retrieve(made.id);
  const content = await (await client.files.content(file.id)).text();
  return { content, same: found.input_file_id === file.id, deleted: (await client.files.delete(file.id)).deleted };
}

const whole = await client.chat.completions.create(chat);
const streamed = { stream: true, stream_options: { include_usage: true } };
const results = {
  models: (await client.models.list()).data.map((model) => model.id),
  model: (await client.models.retrieve("tiny")).owned_by,
  whole,
  requestId: whole._request_id,
  streamed: await joined(await client.chat.completions.create({ ...chat, ...streamed }), (choice) => choice.delta.content ?? ""),
  called: (await client.chat.completions.create({ ...chat, max_tokens: 300, seed: 4, tools, tool_choice })).choices[0],
  text: (await client.completions.create({ model: "tiny", prompt: "Once upon", max_tokens: 8, temperature: 0 })).choices[0].text,
  texts: await joined(
    await client.completions.create({ model: "tiny", prompt: "Once upon", max_tokens: 8, temperature: 0, ...streamed }),
    (choice) => choice.text,
  ),
  vectors: (await client.embeddings.create({ model: "vectors", input: ["an owl", "a fox"] })).data.map((one) => one.embedding),
  left: await left(),
  unknown: await refused(() => client.chat.completions.create({ ...chat, model: "nope" })),
  wrong: await refused(() => client.chat.completions.create({ ...chat, temperature: 9, stream: true })),
  stranger: await refused(() => client.withOptions({ apiKey: "fcs_wrong" }).models.list()),
  batch: await batch(),
};
console.log(JSON.stringify(results));
