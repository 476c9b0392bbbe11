// The JavaScript model with one mistake, planted: every new token is drawn from the first token of
// the sequence. bigram check --command "node broken.mjs" finds it.

import { Bigram } from "./bigram.mjs";

const right = Bigram.prototype.generate;

Bigram.prototype.generate = function (sequence, uniforms) {
  sequence.forEach((token) => this.row(token)); // they must be tokens, as before
  const first = sequence.slice(0, 1); // the mistake: the last one is meant, of all so far
  return [...sequence, ...uniforms.map((u) => right.call(this, first, [u])[1])];
};

await import("./check_me.mjs");
