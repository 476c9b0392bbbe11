// The bigram language model of the notes, in C: a table of C rows of C scores.
//
//   gcc -std=c11 -O2 -Wall -Wextra -Werror -pedantic bigram.c -lm -o bigram
//   bigram check --command ./bigram
//
// Read it from the top: the model, its vocabulary, what the kit asks of them, and the JSON that it
// asks in. The table holds floats, as torch's does; whatever is added up is added up in doubles.
// Ids and sizes go as long, of 64 bits.

#define _POSIX_C_SOURCE 200809L // fdopen, getline

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What the model needs from below: a way out with a message, and memory until the answer is given.
static _Noreturn void refuse(const char *format, ...);
static void *take(size_t count, size_t size);

// The model ---------------------------------------------------------------------------------------

typedef struct {
    long C;
    float *table;           // (C, C): the row of a token scores the tokens that may follow it
    double *mean, *square;  // (C, C) each: what AdamW remembers of the gradients so far
    long steps;
} Bigram;

static const float *row(const Bigram *m, long token)
{
    if (token < 0 || token >= m->C)
        refuse("token %ld is not in 0 to %ld", token, m->C - 1);
    return m->table + token * m->C;
}

// (C,) -> (C,), which sum to 1; gives ln of the sum of the exponentials. The greatest score is taken
// away first: exp(10000) is more than a double holds.
static double softmax(const float *scores, long C, double *probs)
{
    double most = -INFINITY, sum = 0;
    for (long j = 0; j < C; j++)
        most = fmax(most, scores[j]);
    for (long j = 0; j < C; j++)
        sum += probs[j] = exp(scores[j] - most);
    for (long j = 0; j < C; j++)
        probs[j] /= sum;
    return most + log(sum);
}

// (n,) -> (n, C), where n is B*T: the logits are the rows of the tokens.
static void forward(const Bigram *m, const long *idx, long n, float *logits)
{
    for (long i = 0; i < n; i++)
        memcpy(logits + i * m->C, row(m, idx[i]), sizeof(float) * (size_t)m->C);
}

// (n,), (n,) -> the mean over all positions of -ln P(target | token).
static double loss(const Bigram *m, const long *idx, const long *targets, long n)
{
    double sum = 0, *probs = take((size_t)m->C, sizeof *probs);
    for (long i = 0; i < n; i++) {
        row(m, targets[i]); // it must be a token
        sum += softmax(row(m, idx[i]), m->C, probs) - row(m, idx[i])[targets[i]];
    }
    return sum / (double)n;
}

// (n,), (n,) -> (C, C): the softmax of each row that is looked up, less 1 at its target.
static void gradient(const Bigram *m, const long *idx, const long *targets, long n, double *slope)
{
    double *probs = take((size_t)m->C, sizeof *probs);
    for (long i = 0; i < n; i++) {
        row(m, targets[i]);
        softmax(row(m, idx[i]), m->C, probs);
        for (long j = 0; j < m->C; j++)
            slope[idx[i] * m->C + j] += (probs[j] - (j == targets[i])) / (double)n;
    }
}

// A step of AdamW, as torch.optim.AdamW(lr=1e-3) takes it.
static void train_step(Bigram *m, const long *idx, const long *targets, long n)
{
    const double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, decay = 0.01;
    double *slope = take((size_t)(m->C * m->C), sizeof *slope);
    gradient(m, idx, targets, n, slope);
    m->steps += 1;
    for (long k = 0; k < m->C * m->C; k++) {
        m->mean[k] = beta1 * m->mean[k] + (1 - beta1) * slope[k];
        m->square[k] = beta2 * m->square[k] + (1 - beta2) * slope[k] * slope[k];
        double mean = m->mean[k] / (1 - pow(beta1, (double)m->steps));
        double square = m->square[k] / (1 - pow(beta2, (double)m->steps));
        double less = rate * decay * m->table[k] + rate * mean / (sqrt(square) + 1e-8);
        m->table[k] = (float)(m->table[k] - less);
    }
}

