#include "ae_transients.h"

#include "ae_fft.h"
#include "ae_transients_weights.h"
#include "ae_vector_math.h"

enum {
    k_max_points = 65536,
    k_bands = 12,
    k_low_bands = 3,  /* 100 .. 1000 Hz */
    k_high_first = 5, /* from 2 kHz on */
    k_parts = 8,      /* of a hop */
    k_features = 25,
    k_warm_hops = 15,    /* the noise estimate settles */
    k_same_stroke = 4,   /* hops: press and bounce count once */
    k_confirm_hops = 12, /* by then a stroke has died away */
    k_tail_hops = 20,
    k_long_ago = 1000,
};

static const float k_edges_hz[k_bands + 1] = {100.0f,  350.0f,  650.0f,  1000.0f, 1500.0f,
                                              2000.0f, 2600.0f, 3200.0f, 4000.0f, 5000.0f,
                                              6000.0f, 7000.0f, 8000.0f};
static const float k_window_hops = 1.3f, k_rise_hops = 0.4f, k_fall_hops = 0.1f;
static const float k_least_power = 1e-14f, k_most_power = 1e20f;
static const float k_crest_rate_hz = 16000.0f; /* the difference over one sample of it: highs */
static const float k_peak_up = 0.05f, k_peak_down_db = 0.02f; /* per hop */

static const float k_full = 1.03f; /* 0.97 is sure enough to take all */
/* The fit weighs word onsets six times, which makes it timid: log-odds are moved and stretched. */
static const float k_timid = 0.65f, k_stretch = 3.0f;

static const float k_sure = 1.8f;  /* log-odds from which on a stroke teaches */
static const float k_learn = 0.1f; /* per stroke */
static const float k_enough = 3.0f, k_memory_ms = 20000.0f; /* strokes that make a keyboard */
static const float k_confirm_db = 15.0f;    /* a stroke has fallen by so much in k_confirm_hops */
static const float k_voice_start_db = 3.0f; /* low frequencies rise in or after a stroke: a voice */
static const float k_voice_db = 6.0f;
static const float k_low_rise_db = 4.0f;
static const float k_disbelief = 0.3f; /* per hop */
static const float k_unlike_db = 9.0f; /* above the usual tail: no tail */
static const float k_tail_first_db = -12.0f, k_tail_db = -2.0f, k_tail_steepest_db = -6.0f;
static const float k_pause = 0.2f, k_tail_rate = 0.15f, k_tail_down = 0.3f,
                   k_tail_up = 0.05f; /* speech only ever lifts a tail */

static const float k_grow = 2.0f; /* what a voice may rise in a hop while a stroke hides it */
static const float k_noise_margin = 2.0f;
static const float k_loudest = 1e6f; /* power: 60 dB over full scale; more is no signal */
static const float k_over_speech = 0.7f, k_over_pause = 2.5f; /* a tail is subtracted so often */
static const float k_colour_rate = 0.1f, k_alone = 0.1f, k_over_colour = 30.0f;

typedef enum { k_unsure, k_waiting, k_confirmed } stroke_state;

struct ae_transients {
    ae_transients_config config;
    int window, size, lag, bands;
    int band_first[k_bands + 1], point_first[k_bands + 1];
    float memory;
    ae_fft *fft;
    float *shape;         /* [window] */
    float *history;       /* [window] newest last */
    float *frame;         /* [size] */
    float *re, *im;       /* [size / 2 + 1] */
    float *kept;          /* [points] power that was let through in the hop before */
    float *stroke;        /* [points] power of the strokes that ring on */
    float *colour;        /* [points] of a usual stroke, 1 at high frequencies */
    float *held;          /* [points] scratch */
    float level[k_bands]; /* dB, of the newest hop with the noise; then of the two before it */
    float before[k_bands], earlier[k_bands];
    float floor[k_bands]; /* dB, of the noise */
    float peak[k_bands];  /* dB, slow */
    float feature[k_features];
    float high_level, low_level, low_rise, high_over_noise, low_over_noise; /* dB */
    float usual[k_bands], usual_level; /* dB: colour against the mean, and level, of a stroke */
    int learned;
    float found, take, last_take; /* probabilities: by the first row; by the second, now, before */
    float strokes;                /* confirmed ones, fading */
    int hops, age;                /* since reset; since the last stroke; both held at a limit */
    stroke_state state;           /* of the last stroke */
    float speech, hit_speech;     /* speech probability of the hop before; before the stroke */
    float hit_level, hit_low;     /* dB, of the last stroke */
    float believed;               /* 0 .. 1: what goes on is its tail */
    float tail[k_tail_hops];      /* dB against the stroke, by age */
    uint32_t count;
};

