#include "ae_loudness.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ae_kweight.h"
#include "ae_loudness_gate.h"
#include "ae_math.h"
#include "ae_true_peak.h"

enum {
    k_steps_per_s = 100,
    k_momentary_steps = 40,   /* 400 ms */
    k_short_term_steps = 300, /* 3 s */
    k_block_steps = 10,       /* a gating block every 100 ms: 75 % overlap */
    k_stable_s = 60,
    k_chunk = 256,                       /* frames examined for peaks at a time */
    k_history = 2 * AE_TRUE_PEAK_MARGIN, /* frames before the chunk */
};

static const float k_largest_sample = 1e6f; /* beyond it a sample counts as broken: 0 */

struct ae_loudness {
    int rate, channels;
    bool measures_true_peak;
    double weights[AE_MAX_CHANNELS];
    ae_kweight *kweight;
    ae_true_peak interpolator;
    int64_t frames, merged_frames, steps, merged_steps, taken_blocks;
    int frames_to_step;
    double energy[AE_MAX_CHANNELS]; /* of the running step */
    double *step_energy; /* ring of the last k_short_term_steps, channels weighted and added */
    double momentary, short_term, max_momentary, max_short_term; /* mean squares */
    ae_loudness_gate blocks, ranges;                             /* 400 ms and 3 s blocks */
    double *kept;                 /* ring of the last energies of 100 ms */
    float *line[AE_MAX_CHANNELS]; /* k_history + k_chunk frames, cleaned */
    int pending;                  /* frames in the chunk */
    float true_peak, sample_peak;
};

ae_loudness_config ae_loudness_default_config(int sample_rate_hz)
{
    return (ae_loudness_config){.sample_rate_hz = sample_rate_hz, .channels = 1, .true_peak = 1};
}

static bool is_valid(const ae_loudness_config *config)
{
    bool valid = config->sample_rate_hz >= AE_MIN_RATE_HZ &&
                 config->sample_rate_hz <= AE_METER_MAX_RATE_HZ && config->channels >= 1 &&
                 config->channels <= AE_MAX_CHANNELS &&
                 (config->true_peak == 0 || config->true_peak == 1);
    for (int c = 0; valid && c < config->channels; c++) {
        valid = config->channel_weights[c] >= 0.0f && config->channel_weights[c] <= 4.0f;
    }
    return valid;
}

/* BS.1770-5 table 4 for the layouts in the header. */
static void choose_weights(ae_loudness *self, const ae_loudness_config *config)
{
    static const double side = 1.41;
    static const double standard[AE_MAX_CHANNELS][AE_MAX_CHANNELS] = {
        {1.0},
        {1.0, 1.0},
        {1.0, 1.0, 1.0},
        {1.0, 1.0, side, side},
        {1.0, 1.0, 1.0, side, side},
        {1.0, 1.0, 1.0, 0.0, side, side},
        {1.0, 1.0, 1.0, 0.0, 1.0, side, side},
        {1.0, 1.0, 1.0, 0.0, 1.0, 1.0, side, side},
    };
    bool given = false;
    for (int c = 0; c < config->channels; c++) given |= config->channel_weights[c] != 0.0f;
    for (int c = 0; c < config->channels; c++) {
        self->weights[c] =
            given ? (double)config->channel_weights[c] : standard[config->channels - 1][c];
    }
}

static ae_loudness *layout(ae_loudness *plan, ae_arena *arena)
{
    ae_loudness *self = AE_TAKE(arena, 1, ae_loudness);
    plan->step_energy = AE_TAKE(arena, k_short_term_steps, double);
    plan->kept = AE_TAKE(arena, AE_LOUDNESS_KEPT_BLOCKS, double);
    ae_loudness_gate_layout(&plan->blocks, arena);
    ae_loudness_gate_layout(&plan->ranges, arena);
    for (int c = 0; c < plan->channels; c++) {
        plan->line[c] = AE_TAKE(arena, k_history + k_chunk, float);
    }
    return self;
}