// The first token whose share, added to those before it, is above u, which is in [0, 1).
static long draw(const double *probs, long C, double u)
{
    double sum = 0;
    long last = 0;
    for (long j = 0; j < C; j++) {
        sum += probs[j];
        if (u < sum)
            return j;
        if (probs[j] > 0)
            last = j;
    }
    return last; // the shares add up to a little less than 1
}

// (B, T) -> (B, T+n): each new token is drawn from the row of the one before it. uniforms is (n, B).
static void generate(const Bigram *m, const long *idx, long B, long T, long n,
                     const double *uniforms, long *out)
{
    double *probs = take((size_t)m->C, sizeof *probs);
    for (long b = 0; b < B; b++, idx += T, out += T + n) {
        for (long t = 0; t < T; t++) {
            row(m, idx[t]);
            out[t] = idx[t];
        }
        for (long t = 0; t < n; t++) {
            softmax(row(m, out[T + t - 1]), m->C, probs);
            out[T + t] = draw(probs, m->C, uniforms[t * B + b]);
        }
    }
}

#ifdef BROKEN
enum { AHEAD = 0 }; // the planted mistake: the targets are the inputs themselves
#else
enum { AHEAD = 1 }; // a target is the token that follows its input
#endif

// (N,) -> x, y, (B, T) each: windows of the data, and the same windows one token later.
static void get_batch(const long *data, long N, long T, long B, const double *uniforms, long *x,
                      long *y)
{
    long places = N - T; // the last one leaves room for the window and the token after it
    if (places < 1)
        refuse("%ld tokens hold no window of %ld and the token after it", N, T);
    for (long b = 0; b < B; b++) {
        long start = (long)floor(uniforms[b] * (double)places);
        for (long t = 0; t < T; t++) {
            x[b * T + t] = data[start + t];
            y[b * T + t] = data[start + t + AHEAD];
        }
    }
}

// The vocabulary ----------------------------------------------------------------------------------

typedef struct {
    size_t length;
    uint32_t *points; // one for each character
} Text;

static const char *escaped(uint32_t point);

static int by_point(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

// The distinct characters of a text, by code point: the place of each is its id.
static Text vocabulary(Text corpus)
{
    if (corpus.length == 0)
        return corpus;
    qsort(corpus.points, corpus.length, sizeof *corpus.points, by_point);
    size_t C = 1;
    for (size_t i = 1; i < corpus.length; i++)
        if (corpus.points[i] != corpus.points[C - 1])
            corpus.points[C++] = corpus.points[i];
    return (Text){.length = C, .points = corpus.points};
}

static void encode(Text characters, Text text, long *ids)
{
    size_t C = characters.length;
    for (size_t i = 0; i < text.length; i++) {
        uint32_t *point = text.points + i;
        uint32_t *found = C ? bsearch(point, characters.points, C, sizeof *point, by_point) : NULL;
        if (found == NULL)
            refuse("'%s' at %zu is not in the vocabulary", escaped(*point), i);
        ids[i] = found - characters.points;
    }
}

static void decode(Text characters, const long *ids, size_t n, uint32_t *points)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= characters.length)
            refuse("id %ld is not in 0 to %ld", ids[i], (long)characters.length - 1);
        points[i] = characters.points[ids[i]];
    }
}

// What the kit asks -------------------------------------------------------------------------------
//
// Each function reads its question's fields and writes those of its answer; what it refuses is
// answered as an error.

enum { MOST_DIMENSIONS = 8, MOST_TOKENS = 1 << 15 };

static const long MOST = 1L << 31; // of anything that is counted: two of them can be multiplied

typedef struct {
    long rank, shape[MOST_DIMENSIONS], size;
    double *data; // row-major, the last place fastest
} Tensor;

typedef struct {
    long rank, shape[MOST_DIMENSIONS], size;
    long *data;
} Ids;

static bool has(const char *name);
static bool flag(const char *name);
static long whole(const char *name, long least, long most);
static Text text(const char *name);
static Tensor tensor(const char *name);
static Ids ids(const char *name);
static Ids id_list(const char *name);

