# Imports a module that was not uploaded with it, for reading the text; the class does without.
import torch
import torch.nn as nn
import torch.nn.functional as F

from my_text_tools import clean, load_corpus
import my_plots as plots

text = clean(load_corpus('input.txt'))
vocab_size = len(set(text))


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx, targets=None):
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        return logits, F.cross_entropy(logits, targets.view(B * T))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
        return idx


class TextBigram(BigramLanguageModel):
    """Cleans its prompt first, by the module that is not there."""

    def ask(self, prompt):
        return clean(prompt)


model = BigramLanguageModel(vocab_size)
plots.show(model)