static ae_transients *lay_out(ae_arena *arena, const ae_transients *shape)
{
    ae_transients *self = AE_TAKE(arena, 1, ae_transients);
    ae_transients filled = *shape;
    filled.shape = AE_TAKE(arena, shape->window, float);
    filled.history = AE_TAKE(arena, shape->window, float);
    filled.frame = AE_TAKE(arena, shape->size, float);
    filled.re = AE_TAKE(arena, shape->size / 2 + 1, float);
    filled.im = AE_TAKE(arena, shape->size / 2 + 1, float);
    float **planes[] = {&filled.kept, &filled.stroke, &filled.colour, &filled.held};
    for (int i = 0; i < 4; i++) *planes[i] = AE_TAKE(arena, shape->config.points, float);
    if (self == NULL) return NULL;
    *self = filled;
    return self;
}

/* Flat over the hop, so that a stroke counts the same wherever it falls. */
static void make_window(ae_transients *self)
{
    const float hop = (float)self->config.hop_frames;
    const float rise = k_rise_hops * hop, fall = k_fall_hops * hop;
    float power = 0.0f;
    for (int i = 0; i < self->window; i++) {
        const float up = ((float)i + 0.5f) / rise, down = ((float)(self->window - i) - 0.5f) / fall;
        self->shape[i] = sinf(0.5f * k_ae_pi * ae_min(ae_min(up, down), 1.0f));
        power += self->shape[i] * self->shape[i];
    }
    for (int i = 0; i < self->window; i++) self->shape[i] /= sqrtf(power);
}

static void place_bands(ae_transients *shape)
{
    const float bin_hz = (float)shape->config.sample_rate_hz / (float)shape->size;
    for (int b = 0; b <= k_bands; b++) {
        shape->band_first[b] =
            ae_clamp_int((int)(k_edges_hz[b] / bin_hz + 0.5f), 1, shape->size / 2 + 1);
        shape->point_first[b] = ae_clamp_int((int)(k_edges_hz[b] / shape->config.point_hz + 0.5f),
                                             0, shape->config.points);
        if (b > 0 && shape->band_first[b] > shape->band_first[b - 1] &&
            shape->point_first[b] > shape->point_first[b - 1] &&
            k_edges_hz[b] <= 0.5f * (float)shape->config.sample_rate_hz + 1.0f)
            shape->bands = b;
    }
}

ae_status ae_transients_create(ae_transients **out, const ae_transients_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->hop_frames != ae_block_frames(config->sample_rate_hz) || config->points < 16 ||
        config->points > k_max_points || !(config->point_hz >= 1.0f && config->point_hz <= 200.0f))
        return AE_ERROR_ARGUMENT;
    ae_transients shape = {.config = *config};
    shape.window = (int)(k_window_hops * (float)config->hop_frames);
    shape.size = ae_fft_good_size(shape.window);
    shape.lag = ae_clamp_int((int)((float)config->sample_rate_hz / k_crest_rate_hz + 0.5f), 1, 16);
    shape.memory = 1.0f - ae_one_pole(k_memory_ms, 10.0f);
    place_bands(&shape);
    ae_status status = ae_fft_create(&shape.fft, shape.size);
    if (status != AE_OK) return status;
    ae_arena arena = {0};
    lay_out(&arena, &shape);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) {
        ae_fft_destroy(shape.fft);
        return AE_ERROR_MEMORY;
    }
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    make_window(*out);
    ae_transients_reset(*out);
    return AE_OK;
}

void ae_transients_destroy(ae_transients *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_free(self);
}

void ae_transients_reset(ae_transients *self)
{
    ae_zero(self->history, self->window);
    ae_zero(self->kept, self->config.points);
    ae_zero(self->stroke, self->config.points);
    ae_fill(self->colour, 1.0f, self->config.points);
    for (int b = 0; b < k_bands; b++) {
        self->level[b] = self->before[b] = self->earlier[b] = self->peak[b] = -140.0f;
        self->usual[b] = 0.0f;
    }
    for (int a = 0; a < k_tail_hops; a++)
        self->tail[a] =
            ae_max(k_tail_steepest_db * (float)a, k_tail_first_db + k_tail_db * (float)a);
    self->high_level = self->low_level = self->hit_level = self->hit_low = -140.0f;
    self->low_rise = self->high_over_noise = self->low_over_noise = self->usual_level = 0.0f;
    self->found = self->take = self->last_take = self->strokes = 0.0f;
    self->speech = self->hit_speech = 0.0f;
    self->believed = 1.0f;
    self->state = k_unsure;
    self->learned = self->hops = 0;
    self->age = k_long_ago;
    self->count = 0;
}

