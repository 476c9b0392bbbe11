// What one writes to join: bigram check --command "node check_me.mjs"

import { Bigram, Vocabulary, getBatch, softmax } from "./bigram.mjs";
import { floats, serve, tensor } from "./bigram_pipe.mjs";

const can = ["loss", "table", "gradient", "generate", "get_batch", "get_split_batch", "train_step"];
can.push("softmax", "vocabulary");
let model;

const sizes = ({ shape }) => {
  if (shape.length !== 2) throw new RangeError(`a batch is of shape (B, T), not (${shape})`);
  return shape;
};

const rows = ({ shape, data }) => {
  const [B, T] = sizes({ shape });
  return Array.from({ length: B }, (_, b) => data.slice(b * T, (b + 1) * T));
};

serve({ name: "a bigram model in JavaScript", can }, {
  reset({ C }) {
    model = new Bigram(C);
  },
  set_table({ table }) {
    model.table = Float32Array.from(floats(table).data);
  },
  get_table() {
    return { table: tensor([model.C, model.C], model.table) };
  },
  forward({ idx, targets }) {
    const [B, T] = sizes(idx);
    if (targets && String(targets.shape) !== String(idx.shape)) {
      throw new RangeError(`targets are of shape (${targets.shape}), and idx of (${idx.shape})`);
    }
    const { logits, loss } = model.forward(idx.data, targets?.data);
    return { logits: tensor(targets ? [B * T, model.C] : [B, T, model.C], logits), loss };
  },
  gradient({ idx, targets }) {
    return { gradient: tensor([model.C, model.C], model.gradient(idx.data, targets.data)) };
  },
  generate({ idx, max_new_tokens: n, uniforms }) {
    const [B, T] = sizes(idx);
    const drawn = rows(uniforms); // (n, B): those of one new token of all sequences, then the next
    const out = rows(idx).map((row, b) => model.generate(row, drawn.map((step) => step[b])));
    return { idx: tensor([B, T + Math.max(n, 0)], out.flat()) };
  },
  get_batch({ data, block_size: T, batch_size: B, uniforms }) {
    const { x, y } = getBatch(data.data, T, uniforms.data);
    return { x: tensor([B, T], x), y: tensor([B, T], y) };
  },
  get_split_batch({ train_data, val_data, split, ...rest }) {
    const data = { train: train_data, val: val_data }[split];
    if (data === undefined) throw new RangeError(`a split is train or val, and not ${split}`);
    return this.get_batch({ data, ...rest });
  },
  train_step({ idx, targets, first }) {
    if (first) model.forgetSteps();
    model.trainStep(idx.data, targets.data);
  },
  softmax({ logits }) {
    return { probs: tensor(logits.shape, rows(floats(logits)).flatMap(softmax)) };
  },
  vocabulary: ({ corpus }) => ({ C: new Vocabulary(corpus).characters.length }),
  encode: ({ corpus, text }) => ({ ids: new Vocabulary(corpus).encode(text) }),
  decode: ({ corpus, ids }) => ({ text: new Vocabulary(corpus).decode(ids) }),
});
