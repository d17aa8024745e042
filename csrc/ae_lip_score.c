#include "ae_lip_score.h"

#include "ae_lip_audio.h"
#include "ae_lip_bandpass.h"
#include "ae_lip_lags.h"
#include "ae_lip_mouth.h"
#include "ae_math.h"

#include <assert.h>
#include <stdbool.h>

_Static_assert((int)AE_LIP_MOUTH_ROW == (int)AE_LIP_MAX_SIGNALS, "a row holds every signal");
_Static_assert((int)AE_LIP_SCORE_FRAMES > (int)AE_LIP_BANDPASS_EDGE, "the filters need that many");

enum {
    k_edge = AE_LIP_BANDPASS_EDGE,
    k_step = 2, /* 10 ms frames from one value of a plane to the next: 20 ms */
    k_pad = AE_LIP_MAX_REACH / k_step, /* values before and after a plane */
    k_least_frames = 100 / k_step,     /* that both share at a lag: 1 s */
    k_near = 4,   /* frames around the peak where a half may have its own: 40 ms */
    k_apart = 15, /* frames from the peak to the second: 150 ms, a syllable */
};

static const double k_low_hz = 0.2, k_audio_high_hz = 12.0, k_mouth_high_hz = 10.0;
static const float k_least_weight = 40.0f; /* of the values that a lag uses: 0.8 s with a face */
static const double k_frame_ms = 10.0;
static const double k_least_deviation = 1e-9; /* of a signal: below it there is none */

struct ae_lip_score {
    int max_frames, max_lag;
    ae_lip_model model;
    ae_lip_bandpass audio_band, mouth_band;
    ae_lip_lags *lags;
    float *audio, *mouth;                /* rows, with k_edge spare ones around them */
    float *weight, *present;             /* by frame */
    float *value_weight, *value_present; /* by value of a plane */
    float *audio_planes, *mouth_planes;  /* by signal, with k_pad values around each */
    float *audio_pair, *mouth_pair;      /* one projection of each side */
};

/* Values of a plane: every k_step-th frame, the first one too. */
static int value_count(int frames) { return (frames + k_step - 1) / k_step; }

static int plane_length(const ae_lip_score *self)
{
    return value_count(self->max_frames) + 2 * k_pad;
}

static ae_lip_score *layout(ae_lip_score *plan, const ae_lip_model *model, ae_arena *arena)
{
    ae_lip_score *self = AE_TAKE(arena, 1, ae_lip_score);
    const int rows = plan->max_frames + 2 * k_edge, length = plane_length(plan);
    plan->model = ae_lip_model_copy(model, arena);
    plan->audio = AE_TAKE(arena, rows * AE_LIP_ROW, float);
    plan->mouth = AE_TAKE(arena, rows * AE_LIP_MOUTH_ROW, float);
    plan->weight = AE_TAKE(arena, plan->max_frames, float);
    plan->present = AE_TAKE(arena, plan->max_frames, float);
    plan->audio_planes = AE_TAKE(arena, length * AE_LIP_FEATURES, float);
    plan->mouth_planes = AE_TAKE(arena, length * model->mouth_signals, float);
    float **values[] = {&plan->value_weight, &plan->value_present, &plan->audio_pair,
                        &plan->mouth_pair};
    for (int i = 0; i < 4; i++) *values[i] = AE_TAKE(arena, value_count(plan->max_frames), float);
    return self;
}

ae_status ae_lip_score_create(ae_lip_score **out, const ae_lip_score_config *config)
{
    *out = NULL;
    if (config->max_frames < AE_LIP_SCORE_FRAMES || config->max_lag < 2 * k_apart ||
        config->model == NULL || !ae_lip_model_is_valid(config->model))
        return AE_ERROR_ARGUMENT;
    ae_lip_score plan = {.max_frames = config->max_frames, .max_lag = config->max_lag};
    const ae_status status =
        ae_lip_lags_create(&plan.lags, value_count(plan.max_frames), plan.max_lag);
    if (status != AE_OK) return status;
    ae_arena arena = {0};
    layout(&plan, config->model, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) {
        ae_lip_lags_destroy(plan.lags);
        return AE_ERROR_MEMORY;
    }
    ae_lip_score *self = layout(&plan, config->model, &arena);
    *self = plan;
    self->audio_band = ae_lip_bandpass_design(k_low_hz, k_audio_high_hz, AE_LIP_FRAMES_PER_S);
    self->mouth_band = ae_lip_bandpass_design(k_low_hz, k_mouth_high_hz, AE_LIP_FRAMES_PER_S);
    *out = self;
    return AE_OK;
}

void ae_lip_score_destroy(ae_lip_score *self)
{
    if (self == NULL) return;
    ae_lip_lags_destroy(self->lags);
    ae_free(self);
}