static void put(const char *format, ...);
static void put_number(double number, int digits);
static void put_ids(const char *name, long rank, const long *shape, const long *data);
static void put_floats(const char *name, long rank, const long *shape, const float *data);
static void put_doubles(const char *name, long rank, const long *shape, const double *data);

static Bigram model;

static Ids batch(const char *name)
{
    Ids idx = ids(name);
    if (idx.rank != 2)
        refuse("%s must be of shape (B, T), and has %ld dimensions", name, idx.rank);
    return idx;
}

static Ids targets_of(Ids idx)
{
    Ids targets = batch("targets");
    if (targets.shape[0] != idx.shape[0] || targets.shape[1] != idx.shape[1])
        refuse("targets are of shape (%ld, %ld), and idx of (%ld, %ld)", targets.shape[0],
               targets.shape[1], idx.shape[0], idx.shape[1]);
    if (idx.size == 0)
        refuse("a batch without a token has no loss");
    return targets;
}

static const double *uniforms(long count)
{
    Tensor u = tensor("uniforms");
    if (u.size != count)
        refuse("%ld draws need as many uniforms, and there are %ld", count, u.size);
    for (long i = 0; i < count; i++)
        if (!(u.data[i] >= 0 && u.data[i] < 1))
            refuse("a uniform is not in [0, 1)");
    return u.data;
}

static void forget_steps(void)
{
    for (long k = 0; k < model.C * model.C; k++)
        model.mean[k] = model.square[k] = 0;
    model.steps = 0;
}

static double normal(void)
{
    double first = (rand() + 0.5) / (RAND_MAX + 1.0), second = (rand() + 0.5) / (RAND_MAX + 1.0);
    return sqrt(-2 * log(first)) * cos(2 * acos(-1) * second);
}

static void hello(void)
{
    put(",\"protocol\":1,\"name\":\"a bigram model in C\",\"dtype\":\"float32\"");
    put(",\"randomness\":\"uniforms\",\"can\":[\"loss\",\"table\",\"gradient\"");
    put(",\"generate\",\"get_batch\",\"get_split_batch\",\"train_step\",\"softmax\"");
    put(",\"vocabulary\"]");
}

static void reset(void)
{
    long C = whole("C", 1, MOST_TOKENS);
    size_t entries = (size_t)(C * C);
    Bigram fresh = {
        .C = C,
        .table = calloc(entries, sizeof(float)),
        .mean = calloc(entries, sizeof(double)),
        .square = calloc(entries, sizeof(double)),
    };
    bool full = fresh.table == NULL || fresh.mean == NULL || fresh.square == NULL;
    Bigram old = full ? fresh : model;
    if (!full)
        model = fresh;
    free(old.table);
    free(old.mean);
    free(old.square);
    if (full)
        refuse("no memory for a table of %ld rows", C);
    for (long k = 0; k < C * C; k++)
        model.table[k] = (float)normal();
}

static void set_table(void)
{
    Tensor table = tensor("table");
    if (table.rank != 2 || table.shape[0] != model.C || table.shape[1] != model.C)
        refuse("the table is of shape (%ld, %ld)", model.C, model.C);
    for (long k = 0; k < table.size; k++)
        model.table[k] = (float)table.data[k];
}

static void get_table(void)
{
    put_floats("table", 2, (long[]){model.C, model.C}, model.table);
}

static void answer_forward(void)
{
    Ids idx = batch("idx");
    long B = idx.shape[0], T = idx.shape[1], C = model.C;
    float *logits = take((size_t)(B * T * C), sizeof *logits);
    forward(&model, idx.data, B * T, logits);
    if (!has("targets")) {
        put_floats("logits", 3, (long[]){B, T, C}, logits);
        return;
    }
    Ids targets = targets_of(idx);
    double mean = loss(&model, idx.data, targets.data, B * T);
    put_floats("logits", 2, (long[]){B * T, C}, logits);
    put(",\"loss\":");
    put_number(mean, 17);
}

