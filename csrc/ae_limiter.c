#include "ae_limiter.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ae_math.h"
#include "ae_true_peak.h"

enum {
    k_boxes = 3,
    k_gain_one = 1 << 24,              /* integer gain 1: a float just below 1 is exact */
    k_reach = 2 * AE_TRUE_PEAK_MARGIN, /* frames before the block that its peaks are made of */
    k_smallest_window = 8,             /* frames */
};

/* White noise, bursts and random signs at eight rates: the peak read is up to 0.09 dB low. */
static const float k_margin_db = 0.08f;
static const float k_ramp_db = 1.0f;        /* of the ceiling per block */
static const float k_largest_sample = 1e6f; /* beyond it a sample counts as broken: 0 */
/* The slow mean of the needed gain, in release times: 300 ms for 80 ms. */
static const float k_slow_releases = 3.75f;
/* Added to each return step, so that gain 1 is reached: 1e-3 (0.009 dB) in 100 ms. */
static const float k_final_step_per_s = 1e-2f;

struct ae_limiter {
    ae_true_peak interpolator;
    int channels, block;
    int window;        /* frames of the smoothing, the look-ahead proper */
    int hold;          /* frames of the running minimum */
    int latency, keep; /* frames; frames of input kept before the block */
    int box[k_boxes];  /* lengths of the moving sums; window = sum - 2 */
    double gain_scale; /* 1 / (gain one * product of the boxes) */
    float release_step, slow_step, final_step;
    float wanted_ceiling_db, ceiling_db, ceiling; /* target; now; linear, with the margin */
    double released, slow; /* gain after the release; slow mean of the needed gain */
    int unity_frames;      /* frames in a row whose released gain was 1 */
    ae_limiter_report report;
    float *input[AE_MAX_CHANNELS]; /* keep + block */
    float *peak, *scratch;         /* block; hold - 1 + block */
    float *need;                   /* hold - 1 + block: the gain each frame needs */
    int64_t *sums[k_boxes];        /* box + block: what each moving sum adds up */
    int64_t totals[k_boxes];
    float *gain; /* block */
};

ae_limiter_config ae_limiter_default_config(int sample_rate_hz)
{
    return (ae_limiter_config){
        .sample_rate_hz = sample_rate_hz,
        .channels = 1,
        .ceiling_dbtp = -1.0f,
        .lookahead_ms = 5.0f,
        .release_ms = 80.0f,
    };
}

static bool is_valid(const ae_limiter_config *config)
{
    return config->sample_rate_hz >= AE_MIN_RATE_HZ && config->sample_rate_hz <= AE_MAX_RATE_HZ &&
           config->channels >= 1 && config->channels <= AE_MAX_CHANNELS &&
           ae_in_range(config->ceiling_dbtp, -20.0f, 0.0f) &&
           ae_in_range(config->lookahead_ms, 1.0f, 10.0f) &&
           ae_in_range(config->release_ms, 10.0f, 1000.0f);
}

/* The interpolator's half is taken out of the window where it is long against it (low rates), so
 * that the latency stays within lookahead_ms + 0.5 ms down to the smallest window. */
static void choose_sizes(ae_limiter *self, const ae_limiter_config *config)
{
    const float frames_per_ms = (float)config->sample_rate_hz * 1e-3f;
    const int wish = (int)lroundf(config->lookahead_ms * frames_per_ms);
    const int room = (int)((config->lookahead_ms + 0.5f) * frames_per_ms) - AE_TRUE_PEAK_MARGIN;
    self->channels = config->channels;
    self->block = ae_block_frames(config->sample_rate_hz);
    self->window = wish < room ? wish : room;
    if (self->window < k_smallest_window) self->window = k_smallest_window;
    self->hold = self->window + 2; /* a peak between two frames holds both */
    self->latency = self->window + AE_TRUE_PEAK_MARGIN;
    self->keep = self->latency > k_reach ? self->latency : k_reach;
    self->box[0] = (self->window + 2) / 3;
    self->box[1] = (self->window + 2 - self->box[0]) / 2;
    self->box[2] = self->window + 2 - self->box[0] - self->box[1];
    self->gain_scale = 1.0 / k_gain_one;
    for (int b = 0; b < k_boxes; b++) self->gain_scale /= self->box[b];
    const float frame_ms = 1000.0f / (float)config->sample_rate_hz;
    self->release_step = ae_one_pole(config->release_ms, frame_ms);
    self->slow_step = ae_one_pole(config->release_ms * k_slow_releases, frame_ms);
    self->final_step = k_final_step_per_s / (float)config->sample_rate_hz;
    self->wanted_ceiling_db = self->ceiling_db = config->ceiling_dbtp;
}