float *ae_lip_score_audio(ae_lip_score *self) { return self->audio + k_edge * AE_LIP_ROW; }
float *ae_lip_score_mouth(ae_lip_score *self) { return self->mouth + k_edge * AE_LIP_MOUTH_ROW; }
float *ae_lip_score_weight(ae_lip_score *self) { return self->weight; }
const float *ae_lip_score_curve(const ae_lip_score *self) { return ae_lip_lags_scores(self->lags); }

/* Rows first .. end - 1 are missing: a straight line from the row before to the row after. */
static void bridge(float *rows, int frames, int first, int end)
{
    const float *before = first > 0 ? rows + (first - 1) * AE_LIP_ROW : NULL;
    const float *after = end < frames ? rows + end * AE_LIP_ROW : NULL;
    for (int t = first; t < end; t++) {
        const float part = (float)(t - first + 1) / (float)(end - first + 1);
        for (int j = 0; j < AE_LIP_FEATURES; j++) {
            const float from = before != NULL ? before[j] : after != NULL ? after[j] : 0.0f;
            const float to = after != NULL ? after[j] : from;
            rows[t * AE_LIP_ROW + j] = from + part * (to - from);
        }
    }
}

/* Fill the gaps of the sound and note them. */
static void bridge_gaps(ae_lip_score *self, int frames)
{
    float *rows = ae_lip_score_audio(self);
    for (int t = 0; t < frames; t++)
        self->present[t] = rows[t * AE_LIP_ROW + AE_LIP_PRESENT] > 0.0f ? 1.0f : 0.0f;
    for (int t = 0, end; t < frames; t = end) {
        end = t + 1;
        if (self->present[t] > 0.0f) continue;
        while (end < frames && self->present[end] == 0.0f) end++;
        bridge(rows, frames, t, end);
    }
}

/* Values of every k_step-th row of a column as a plane of unit variance with its ends held; returns
 * its deviation. */
static float to_plane(const float *restrict rows, int width, int values, float *restrict plane)
{
    double sum = 0.0, squares = 0.0;
    for (int t = 0; t < values; t++) {
        plane[t] = rows[t * k_step * width];
        const double value = (double)plane[t];
        sum += value;
        squares += value * value;
    }
    const double mean = sum / values;
    const double deviation = sqrt(fmax(squares / values - mean * mean, 0.0));
    const float scale = deviation > k_least_deviation ? (float)(1.0 / deviation) : 0.0f;
#pragma omp simd
    for (int t = 0; t < values; t++) plane[t] = (plane[t] - (float)mean) * scale;
    for (int e = 1; e <= k_pad; e++) {
        plane[-e] = plane[0];
        plane[values - 1 + e] = plane[values - 1];
    }
    return (float)deviation;
}

/* pair[t] += sum over the taps of one signal. Eleven and five taps are what the models have: the
 * compiler unrolls those. */
static inline __attribute__((always_inline)) void add_taps(const float *restrict plane,
                                                           const float *restrict tap_weight,
                                                           int stride, int taps, int step,
                                                           int values, float *restrict pair)
{
    float weight[AE_LIP_MAX_TAPS];
    for (int i = 0; i < taps; i++) weight[i] = tap_weight[i * stride];
    plane -= taps / 2 * step;
#pragma omp simd
    for (int t = 0; t < values; t++) {
        float sum = pair[t];
        for (int i = 0; i < taps; i++) sum += weight[i] * plane[t + i * step];
        pair[t] = sum;
    }
}

/* One projection: `signals` planes with the taps [tap][signal]. */
static void project(const float *planes, int length, int signals, const float *taps_of, int taps,
                    int step, int values, float *pair)
{
    ae_zero(pair, values);
    for (int j = 0; j < signals; j++) {
        const float *plane = planes + (size_t)j * (size_t)length + k_pad, *weight = taps_of + j;
        if (taps == 11)
            add_taps(plane, weight, signals, 11, step, values, pair);
        else if (taps == 5)
            add_taps(plane, weight, signals, 5, step, values, pair);
        else
            for (int i = 0; i < taps; i++)
                add_taps(plane + (i - taps / 2) * step, weight + i * signals, signals, 1, step,
                         values, pair);
    }
}

/* Bring a projection to the mean 0 and the deviation `wanted` over its weighted values. */
static void normalise(float *restrict pair, const float *restrict weight, int values, float wanted)
{
    double count = 0.0, sum = 0.0, squares = 0.0;
    for (int t = 0; t < values; t++) {
        const double w = (double)weight[t], value = (double)pair[t];
        count += w;
        sum += w * value;
        squares += w * value * value;
    }
    const double mean = count > 0.0 ? sum / count : 0.0;
    const double deviation = count > 0.0 ? sqrt(fmax(squares / count - mean * mean, 0.0)) : 0.0;
    const float scale = deviation > k_least_deviation ? wanted / (float)deviation : 0.0f;
#pragma omp simd
    for (int t = 0; t < values; t++) pair[t] = (pair[t] - (float)mean) * scale;
}