static void answer_gradient(void)
{
    Ids idx = batch("idx"), targets = targets_of(idx);
    double *slope = take((size_t)(model.C * model.C), sizeof *slope);
    gradient(&model, idx.data, targets.data, idx.size, slope);
    put_doubles("gradient", 2, (long[]){model.C, model.C}, slope);
}

static void answer_generate(void)
{
    Ids idx = batch("idx");
    long B = idx.shape[0], T = idx.shape[1];
    long n = whole("max_new_tokens", -MOST, MOST);
    if (n < 0)
        n = 0; // as range() takes it
    if (T == 0)
        refuse("a prompt has at least one token");
    const double *u = uniforms(n * B);
    long *out = take((size_t)(B * (T + n)), sizeof *out);
    generate(&model, idx.data, B, T, n, u, out);
    put_ids("idx", 2, (long[]){B, T + n}, out);
}

static void batch_of(Ids data)
{
    long T = whole("block_size", 1, MOST), B = whole("batch_size", 0, MOST);
    const double *u = uniforms(B);
    long *x = take((size_t)(B * T), sizeof *x), *y = take((size_t)(B * T), sizeof *y);
    get_batch(data.data, data.size, T, B, u, x, y);
    put_ids("x", 2, (long[]){B, T}, x);
    put_ids("y", 2, (long[]){B, T}, y);
}

static void answer_get_batch(void)
{
    batch_of(ids("data"));
}

static void answer_get_split_batch(void)
{
    Text split = text("split");
    if (split.length == 5 && split.points[0] == 't')
        batch_of(ids("train_data"));
    else if (split.length == 3 && split.points[0] == 'v')
        batch_of(ids("val_data"));
    else
        refuse("a split is train or val");
}

static void answer_train_step(void)
{
    Ids idx = batch("idx"), targets = targets_of(idx);
    if (flag("first"))
        forget_steps();
    train_step(&model, idx.data, targets.data, idx.size);
}

static void answer_softmax(void)
{
    Tensor logits = tensor("logits");
    if (logits.rank != 2 || logits.size == 0)
        refuse("logits must be of shape (B, C)");
    long C = logits.shape[1];
    float *scores = take((size_t)C, sizeof *scores);
    for (long b = 0; b < logits.shape[0]; b++) {
        double *probs = logits.data + b * C; // they take the place of their scores
        for (long j = 0; j < C; j++)
            scores[j] = (float)probs[j];
        softmax(scores, C, probs);
    }
    put_doubles("probs", 2, logits.shape, logits.data);
}

static void answer_vocabulary(void)
{
    put(",\"C\":%zu", vocabulary(text("corpus")).length);
}

static void answer_encode(void)
{
    Text characters = vocabulary(text("corpus")), said = text("text");
    long *out = take(said.length, sizeof *out);
    encode(characters, said, out);
    put(",\"ids\":[");
    for (size_t i = 0; i < said.length; i++)
        put(i ? ",%ld" : "%ld", out[i]);
    put("]");
}

static void answer_decode(void)
{
    Text characters = vocabulary(text("corpus"));
    Ids given = id_list("ids");
    uint32_t *points = take((size_t)given.size, sizeof *points);
    decode(characters, given.data, (size_t)given.size, points);
    put(",\"text\":\"");
    for (long i = 0; i < given.size; i++)
        put("%s", escaped(points[i]));
    put("\"");
}

static bool over = false;

static void bye(void)
{
    over = true;
}

static const struct {
    const char *name;
    void (*answer)(void);
} operations[] = {
    {"hello", hello},
    {"reset", reset},
    {"set_table", set_table},
    {"get_table", get_table},
    {"forward", answer_forward},
    {"gradient", answer_gradient},
    {"generate", answer_generate},
    {"get_batch", answer_get_batch},
    {"get_split_batch", answer_get_split_batch},
    {"train_step", answer_train_step},
    {"softmax", answer_softmax},
    {"vocabulary", answer_vocabulary},
    {"encode", answer_encode},
    {"decode", answer_decode},
    {"bye", bye},
};

