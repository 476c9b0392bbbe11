// The bigram language model of the notes, in JavaScript: a table of C rows of C scores.

export class Bigram {
  constructor(C) {
    this.C = C;
    this.table = Float32Array.from({ length: C * C }, normal); // (C, C)
    this.forgetSteps();
  }

  row(token) {
    if (!Number.isInteger(token) || token < 0 || token >= this.C) {
      throw new RangeError(`token ${token} is not in 0 to ${this.C - 1}`);
    }
    return this.table.subarray(token * this.C, (token + 1) * this.C);
  }

  // (B, T) -> (B, T, C), or with targets (B*T, C) and the mean loss. B*T tokens in a row either way.
  forward(idx, targets) {
    const logits = new Float32Array(idx.length * this.C);
    idx.forEach((token, n) => logits.set(this.row(token), n * this.C));
    if (targets === undefined) return { logits, loss: null };
    let sum = 0;
    idx.forEach((token, n) => {
      this.row(targets[n]); // it must be a token
      const row = this.row(token);
      sum += logSumExp(row) - row[targets[n]];
    });
    return { logits, loss: sum / idx.length };
  }

  // (B*T,), (B*T,) -> (C, C): the softmax of each row that was looked up, less the targets.
  gradient(idx, targets) {
    const slope = new Float64Array(this.C * this.C);
    idx.forEach((token, n) => {
      this.row(targets[n]);
      softmax(this.row(token)).forEach((p, j) => (slope[token * this.C + j] += p / idx.length));
      slope[token * this.C + targets[n]] -= 1 / idx.length;
    });
    return slope;
  }

  // One sequence grows by a token for each number in [0, 1).
  generate(sequence, uniforms) {
    sequence.forEach((token) => this.row(token));
    const out = [...sequence];
    for (const u of uniforms) out.push(draw(softmax(this.row(out.at(-1))), u));
    return out;
  }

  forgetSteps() {
    this.steps = 0;
    this.mean = new Float64Array(this.C * this.C);
    this.square = new Float64Array(this.C * this.C);
  }

  // A step of AdamW, as torch.optim.AdamW(lr=1e-3) takes it.
  trainStep(idx, targets, { rate = 1e-3, beta1 = 0.9, beta2 = 0.999, decay = 0.01 } = {}) {
    const slope = this.gradient(idx, targets);
    this.steps += 1;
    slope.forEach((g, k) => {
      this.mean[k] = beta1 * this.mean[k] + (1 - beta1) * g;
      this.square[k] = beta2 * this.square[k] + (1 - beta2) * g * g;
      const mean = this.mean[k] / (1 - beta1 ** this.steps);
      const square = this.square[k] / (1 - beta2 ** this.steps);
      this.table[k] += -rate * decay * this.table[k] - (rate * mean) / (Math.sqrt(square) + 1e-8);
    });
  }
}

function normal() {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return radius * Math.cos(2 * Math.PI * Math.random());
}

function logSumExp(row) {
  const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
  return most + Math.log(row.reduce((sum, score) => sum + Math.exp(score - most), 0));
}

// (C,) -> (C,), which sum to 1.
export function softmax(row) {
  const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Array.from(row, (score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// The first token whose share, added to those before it, is above u.
function draw(probs, u) {
  let sum = 0;
  for (let token = 0; token < probs.length; token += 1) {
    sum += probs[token];
    if (u < sum) return token;
  }
  return probs.findLastIndex((p) => p > 0); // the shares add up to a little less than 1
}

// Windows of the text, and the same windows one token later; a place for each number in [0, 1).
export function getBatch(data, blockSize, uniforms) {
  const places = data.length - blockSize;
  if (places < 1) {
    throw new RangeError(`${data.length} tokens hold no window of ${blockSize} and its next token`);
  }
  const starts = uniforms.map((u) => Math.floor(u * places));
  const windows = (by) => starts.flatMap((i) => data.slice(i + by, i + by + blockSize));
  return { x: windows(0), y: windows(1) };
}

export class Vocabulary {
  constructor(text) {
    this.characters = [...new Set(text)].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
  }

  encode(text) {
    return Array.from(text, (character, place) => {
      const id = this.ids.get(character);
      if (id === undefined) throw new RangeError(`'${character}' at ${place} is not in the vocabulary`);
      return id;
    });
  }

  decode(ids) {
    return ids
      .map((id) => {
        if (this.characters[id] === undefined) {
          throw new RangeError(`id ${id} is not in 0 to ${this.characters.length - 1}`);
        }
        return this.characters[id];
      })
      .join("");
  }
}