static void correlate(ae_lip_score *self, int frames, float full)
{
    const ae_lip_model *model = &self->model;
    const int length = plane_length(self), values = value_count(frames);
    for (int t = 0; t < values; t++) {
        self->value_weight[t] = self->weight[t * k_step];
        self->value_present[t] = self->present[t * k_step];
    }
    ae_lip_lags_begin(self->lags, self->value_weight, self->value_present, values);
    for (int k = 0; k < model->components; k++) {
        project(self->audio_planes, length, AE_LIP_FEATURES,
                model->audio + k * model->audio_taps * AE_LIP_FEATURES, model->audio_taps,
                model->audio_step / k_step, values, self->audio_pair);
        project(self->mouth_planes, length, model->mouth_signals,
                model->mouth + k * model->mouth_taps * model->mouth_signals, model->mouth_taps,
                model->mouth_step / k_step, values, self->mouth_pair);
        const float share = sqrtf(model->weight[k]);
        normalise(self->audio_pair, self->value_present, values, share);
        normalise(self->mouth_pair, self->value_weight, values, share);
        ae_lip_lags_add(self->lags, self->mouth_pair, self->audio_pair);
    }
    ae_lip_lags_end(self->lags, full / k_step, k_least_weight, k_least_frames);
}

static float highest(const float *scores, int first, int end)
{
    float value = scores[first];
    for (int i = first + 1; i < end; i++) value = ae_max(scores[i], value);
    return value;
}

/* The lower share of its own highest score that a half has near `best`. */
static double compare_halves(const ae_lip_score *self, int best)
{
    const int count = 2 * self->max_lag + 1;
    const int first = best > k_near ? best - k_near : 0;
    const int end = best + k_near + 1 < count ? best + k_near + 1 : count;
    double lowest = 1.0;
    for (int h = 0; h < 2; h++) {
        const float *scores = ae_lip_lags_half(self->lags, h);
        const double whole = (double)highest(scores, 0, count);
        const double here = (double)highest(scores, first, end);
        lowest = fmin(lowest, whole > 0.0 ? fmax(here, 0.0) / whole : 0.0);
    }
    return lowest;
}

static void find_peak(const ae_lip_score *self, ae_lip_score_result *out)
{
    const float *scores = ae_lip_lags_scores(self->lags);
    const int count = 2 * self->max_lag + 1;
    int best = 0;
    for (int i = 1; i < count; i++)
        if (scores[i] > scores[best]) best = i;
    float second = 0.0f;
    for (int i = 0; i < count; i++)
        if (i < best - k_apart || i > best + k_apart) second = ae_max(scores[i], second);
    double shift = 0.0;
    if (best > 0 && best < count - 1) {
        const double a = (double)scores[best - 1], b = (double)scores[best];
        const double c = (double)scores[best + 1], bend = a - 2.0 * b + c;
        if (bend < 0.0) shift = 0.5 * (a - c) / bend;
    }
    out->peak = (double)scores[best];
    out->second = (double)second;
    out->halves = compare_halves(self, best);
    out->at_edge = best == 0 || best == count - 1;
    out->lag_ms = k_frame_ms * (best - self->max_lag + shift) - (double)self->model.bias_ms;
}

void ae_lip_score_run(ae_lip_score *self, int frames, float full, ae_lip_score_result *out)
{
    assert(frames >= AE_LIP_SCORE_FRAMES && frames <= self->max_frames);
    const int length = plane_length(self), values = value_count(frames);
    bridge_gaps(self, frames);
    float *audio = ae_lip_score_audio(self), *mouth = ae_lip_score_mouth(self);
    ae_lip_bandpass_run(&self->audio_band, audio, frames, AE_LIP_ROW, AE_LIP_FEATURES);
    ae_lip_bandpass_run(&self->mouth_band, mouth, frames, AE_LIP_MOUTH_ROW, AE_LIP_MOUTH_ROW);
    for (int j = 0; j < AE_LIP_FEATURES; j++)
        to_plane(audio + j, AE_LIP_ROW, values,
                 self->audio_planes + (size_t)j * (size_t)length + k_pad);
    for (int j = 0; j < self->model.mouth_signals; j++) {
        const float moves = to_plane(mouth + j, AE_LIP_MOUTH_ROW, values,
                                     self->mouth_planes + (size_t)j * (size_t)length + k_pad);
        if (j == 0) out->mouth_moves = (double)moves;
    }
    correlate(self, frames, full);
    find_peak(self, out);
}