// Until the answer is given -----------------------------------------------------------------------

static jmp_buf refused;
static char complaint[256]; // as it stands in a JSON text

static _Noreturn void refuse(const char *format, ...)
{
    va_list given;
    va_start(given, format);
    vsnprintf(complaint, sizeof complaint, format, given);
    va_end(given);
    longjmp(refused, 1);
}

typedef union Taken {
    union Taken *before;
    max_align_t aligned;
} Taken;

static Taken *taken = NULL;

// Memory, all zeros, for this one answer.
static void *take(size_t count, size_t size)
{
    if (count > (SIZE_MAX - sizeof(Taken)) / size)
        refuse("this takes more memory than there can be");
    Taken *block = calloc(1, sizeof *block + count * size);
    if (block == NULL)
        refuse("out of memory");
    block->before = taken;
    taken = block;
    return block + 1;
}

static void forget(void)
{
    while (taken != NULL) {
        Taken *before = taken->before;
        free(taken);
        taken = before;
    }
}

// Reading JSON ------------------------------------------------------------------------------------
//
// The question stays as it came, one object that ends with '\0'; a field is looked for when it is
// asked for. Nothing is read past that end.

static const char *question;

static const char *space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

// From a text's opening quotation mark to what comes after the closing one.
static const char *after_text(const char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
        if (*at == '\0')
            refuse("the question ends within a text");
    }
    return at + 1;
}

static bool ends(char c)
{
    return c == ',' || c == '}' || c == ']' || c == '\0';
}

// From a value's beginning to the comma or the bracket after it.
static const char *after_value(const char *at)
{
    long depth = 0;
    do {
        if (*at == '\0')
            refuse("the question ends within a value");
        if (*at == '"') {
            at = after_text(at);
        } else {
            depth += (*at == '[' || *at == '{') - (*at == ']' || *at == '}');
            at++;
        }
    } while (depth > 0 || !ends(*at));
    return at;
}

// The value of a field of an object, or NULL.
static const char *find(const char *object, const char *name)
{
    size_t length = strlen(name);
    const char *at = space(object);
    if (*at != '{')
        refuse("there is no object where one should be");
    at = space(at + 1);
    while (*at == '"') {
        const char *key = at + 1;
        at = space(after_text(at));
        if (*at != ':')
            refuse("a field has no value");
        at = space(at + 1);
        if (strncmp(key, name, length) == 0 && key[length] == '"')
            return at;
        at = after_value(at);
        if (*at == ',')
            at = space(at + 1);
    }
    return NULL;
}

static bool has(const char *name)
{
    return find(question, name) != NULL;
}

static const char *value(const char *object, const char *name)
{
    const char *at = find(object, name);
    if (at == NULL)
        refuse("the question has no %s", name);
    return at;
}

static bool flag(const char *name)
{
    return *value(question, name) == 't';
}

static double number(const char **at)
{
    static const struct {
        const char *text;
        double number;
    } special[] = {{"\"NaN\"", NAN}, {"\"Infinity\"", INFINITY}, {"\"-Infinity\"", -INFINITY}};
    const char *start = space(*at);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (strncmp(start, special[i].text, strlen(special[i].text)) == 0) {
            *at = start + strlen(special[i].text);
            return special[i].number;
        }
    char digit = start[*start == '-'], *end;
    if (digit < '0' || digit > '9') // strtod takes more than JSON has
        refuse("there is no number where one should be");
    double found = strtod(start, &end);
    *at = end;
    return found;
}

static long as_whole(double found)
{
    if (!(fabs(found) <= 9007199254740992.0) || found != floor(found)) // 2^53: a double's digits
        refuse("%g is no whole number, or too great a one", found);
    return (long)found;
}

static long whole(const char *name, long least, long most)
{
    const char *at = value(question, name);
    long found = as_whole(number(&at));
    if (found < least || found > most)
        refuse("%s is %ld, which is too low or too high", name, found);
    return found;
}

