// Answers the kit's questions: lines of JSON come on descriptor 3, and go on descriptor 4.
// Copy it beside your model; nothing is to be installed.

import { readSync, writeSync } from "node:fs";

const SPECIAL = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };

// Floats that JSON has no numbers for go as texts.
const written = (x) => (Number.isFinite(x) ? x : String(x));
const read = (x) => (typeof x === "string" ? SPECIAL[x] : x);

export function floats({ shape, data }) {
  return { shape, data: data.map(read) };
}

export function tensor(shape, data) {
  return { shape, data: Array.from(data, written) };
}

function* lines(descriptor) {
  const chunk = Buffer.alloc(1 << 16);
  let parts = [];
  for (;;) {
    let length = 0;
    try {
      length = readSync(descriptor, chunk, 0, chunk.length, null);
    } catch (error) {
      if (error.code === "EAGAIN") continue;
      throw error;
    }
    if (length === 0) return; // the kit has gone
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0 && end < length; end = chunk.indexOf(10, start)) {
      parts.push(Buffer.from(chunk.subarray(start, end)));
      yield Buffer.concat(parts).toString();
      parts = [];
      start = end + 1;
    }
    parts.push(Buffer.from(chunk.subarray(start, length)));
  }
}

function send(descriptor, message) {
  let left = Buffer.from(JSON.stringify(message) + "\n");
  while (left.length > 0) left = left.subarray(writeSync(descriptor, left));
}

// `operations` has a function for each thing that your model can do; each takes the question's
// fields and gives the answer's. What it throws is answered as an error, and is no fault here.
export function serve({ name, can, dtype = "float32", randomness = "uniforms" }, operations) {
  for (const line of lines(3)) {
    const { seq, op, ...fields } = JSON.parse(line);
    if (op === "hello") {
      send(4, { seq, protocol: 1, name, can, dtype, randomness });
    } else if (op === "bye") {
      send(4, { seq });
      return;
    } else {
      let answer;
      try {
        answer = operations[op](fields) ?? {};
      } catch (error) {
        answer = { error: String(error.message ?? error) };
      }
      send(4, { seq, ...answer });
    }
  }
}