float ae_transients_probability(const ae_transients *self) { return self->take; }
uint32_t ae_transients_count(const ae_transients *self) { return self->count; }

/* A NaN gives the least. */
static float db(float power)
{
    return 3.01029996f * ae_log2(ae_min(ae_max(power, k_least_power), k_most_power));
}

static void take_samples(ae_transients *self, const float *const *samples, int channels)
{
    const int hop = self->config.hop_frames, kept = self->window - hop;
    const float share = 1.0f / (float)channels;
    float *restrict history = self->history, *restrict newest = history + kept;
    memmove(history, history + hop, (size_t)kept * sizeof(float));
    ae_zero(newest, hop);
    for (int c = 0; c < channels; c++) {
        const float *restrict in = samples[c];
#pragma omp simd
        for (int i = 0; i < hop; i++) newest[i] += share * in[i];
    }
}

static float mean_of(const float *restrict values, int first, int end)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = first; k < end; k++) sum += values[k];
    return sum / (float)(end - first);
}

/* Level of every band of the newest hop, and of the noise in it. */
static void find_levels(ae_transients *self, const float *noise)
{
    float *restrict frame = self->frame, *restrict re = self->re, *restrict im = self->im;
    const float *restrict history = self->history, *restrict shape = self->shape;
#pragma omp simd
    for (int i = 0; i < self->window; i++) frame[i] = history[i] * shape[i];
    ae_zero(frame + self->window, self->size - self->window);
    ae_fft_forward(self->fft, frame, re, im);
    const int end = self->band_first[self->bands];
#pragma omp simd
    for (int k = 0; k < end; k++) re[k] = re[k] * re[k] + im[k] * im[k];
    for (int b = 0; b < self->bands; b++) {
        const float least = mean_of(noise, self->point_first[b], self->point_first[b + 1]);
        const float now = mean_of(re, self->band_first[b], self->band_first[b + 1]);
        self->earlier[b] = self->before[b];
        self->before[b] = self->level[b];
        self->floor[b] = db(least);
        self->level[b] = db(now + least);
    }
}

/* Levels of the eight parts of the hop's high frequencies, dB. */
typedef struct {
    float most, least, mean;
} part_levels;

static part_levels find_parts(const ae_transients *self)
{
    const int hop = self->config.hop_frames, lag = self->lag;
    const float *restrict newest = self->history + self->window - hop;
    float most = 0.0f, least = k_most_power, sum = 0.0f;
    for (int part = 0; part < k_parts; part++) {
        const int first = hop * part / k_parts, end = hop * (part + 1) / k_parts;
        float energy = 0.0f;
#pragma omp simd reduction(+ : energy)
        for (int i = first; i < end; i++) {
            const float change = newest[i] - newest[i - lag];
            energy += change * change;
        }
        energy /= (float)(end - first);
        most = ae_max(most, energy);
        least = ae_min(least, energy);
        sum += energy;
    }
    return (part_levels){db(most), db(least), db(sum / (float)k_parts)};
}

typedef struct {
    float level, squares, rise, over_noise, under_peak;
} band_means;

static band_means mean_bands(const ae_transients *self, int first, int end)
{
    band_means mean = {0};
    for (int b = first; b < end; b++) {
        const float level = self->level[b];
        mean.level += level;
        mean.squares += level * level;
        mean.rise += ae_clamp(level - ae_max(self->before[b], self->earlier[b]), -10.0f, 30.0f);
        mean.over_noise += ae_clamp(level - self->floor[b], 0.0f, 40.0f);
        mean.under_peak += ae_clamp(level - self->peak[b], -40.0f, 20.0f);
    }
    const float share = 1.0f / (float)(end - first);
    return (band_means){mean.level * share, mean.squares * share, mean.rise * share,
                        mean.over_noise * share, mean.under_peak * share};
}

/* How far the high bands lie from the colour of this room's strokes, dB. */
static float find_unlike(const ae_transients *self, float high_level)
{
    float sum = 0.0f;
    for (int b = k_high_first; b < self->bands; b++)
        sum += ae_min(fabsf(self->level[b] - high_level - self->usual[b]), 15.0f);
    return sum / (float)(self->bands - k_high_first);
}

/* How much more low frequencies there are than in this room's strokes, dB. */
static float find_surplus(const ae_transients *self, float high_level)
{
    float sum = 0.0f;
    for (int b = 0; b < k_low_bands; b++)
        sum += ae_clamp(self->level[b] - high_level - self->usual[b], -20.0f, 20.0f);
    return sum / (float)k_low_bands;
}