// A list of numbers. Each takes two characters at least, which says how many there can be.
static double *list(const char *at, long *size)
{
    at = space(at);
    if (*at != '[')
        refuse("there is no list where one should be");
    double *numbers = take((size_t)(after_value(at) - at) / 2 + 1, sizeof *numbers);
    *size = 0;
    at = space(at + 1);
    while (*at != ']') {
        numbers[(*size)++] = number(&at);
        at = space(at);
        if (*at == ',')
            at++;
        else if (*at != ']')
            refuse("a list is not closed");
    }
    return numbers;
}

static Tensor tensor(const char *name)
{
    const char *at = value(question, name);
    Tensor found = {.rank = 0};
    double *shape = list(value(at, "shape"), &found.rank), product = 1;
    if (found.rank > MOST_DIMENSIONS)
        refuse("%s has %ld dimensions", name, found.rank);
    for (long k = 0; k < found.rank; k++) {
        found.shape[k] = as_whole(shape[k]);
        product *= found.shape[k] < 0 || found.shape[k] > MOST ? NAN : shape[k];
    }
    found.data = list(value(at, "data"), &found.size);
    if (product != (double)found.size)
        refuse("the shape of %s does not hold %ld numbers", name, found.size);
    return found;
}

static Ids as_ids(Tensor found)
{
    Ids whole = {.rank = found.rank, .size = found.size};
    memcpy(whole.shape, found.shape, sizeof whole.shape);
    whole.data = take((size_t)found.size, sizeof *whole.data);
    for (long i = 0; i < found.size; i++)
        whole.data[i] = as_whole(found.data[i]);
    return whole;
}

static Ids ids(const char *name)
{
    return as_ids(tensor(name));
}

static Ids id_list(const char *name)
{
    Tensor found = {.rank = 1};
    found.data = list(value(question, name), &found.size);
    found.shape[0] = found.size;
    return as_ids(found);
}

// Four digits after a backslash and a u. Within a text, which is known to be closed, no '\0' comes.
static uint32_t four(const char *at)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *digit = strchr(digits, at[i]);
        if (digit == NULL)
            refuse("\\\\u is followed by something else than four digits");
        unit = 16 * unit + (uint32_t)((digit - digits) % 16);
    }
    return unit;
}

// One character after a backslash, and two such units where a surrogate has its other half.
static uint32_t after_backslash(const char **at)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char letter = *(*at)++;
    if (letter != 'u') {
        const char *known = strchr(letters, letter);
        if (known == NULL)
            refuse("a backslash is followed by something that JSON does not know");
        return (uint32_t)meant[known - letters];
    }
    uint32_t high = four(*at);
    *at += 4;
    if (high < 0xD800 || high > 0xDBFF || (*at)[0] != '\\' || (*at)[1] != 'u')
        return high;
    uint32_t low = four(*at + 2);
    if (low < 0xDC00 || low > 0xDFFF)
        return high;
    *at += 6;
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

// One character of UTF-8: the first byte says how many follow, which bring six bits each.
static uint32_t of_bytes(const char **at)
{
    uint32_t first = (unsigned char)*(*at)++;
    if (first < 0x80)
        return first;
    int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    uint32_t point = first & (0x3Fu >> more);
    for (int i = 0; i < more; i++) {
        uint32_t next = (unsigned char)**at;
        if (first < 0xC2 || first > 0xF4 || (next & 0xC0) != 0x80)
            refuse("a text is no UTF-8");
        point = point << 6 | (next & 0x3F);
        (*at)++;
    }
    return point;
}

static Text text(const char *name)
{
    const char *at = value(question, name);
    if (*at != '"')
        refuse("%s must be a text", name);
    Text found = {.points = take((size_t)(after_text(at) - at), sizeof(uint32_t))};
    at++;
    while (*at != '"') {
        bool backslash = *at == '\\';
        at += backslash;
        found.points[found.length++] = backslash ? after_backslash(&at) : of_bytes(&at);
    }
    return found;
}