ae_status ae_loudness_create(ae_loudness **out, const ae_loudness_config *config)
{
    *out = NULL;
    if (!is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_loudness plan = {.rate = config->sample_rate_hz,
                        .channels = config->channels,
                        .measures_true_peak = config->true_peak};
    const ae_kweight_config filter = {config->sample_rate_hz, config->channels};
    const ae_status status = ae_kweight_create(&plan.kweight, &filter);
    if (status != AE_OK) return status;
    ae_arena arena = {0};
    layout(&plan, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) {
        ae_kweight_destroy(plan.kweight);
        return AE_ERROR_MEMORY;
    }
    ae_loudness *self = layout(&plan, &arena);
    *self = plan;
    ae_true_peak_init(&self->interpolator);
    choose_weights(self, config);
    ae_loudness_reset(self);
    *out = self;
    return AE_OK;
}

void ae_loudness_destroy(ae_loudness *self)
{
    if (self == NULL) return;
    ae_kweight_destroy(self->kweight);
    ae_free(self);
}

/* Steps end at the frames nearest to multiples of 10 ms, so no rate drifts. */
static void plan_step(ae_loudness *self)
{
    const int64_t end = ((self->steps + 1) * self->rate + k_steps_per_s / 2) / k_steps_per_s;
    self->frames_to_step = (int)(end - self->frames);
}

void ae_loudness_reset(ae_loudness *self)
{
    ae_kweight_reset(self->kweight);
    memset(self->energy, 0, sizeof self->energy);
    memset(self->step_energy, 0, k_short_term_steps * sizeof *self->step_energy);
    self->momentary = self->short_term = self->max_momentary = self->max_short_term = 0.0;
    ae_loudness_gate_reset(&self->blocks);
    ae_loudness_gate_reset(&self->ranges);
    for (int c = 0; c < self->channels; c++) ae_zero(self->line[c], k_history + k_chunk);
    self->pending = 0;
    self->true_peak = self->sample_peak = 0.0f;
    self->frames = self->merged_frames = self->steps = self->merged_steps = 0;
    self->taken_blocks = 0;
    plan_step(self);
}

static double sum_of(const double *values, int count)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += values[i];
    return sum;
}

/* Sum of the last `count` steps, added afresh: a running sum would keep rounding errors of loud
 * passages in the quiet ones after them. */
static double window_energy(const ae_loudness *self, int count)
{
    const int end = (int)(self->steps % k_short_term_steps); /* one past the newest step */
    if (end >= count) return sum_of(self->step_energy + end - count, count);
    return sum_of(self->step_energy, end) +
           sum_of(self->step_energy + k_short_term_steps - (count - end), count - end);
}

static void end_step(ae_loudness *self)
{
    double energy = 0.0;
    for (int c = 0; c < self->channels; c++) {
        energy += self->weights[c] * self->energy[c];
        self->energy[c] = 0.0;
    }
    self->step_energy[self->steps % k_short_term_steps] = energy;
    self->steps++;
    const double per_step = (double)k_steps_per_s / self->rate; /* 1 / frames */
    self->momentary = window_energy(self, k_momentary_steps) * per_step / k_momentary_steps;
    self->short_term = window_energy(self, k_short_term_steps) * per_step / k_short_term_steps;
    self->max_momentary = fmax(self->max_momentary, self->momentary);
    self->max_short_term = fmax(self->max_short_term, self->short_term);
    if (self->steps % k_block_steps == 0) {
        self->kept[(self->steps / k_block_steps - 1) % AE_LOUDNESS_KEPT_BLOCKS] =
            window_energy(self, k_block_steps) * per_step / k_block_steps;
        if (self->steps >= k_momentary_steps) ae_loudness_gate_add(&self->blocks, self->momentary);
        if (self->steps >= k_short_term_steps)
            ae_loudness_gate_add(&self->ranges, self->short_term);
    }
    plan_step(self);
}