static ae_limiter *layout(ae_limiter *plan, ae_arena *arena)
{
    ae_limiter *self = AE_TAKE(arena, 1, ae_limiter);
    for (int c = 0; c < plan->channels; c++) {
        plan->input[c] = AE_TAKE(arena, plan->keep + plan->block, float);
    }
    plan->peak = AE_TAKE(arena, plan->block, float);
    plan->scratch = AE_TAKE(arena, plan->hold - 1 + plan->block, float);
    plan->need = AE_TAKE(arena, plan->hold - 1 + plan->block, float);
    for (int b = 0; b < k_boxes; b++) {
        plan->sums[b] = AE_TAKE(arena, plan->box[b] + plan->block, int64_t);
    }
    plan->gain = AE_TAKE(arena, plan->block, float);
    return self;
}

ae_status ae_limiter_create(ae_limiter **out, const ae_limiter_config *config)
{
    *out = NULL;
    if (!is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_limiter plan = {0};
    choose_sizes(&plan, config);
    ae_arena arena = {0};
    layout(&plan, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_limiter *self = layout(&plan, &arena);
    *self = plan;
    ae_true_peak_init(&self->interpolator);
    ae_limiter_reset(self);
    *out = self;
    return AE_OK;
}

void ae_limiter_destroy(ae_limiter *self) { ae_free(self); }

void ae_limiter_reset(ae_limiter *self)
{
    for (int c = 0; c < self->channels; c++) ae_zero(self->input[c], self->keep + self->block);
    ae_fill(self->need, 1.0f, self->hold - 1 + self->block);
    int64_t one = k_gain_one; /* what each moving sum is fed while the gain is 1 */
    for (int b = 0; b < k_boxes; b++) {
        for (int n = 0; n < self->box[b] + self->block; n++) self->sums[b][n] = one;
        one *= self->box[b];
        self->totals[b] = one;
    }
    self->released = self->slow = 1.0;
    self->unity_frames = 3 * self->hold;
    self->ceiling_db = self->wanted_ceiling_db;
    self->ceiling = ae_amplitude_from_db(self->ceiling_db - k_margin_db);
    self->report = (ae_limiter_report){0};
}

void ae_limiter_copy_state(ae_limiter *self, const ae_limiter *from)
{
    for (int c = 0; c < self->channels; c++)
        ae_copy(self->input[c], from->input[c], self->keep + self->block);
    ae_copy(self->need, from->need, self->hold - 1 + self->block);
    for (int b = 0; b < k_boxes; b++) {
        const size_t count = (size_t)(self->box[b] + self->block);
        memcpy(self->sums[b], from->sums[b], count * sizeof(int64_t));
        self->totals[b] = from->totals[b];
    }
    self->released = from->released;
    self->slow = from->slow;
    self->unity_frames = from->unity_frames;
    self->wanted_ceiling_db = from->wanted_ceiling_db;
    self->ceiling_db = from->ceiling_db;
    self->ceiling = from->ceiling;
    self->report = from->report;
}

void ae_limiter_set_ceiling_dbtp(ae_limiter *self, float ceiling_dbtp)
{
    if (isfinite(ceiling_dbtp)) self->wanted_ceiling_db = ae_clamp(ceiling_dbtp, -20.0f, 0.0f);
}

int ae_limiter_latency_frames(const ae_limiter *self) { return self->latency; }

void ae_limiter_read(const ae_limiter *self, ae_limiter_report *out) { *out = self->report; }

/* Append the block to the delay lines, broken samples as 0; the largest sample the peaks can see.
 */
static float take_input(ae_limiter *self, const float *const *in)
{
    const int keep = self->keep, block = self->block;
    float largest = 0.0f;
    for (int c = 0; c < self->channels; c++) {
        float *line = self->input[c];
        memmove(line, line + block, (size_t)keep * sizeof(float));
        const float *restrict from = in[c];
        float *restrict to = line + keep;
#pragma omp simd
        for (int n = 0; n < block; n++) to[n] = fabsf(from[n]) <= k_largest_sample ? from[n] : 0.0f;
        const float *seen = line + keep - k_reach;
#pragma omp simd reduction(max : largest)
        for (int n = 0; n < block + k_reach; n++) {
            const float size = fabsf(seen[n]);
            largest = size > largest ? size : largest;
        }
    }
    return largest;
}

static void ramp_ceiling(ae_limiter *self, float *first, float *step)
{
    *first = self->ceiling;
    if (self->ceiling_db != self->wanted_ceiling_db) {
        self->ceiling_db = ae_clamp(self->wanted_ceiling_db, self->ceiling_db - k_ramp_db,
                                    self->ceiling_db + k_ramp_db);
        self->ceiling = ae_amplitude_from_db(self->ceiling_db - k_margin_db);
    }
    *step = (self->ceiling - *first) / (float)self->block;
}

/* need[n]: the gain that brings the peak around frame n to the ceiling, at most 1. */
static void find_need(ae_limiter *self, float ceiling, float ceiling_step)
{
    const int block = self->block;
    float *restrict need = self->need + self->hold - 1;
    const float *restrict peak = self->peak;
    ae_fill(need, 1.0f, block);
    for (int c = 0; c < self->channels; c++) {
        const float *x = self->input[c] + self->keep - AE_TRUE_PEAK_MARGIN;
        ae_true_peak_envelope(&self->interpolator, x, block, self->peak);
#pragma omp simd
        for (int n = 0; n < block; n++) {
            const float allowed = (ceiling + ceiling_step * (float)n) / peak[n];
            need[n] = allowed < need[n] ? allowed : need[n];
        }
    }
}

/* scratch[n] = minimum of need[n .. n + hold): the minimum over a width is that of two shorter
 * ones, so the width doubles with each pass. */
static void hold_minimum(ae_limiter *self)
{
    int count = self->hold - 1 + self->block;
    float *held = self->scratch;
    ae_copy(held, self->need, count);
    for (int width = 1; width < self->hold;) {
        const int step = width < self->hold - width ? width : self->hold - width;
        count -= step;
#pragma omp simd
        for (int n = 0; n < count; n++) {
            held[n] = held[n] < held[n + step] ? held[n] : held[n + step];
        }
        width += step;
    }
}

/* Release, and the gains as integers, rounded down. */
static void release(ae_limiter *self)
{
    const double fast = (double)self->release_step, slow_step = (double)self->slow_step;
    const double final_step = (double)self->final_step;
    double gain = self->released, slow = self->slow;
    int unity = self->unity_frames;
    int64_t *out = self->sums[0] + self->box[0];
    for (int n = 0; n < self->block; n++) {
        const double need = (double)self->scratch[n];
        slow += slow_step * (need - slow) + final_step;
        slow = slow < 1.0 ? slow : 1.0;
        const double target = need < slow ? need : slow;
        if (gain < target) gain += fast * (target - gain) + final_step;
        gain = gain < need ? gain : need;
        out[n] = (int64_t)(gain * k_gain_one);
        unity = gain < 1.0 ? 0 : unity + 1;
    }
    self->released = gain;
    self->slow = slow;
    self->unity_frames = unity < 1 << 20 ? unity : 1 << 20;
}

/* Three moving sums in a row; exact, because they are sums of integers. */
static void smooth(ae_limiter *self)
{
    const int block = self->block;
    for (int b = 0; b < k_boxes; b++) {
        const int length = self->box[b];
        int64_t *in = self->sums[b], total = self->totals[b];
        int64_t *out = b + 1 < k_boxes ? self->sums[b + 1] + self->box[b + 1] : NULL;
        for (int n = 0; n < block; n++) {
            total += in[length + n] - in[n];
            if (out != NULL) {
                out[n] = total;
            } else {
                self->gain[n] = (float)((double)total * self->gain_scale);
            }
        }
        self->totals[b] = total;
    }
    for (int b = 0; b < k_boxes; b++) {
        memmove(self->sums[b], self->sums[b] + block, (size_t)self->box[b] * sizeof(int64_t));
    }
}

static void apply_gain(ae_limiter *self, float *const *out)
{
    const int block = self->block;
    const float *restrict gain = self->gain;
    for (int c = 0; c < self->channels; c++) {
        const float *restrict from = self->input[c] + self->keep - self->latency;
        float *restrict to = out[c];
#pragma omp simd
        for (int n = 0; n < block; n++) to[n] = from[n] * gain[n];
    }
    float least = 1.0f;
    int limited = 0;
    for (int n = 0; n < block; n++) {
        least = gain[n] < least ? gain[n] : least;
        limited += gain[n] < 1.0f;
    }
    self->report.reduction_db = least < 1.0f ? -ae_db_from_amplitude(least) : 0.0f;
    if (self->report.reduction_db > self->report.max_reduction_db) {
        self->report.max_reduction_db = self->report.reduction_db;
    }
    self->report.limited_frames += limited;
}

void ae_limiter_process(ae_limiter *self, const float *const *in, float *const *out)
{
    float ceiling, ceiling_step;
    const float largest = take_input(self, in);
    ramp_ceiling(self, &ceiling, &ceiling_step);
    const float lowest = ceiling < self->ceiling ? ceiling : self->ceiling;
    const bool quiet = largest * self->interpolator.bound <= lowest;
    if (quiet && self->unity_frames >= 3 * self->hold) {
        for (int c = 0; c < self->channels; c++) {
            ae_copy(out[c], self->input[c] + self->keep - self->latency, self->block);
        }
        self->report.reduction_db = 0.0f;
        return;
    }
    if (quiet) {
        ae_fill(self->need + self->hold - 1, 1.0f, self->block);
    } else {
        find_need(self, ceiling, ceiling_step);
    }
    hold_minimum(self);
    release(self);
    memmove(self->need, self->need + self->block, (size_t)(self->hold - 1) * sizeof(float));
    smooth(self);
    apply_gain(self, out);
}