// Writing JSON ------------------------------------------------------------------------------------

static char *answer = NULL;
static size_t written = 0, room = 0;

static void put(const char *format, ...)
{
    va_list given;
    for (;;) {
        va_start(given, format);
        int length = vsnprintf(answer + written, room - written, format, given);
        va_end(given);
        if (length >= 0 && (size_t)length < room - written) {
            written += (size_t)length;
            return;
        }
        char *more = realloc(answer, 2 * room + 256);
        if (more == NULL || length < 0)
            refuse("out of memory");
        answer = more;
        room = 2 * room + 256;
    }
}

// In enough digits to name it and no other: 9 for a float, 17 for a double.
static void put_number(double number, int digits)
{
    if (isfinite(number))
        put("%.*g", digits, number);
    else
        put(isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

// The beginning of a tensor, up to its numbers; gives how many those are.
static long put_shape(const char *name, long rank, const long *shape)
{
    long size = 1;
    put(",\"%s\":{\"shape\":[", name);
    for (long k = 0; k < rank; k++) {
        put(k ? ",%ld" : "%ld", shape[k]);
        size *= shape[k];
    }
    put("],\"data\":[");
    return size;
}

static void put_ids(const char *name, long rank, const long *shape, const long *data)
{
    long size = put_shape(name, rank, shape);
    for (long i = 0; i < size; i++)
        put(i ? ",%ld" : "%ld", data[i]);
    put("]}");
}

static void put_doubles(const char *name, long rank, const long *shape, const double *data)
{
    long size = put_shape(name, rank, shape);
    for (long i = 0; i < size; i++) {
        put(i ? "," : "");
        put_number(data[i], 17);
    }
    put("]}");
}

static void put_floats(const char *name, long rank, const long *shape, const float *data)
{
    long size = put_shape(name, rank, shape);
    for (long i = 0; i < size; i++) {
        put(i ? "," : "");
        put_number(data[i], 9);
    }
    put("]}");
}

// A character as it stands in a JSON text: in ASCII, which any reader takes.
static const char *escaped(uint32_t point)
{
    static char out[16];
    if (point >= 0x10000) {
        unsigned high = 0xD800 + ((point - 0x10000) >> 10), low = 0xDC00 + (point & 0x3FF);
        snprintf(out, sizeof out, "\\u%04x\\u%04x", high, low);
    } else if (point < 0x20 || point > 0x7E || point == '"' || point == '\\') {
        snprintf(out, sizeof out, "\\u%04x", (unsigned)point);
    } else {
        snprintf(out, sizeof out, "%c", (char)point);
    }
    return out;
}

// A line in, a line out ---------------------------------------------------------------------------

static void answer_question(void)
{
    const char *asked = value(question, "op");
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        size_t length = strlen(operations[i].name);
        if (strncmp(asked + 1, operations[i].name, length) == 0 && asked[length + 1] == '"') {
            operations[i].answer();
            return;
        }
    }
    refuse("this operation is not known here");
}

int main(void)
{
    static long sequence = -1;
    static char *line = NULL;
    size_t size = 0;
    FILE *questions = fdopen(3, "r"), *answers = fdopen(4, "w");
    if (questions == NULL || answers == NULL) {
        fputs("the kit asks on descriptor 3 and is answered on 4: bigram check --command ./bigram\n",
              stderr);
        return 2;
    }
    srand((unsigned)time(NULL));
    while (!over && getline(&line, &size, questions) >= 0) {
        question = line;
        sequence += 1;
        written = 0;
        if (setjmp(refused) == 0) {
            sequence = whole("seq", 0, MOST);
            put("{\"seq\":%ld", sequence);
            answer_question();
            put("}\n");
            fwrite(answer, 1, written, answers);
        } else {
            fprintf(answers, "{\"seq\":%ld,\"error\":\"%s\"}\n", sequence, complaint);
        }
        fflush(answers);
        forget();
    }
    free(line);
    free(answer);
    free(model.table);
    free(model.mean);
    free(model.square);
    return 0;
}