static float largest_sample(const float *x, int frames)
{
    float largest = 0.0f;
#pragma omp simd reduction(max : largest)
    for (int n = 0; n < frames; n++) {
        const float size = fabsf(x[n]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* The larger of `peak` and the interpolated peaks of the chunk, which end AE_TRUE_PEAK_MARGIN
 * frames before its last sample. */
static float chunk_true_peak(const ae_loudness *self, const float *line, float peak)
{
    const int frames = self->pending;
    if (largest_sample(line, k_history + frames) * self->interpolator.bound <= peak) return peak;
    float envelope[k_chunk];
    ae_true_peak_envelope(&self->interpolator, line + AE_TRUE_PEAK_MARGIN, frames, envelope);
    return fmaxf(peak, largest_sample(envelope, frames));
}

static void end_chunk(ae_loudness *self)
{
    for (int c = 0; c < self->channels; c++) {
        float *line = self->line[c];
        self->sample_peak =
            fmaxf(self->sample_peak, largest_sample(line + k_history, self->pending));
        if (self->measures_true_peak) {
            self->true_peak = chunk_true_peak(self, line, self->true_peak);
        }
        memmove(line, line + self->pending, k_history * sizeof(float));
    }
    self->pending = 0;
}

/* Copy frames into the chunk, broken samples as 0. */
static void append(ae_loudness *self, const float *const *in, int offset, int frames)
{
    for (int c = 0; c < self->channels; c++) {
        const float *restrict from = in[c] + offset;
        float *restrict to = self->line[c] + k_history + self->pending;
#pragma omp simd
        for (int n = 0; n < frames; n++)
            to[n] = fabsf(from[n]) <= k_largest_sample ? from[n] : 0.0f;
    }
    self->pending += frames;
}

void ae_loudness_process(ae_loudness *self, const float *const *in, int frames)
{
    for (int at = 0; at < frames;) {
        int count = frames - at;
        if (count > self->frames_to_step) count = self->frames_to_step;
        if (count > k_chunk - self->pending) count = k_chunk - self->pending;
        append(self, in, at, count);
        ae_kweight_add_energy(self->kweight, (const float *const *)self->line,
                              k_history + self->pending - count, count, self->energy);
        at += count;
        self->frames += count;
        self->frames_to_step -= count;
        if (self->frames_to_step == 0) end_step(self);
        if (self->pending == k_chunk) end_chunk(self);
    }
}

void ae_loudness_flush(ae_loudness *self)
{
    static const float silence[AE_TRUE_PEAK_MARGIN];
    const float *in[AE_MAX_CHANNELS];
    for (int c = 0; c < self->channels; c++) in[c] = silence;
    if (self->pending + AE_TRUE_PEAK_MARGIN > k_chunk) end_chunk(self);
    append(self, in, 0, AE_TRUE_PEAK_MARGIN);
    end_chunk(self);
}

void ae_loudness_merge(ae_loudness *self, const ae_loudness *other)
{
    ae_loudness_gate_merge(&self->blocks, &other->blocks);
    ae_loudness_gate_merge(&self->ranges, &other->ranges);
    self->max_momentary = fmax(self->max_momentary, other->max_momentary);
    self->max_short_term = fmax(self->max_short_term, other->max_short_term);
    self->true_peak = fmaxf(self->true_peak, other->true_peak);
    self->sample_peak = fmaxf(self->sample_peak, other->sample_peak);
    self->merged_frames += other->frames + other->merged_frames;
    self->merged_steps += other->steps + other->merged_steps;
}

static double decibels(float peak) { return peak > 0.0f ? 20.0 * log10((double)peak) : -HUGE_VAL; }

void ae_loudness_read(const ae_loudness *self, ae_loudness_report *out)
{
    float true_peak = self->true_peak, sample_peak = self->sample_peak;
    for (int c = 0; c < self->channels; c++) { /* and what waits in the chunk */
        sample_peak = fmaxf(sample_peak, largest_sample(self->line[c] + k_history, self->pending));
        if (self->measures_true_peak) true_peak = chunk_true_peak(self, self->line[c], true_peak);
    }
    *out = (ae_loudness_report){
        .momentary_lufs = ae_lufs_from_mean_square(self->momentary),
        .short_term_lufs = ae_lufs_from_mean_square(self->short_term),
        .integrated_lufs = ae_loudness_gate_mean_lufs(&self->blocks),
        .loudness_range_lu = ae_loudness_gate_range_lu(&self->ranges),
        .max_momentary_lufs = ae_lufs_from_mean_square(self->max_momentary),
        .max_short_term_lufs = ae_lufs_from_mean_square(self->max_short_term),
        .true_peak_dbtp =
            self->measures_true_peak ? decibels(fmaxf(true_peak, sample_peak)) : -HUGE_VAL,
        .sample_peak_dbfs = decibels(sample_peak),
        .frames = self->frames + self->merged_frames,
        .range_is_stable = self->steps + self->merged_steps >= k_stable_s * k_steps_per_s,
    };
}

int ae_loudness_take_blocks(ae_loudness *self, double *energies)
{
    const int64_t finished = self->steps / k_block_steps;
    int64_t first = self->taken_blocks;
    if (first < finished - AE_LOUDNESS_KEPT_BLOCKS) first = finished - AE_LOUDNESS_KEPT_BLOCKS;
    for (int64_t b = first; b < finished; b++) {
        energies[b - first] = self->kept[b % AE_LOUDNESS_KEPT_BLOCKS];
    }
    self->taken_blocks = finished;
    return (int)(finished - first);
}