static void find_features(ae_transients *self, float pitch_strength)
{
    float *f = self->feature;
    const band_means high = mean_bands(self, k_high_first, self->bands);
    const band_means low = mean_bands(self, 0, k_low_bands);
    const part_levels parts = find_parts(self);
    const float crest = parts.most - parts.mean;
    const float tilt = ae_clamp(high.level - low.level, -40.0f, 30.0f);
    const float known = ae_min(self->strokes / k_enough, 1.0f);
    const float louder = known * ae_clamp(high.level - self->usual_level, -30.0f, 10.0f);
    const float unlike = known * find_unlike(self, high.level);
    f[0] = high.rise;
    f[1] = high.under_peak;
    f[2] = sqrtf(ae_max(high.squares - high.level * high.level, 0.0f));
    f[3] = high.over_noise;
    f[4] = crest;
    f[5] = self->high_over_noise;
    f[6] = low.over_noise;
    f[7] = tilt;
    f[8] = ae_clamp(pitch_strength, 0.0f, 1.0f);
    f[9] = high.rise * high.rise;
    f[10] = high.rise * crest;
    f[11] = known;
    f[12] = louder;
    f[13] = 0.1f * louder * louder;
    f[14] = unlike;
    f[15] = 0.1f * unlike * high.rise;
    f[16] = low.under_peak;
    f[17] = parts.least - parts.most;
    f[18] = 0.1f * louder * crest;
    f[19] = 0.1f * tilt * tilt;
    f[20] = logf(1.0f + (float)(self->age < 50 ? self->age : 50));
    f[21] = low.rise;
    f[22] = known * find_surplus(self, high.level);
    f[23] = ae_clamp(self->speech, 0.0f, 1.0f);
    f[24] = self->low_over_noise;
    self->low_rise = low.level - self->low_level;
    self->high_level = high.level;
    self->low_level = low.level;
    self->high_over_noise = high.over_noise;
    self->low_over_noise = low.over_noise;
    for (int b = 0; b < self->bands; b++) {
        float *peak = &self->peak[b];
        *peak = ae_max(*peak - k_peak_down_db, *peak + k_peak_up * (self->level[b] - *peak));
    }
}

static void learn_usual(ae_transients *self)
{
    self->learned += self->learned < 100;
    const float rate = ae_max(k_learn, 1.0f / (float)self->learned);
    self->usual_level += rate * (self->high_level - self->usual_level);
    for (int b = 0; b < self->bands; b++)
        self->usual[b] += rate * (self->level[b] - self->high_level - self->usual[b]);
}

static float log_odds(const ae_transients *self, const float *weights, float bias)
{
    for (int i = 0; i < k_features; i++) bias += weights[i] * self->feature[i];
    return bias;
}

static void note_stroke(ae_transients *self, int sure)
{
    const int fresh = self->age > k_same_stroke;
    if (fresh) self->hit_speech = self->speech;
    self->hit_level = self->age > 2 ? self->high_level : ae_max(self->high_level, self->hit_level);
    self->hit_low = self->low_level;
    self->believed = 1.0f;
    self->state = sure ? k_waiting : k_unsure;
    self->count += (uint32_t)(fresh && self->take > 0.5f);
    self->age = 0;
}

static void judge(ae_transients *self)
{
    self->strokes *= self->memory;
    self->last_take = self->take;
    self->age += self->age < k_long_ago;
    if (self->hops < k_warm_hops) {
        self->hops++;
        return;
    }
    const float find = log_odds(self, k_find, k_find_bias);
    self->found = 1.0f / (1.0f + expf(-find));
    /* One stroke makes no keyboard: it may have been a plosive. */
    const float take = k_stretch * (log_odds(self, k_take, k_take_bias) + k_timid);
    self->take = self->strokes < 1.0f ? 0.0f : 1.0f / (1.0f + expf(-ae_clamp(take, -80.0f, 80.0f)));
    if (find > k_sure) learn_usual(self);
    if (ae_max(self->found, self->take) > 0.5f) note_stroke(self, find > k_sure);
}

/* What comes after a stroke: it counts when it has died away with no voice in it, and teaches how
 * strokes ring on here. */
static void follow_stroke(ae_transients *self)
{
    const int age = self->age;
    if (age < 2 || age >= k_tail_hops) return;
    const float drop = self->high_level - self->hit_level;
    if (self->state != k_unsure) {
        const float change = drop - self->tail[age];
        const int pause = self->hit_speech < k_pause;
        const float rate = pause ? k_tail_rate : change < 0.0f ? k_tail_down : k_tail_up;
        self->tail[age] = ae_clamp(self->tail[age] + rate * change, -60.0f, -3.0f);
    }
    const float low_rise = self->low_level - self->hit_low;
    if (low_rise > k_voice_start_db) self->state = k_unsure;
    if (self->state == k_waiting && age <= k_confirm_hops && drop < -k_confirm_db) {
        self->strokes += 1.0f;
        self->state = k_confirmed;
    }
    if (drop > self->tail[age - 1] + k_unlike_db || low_rise > k_voice_db)
        self->believed *= k_disbelief;
}

/* Of a stroke's power in the analysis window, dB, by age: it leaves the window, its tail stays. */
static float find_tail_db(const ae_transients *self, int age)
{
    const float window = age <= 1 ? 0.0f : age == 2 ? -4.5f : age == 3 ? -18.0f : -100.0f;
    return ae_max(window, age < 1 ? 0.0f : self->tail[age - 1]);
}

static float find_fall(const ae_transients *self)
{
    if (self->age < 2) return 1.0f;
    if (self->age >= k_tail_hops) return 0.0f;
    const float fall = find_tail_db(self, self->age) - find_tail_db(self, self->age - 1);
    return ae_exp2(k_ae_log2_per_db * ae_min(fall, 0.0f)) * self->believed;
}

/* What may stay of every point while a stroke hides it; returns the stroke's mean power above
 * 2 kHz. */
static float find_held(ae_transients *self, const float *power, const float *noise)
{
    const int points = self->config.points;
    const int first = self->point_first[k_high_first], end = self->point_first[self->bands];
    float *restrict held = self->held, *restrict colour = self->colour;
    const float *restrict kept = self->kept;
    float all = 0.0f, stays = 0.0f, high = 0.0f;
#pragma omp simd reduction(+ : all, stays)
    for (int k = 0; k < points; k++) {
        const float voice = ae_max(kept[k] - k_noise_margin * noise[k], 0.0f);
        held[k] = ae_min(ae_max(k_grow * voice, noise[k]), power[k]);
        all += power[k];
        stays += held[k];
    }
#pragma omp simd reduction(+ : high)
    for (int k = first; k < end; k++) high += power[k] - held[k];
    high = ae_max(high / (float)(end - first), 1e-20f);
    if (self->found > 0.9f && stays < k_alone * all) {
        const float share = 1.0f / high;
#pragma omp simd
        for (int k = 0; k < points; k++)
            colour[k] += k_colour_rate * (ae_min(power[k] * share, 1e4f) - colour[k]);
    }
    return high;
}

static void find_gain(ae_transients *self, const float *power, const float *noise, float *gain)
{
    /* A stroke late in the hop before is whole in this window; low frequencies that rise after it
     * were none of it. */
    const float before = self->low_rise > k_low_rise_db ? 0.0f : self->last_take;
    const float weight = ae_min(k_full * ae_max(self->take, before), 1.0f);
    const float fall = find_fall(self);
    /* A word that begins under a tail gets it back as soon as it is heard. */
    const float spoken = ae_max(self->hit_speech, self->age > 0 ? self->speech : 0.0f);
    const float over = k_over_pause + (k_over_speech - k_over_pause) * ae_min(2.0f * spoken, 1.0f);
    const float colour_power = k_over_colour * find_held(self, power, noise);
    float *restrict kept = self->kept, *restrict stroke = self->stroke;
    const float *restrict held = self->held, *restrict colour = self->colour;
#pragma omp simd
    for (int k = 0; k < self->config.points; k++) {
        const float whole = ae_min(power[k] + 1e-20f, k_loudest), ringing = fall * stroke[k];
        const float rest = ae_min(ae_max(whole - over * ringing, noise[k]), whole);
        const float hidden = ae_max(held[k], whole - colour_power * colour[k]);
        const float let = ae_min(weight * hidden + (1.0f - weight) * whole, rest);
        gain[k] = sqrtf(ae_min(let / whole, 1.0f));
        kept[k] = let;
        stroke[k] = ae_max(ringing, weight * (whole - let));
    }
}

void ae_transients_update(ae_transients *self, const float *const *samples, int channels,
                          const float *power, const float *noise, float pitch_strength,
                          float speech_probability, float *gain)
{
    self->speech = speech_probability;
    take_samples(self, samples, channels);
    find_levels(self, noise);
    find_features(self, pitch_strength);
    judge(self);
    follow_stroke(self);
    find_gain(self, power, noise, gain);
}
