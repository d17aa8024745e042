#include "ae_lip_audio.h"

#include "ae_fft.h"
#include "ae_kweight.h"
#include "ae_lip_model.h"
#include "ae_resample.h"
#include "ae_vector_math.h"

#include <assert.h>
#include <stdbool.h>

_Static_assert((int)AE_LIP_LEVEL == (int)AE_LIP_FEATURES, "a row is the features and what follows");

enum {
    k_rate_hz = 16000,
    k_hop = 160,    /* 10 ms */
    k_window = 400, /* 25 ms */
    k_half_window = k_window / 2,
    k_size = 512,
    k_bins = k_size / 2 + 1,
    k_max_mel_bins = 64, /* of the widest band */
    k_history = 3,       /* frames between two broken stretches that count as broken too */
};

static const float k_bin_hz = 31.25f;
static const float k_floor = 1e-5f; /* of a power sum: 93 dB below a full-scale sine */
static const float k_db_per_log2 = 3.01029995663981f;
/* What the power sum of a full-scale sine reads: 10 log10(256 * 150 / 2), where 150 is the sum of
 * the squared window and 256 half the transform (Parseval). */
static const float k_full_scale_db = 42.83f;
static const float k_largest_sample = 1e6f;
static const double k_jitter_s = 0.05;   /* a stamp further off is another place */
static const double k_overlap_s = 1.0;   /* a stamp further back is another stream */
static const double k_rounding_s = 1e-4; /* a stamp this close is exact */
static const double k_averaging_s = 5.0; /* of the start over the stamps */
static const double k_half_window_s = 0.0125;
static const double k_filter_periods = 96.0; /* half the resampler's filter, of the lower rate */

typedef struct {
    int first, count;
    float weight[k_max_mel_bins];
} mel_band;

struct ae_lip_audio {
    int rate, kept, piece;
    float max_hole_s;
    ae_resample *resample; /* NULL at 16 kHz */
    ae_fft *fft;
    mel_band *bands;
    float *hann, *line, *windowed, *re, *im, *power, *clean, *at_16k, *rows;
    int capacity; /* of at_16k */

    bool started;
    double start_s;
    double reach_s;  /* of a sample: from the middles of the frames that hold it */
    int64_t taken;   /* input samples since the start */
    int64_t overlap; /* samples to come that are there already */
    int64_t non_finite;
    int64_t frames;
    int64_t bad_first, bad_last; /* frames of the newest broken stretch */
    int run_in;                  /* of the resampler, still to drop */
    int fill;                    /* samples in the line */
};

static ae_lip_audio *layout(ae_lip_audio *plan, ae_arena *arena)
{
    ae_lip_audio *self = AE_TAKE(arena, 1, ae_lip_audio);
    plan->bands = AE_TAKE(arena, AE_LIP_FEATURES, mel_band);
    plan->hann = AE_TAKE(arena, k_window, float);
    plan->line = AE_TAKE(arena, k_window, float);
    plan->windowed = AE_TAKE(arena, k_size, float);
    plan->re = AE_TAKE(arena, k_bins, float);
    plan->im = AE_TAKE(arena, k_bins, float);
    plan->power = AE_TAKE(arena, k_bins, float);
    plan->clean = AE_TAKE(arena, plan->piece, float);
    plan->at_16k = AE_TAKE(arena, plan->capacity, float);
    plan->rows = AE_TAKE(arena, plan->kept * AE_LIP_ROW, float);
    return self;
}

static double mel_of(double hz) { return 2595.0 * log10(1.0 + hz / 700.0); }

/* Triangles between 26 points, evenly spaced on the mel scale. */
static void make_tables(ae_lip_audio *self)
{
    const double low = mel_of(80.0), step = (mel_of(7600.0) - low) / (AE_LIP_FEATURES + 1);
    for (int b = 0; b < AE_LIP_FEATURES; b++) {
        mel_band *band = &self->bands[b];
        band->count = 0;
        for (int k = 0; k < k_bins; k++) {
            const double place = (mel_of(k * (double)k_bin_hz) - low) / step - b;
            const double weight = place < 1.0 ? place : 2.0 - place;
            if (weight <= 0.0) continue;
            if (band->count == 0) band->first = k;
            assert(band->count < k_max_mel_bins);
            band->weight[band->count++] = (float)weight;
        }
    }
    for (int n = 0; n < k_window; n++)
        self->hann[n] = (float)(0.5 - 0.5 * cos(2.0 * 3.14159265358979 * n / (k_window - 1)));
}

ae_status ae_lip_audio_create(ae_lip_audio **out, const ae_lip_audio_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_METER_MAX_RATE_HZ ||
        config->kept_frames < 1 || !(config->max_hole_s > 0.0f))
        return AE_ERROR_ARGUMENT;
    ae_lip_audio plan = {.rate = config->sample_rate_hz,
                         .kept = config->kept_frames,
                         .piece = config->sample_rate_hz / AE_LIP_FRAMES_PER_S,
                         .max_hole_s = config->max_hole_s};
    plan.capacity = plan.piece;
    ae_status status = AE_OK;
    if (plan.rate != k_rate_hz) {
        const ae_resample_config resample = {plan.rate, k_rate_hz, 1, 0};
        status = ae_resample_create(&plan.resample, &resample);
        if (status == AE_OK) plan.capacity = ae_resample_output_bound(plan.resample, plan.piece);
    }
    if (status == AE_OK) status = ae_fft_create(&plan.fft, k_size);
    ae_lip_audio *self = NULL;
    if (status == AE_OK) {
        ae_arena arena = {0};
        layout(&plan, &arena);
        arena = (ae_arena){ae_allocate(arena.used), 0};
        if (arena.base != NULL) self = layout(&plan, &arena);
        status = self == NULL ? AE_ERROR_MEMORY : AE_OK;
    }
    if (status != AE_OK) {
        ae_resample_destroy(plan.resample);
        ae_fft_destroy(plan.fft);
        return status;
    }
    *self = plan;
    self->reach_s = k_half_window_s;
    if (plan.resample != NULL)
        self->reach_s += k_filter_periods / (plan.rate < k_rate_hz ? plan.rate : k_rate_hz);
    make_tables(self);
    ae_lip_audio_reset(self);
    *out = self;
    return AE_OK;
}

void ae_lip_audio_destroy(ae_lip_audio *self)
{
    if (self == NULL) return;
    ae_resample_destroy(self->resample);
    ae_fft_destroy(self->fft);
    ae_free(self);
}

static void start(ae_lip_audio *self)
{
    if (self->resample != NULL) {
        ae_resample_reset(self->resample);
        self->run_in = ae_resample_latency_frames(self->resample);
    }
    self->started = false;
    self->taken = self->overlap = self->frames = 0;
    self->bad_first = 0;
    self->bad_last = -1;
    self->fill = k_half_window;
    ae_zero(self->line, k_window);
}

void ae_lip_audio_reset(ae_lip_audio *self)
{
    start(self);
    self->start_s = 0.0;
    self->non_finite = 0;
}

int ae_lip_audio_piece(const ae_lip_audio *self) { return self->piece; }
int64_t ae_lip_audio_frames(const ae_lip_audio *self) { return self->frames; }
int64_t ae_lip_audio_oldest(const ae_lip_audio *self)
{
    return self->frames > self->kept ? self->frames - self->kept : 0;
}
double ae_lip_audio_start_s(const ae_lip_audio *self) { return self->start_s; }
int64_t ae_lip_audio_non_finite(const ae_lip_audio *self) { return self->non_finite; }

const float *ae_lip_audio_row(const ae_lip_audio *self, int64_t frame)
{
    assert(frame < self->frames && frame >= ae_lip_audio_oldest(self));
    return self->rows + frame % self->kept * AE_LIP_ROW;
}

int64_t ae_lip_audio_place(ae_lip_audio *self, double time_s, int64_t frames)
{
    if (!isfinite(time_s)) {
        self->started = true;
        return 0;
    }
    const double past_end_s = time_s - (self->start_s + (double)self->taken / self->rate);
    const double late_s = past_end_s + (double)self->overlap / self->rate;
    const bool anew = past_end_s < -k_overlap_s || late_s > (double)self->max_hole_s;
    if (!self->started || anew) {
        const bool was_started = self->started;
        start(self);
        self->started = true;
        self->start_s = time_s;
        return was_started ? -1 : 0;
    }
    if (fabs(late_s) > k_jitter_s) {
        const int64_t missing = llround(past_end_s * self->rate);
        self->overlap = missing < 0 ? -missing : 0;
        return missing < 0 ? 0 : missing;
    }
    if (fabs(late_s) > k_rounding_s)
        self->start_s += late_s * fmin(1.0, (double)frames / self->rate / k_averaging_s);
    return 0;
}

/* Samples first .. last of the input are broken or missing: mark the frames that hold them. */
static void mark(ae_lip_audio *self, int64_t first, int64_t last)
{
    const double from = (double)first / self->rate - self->reach_s;
    const double to = (double)last / self->rate + self->reach_s;
    const int64_t first_frame = (int64_t)ceil(from * AE_LIP_FRAMES_PER_S);
    if (first_frame > self->bad_last + k_history) self->bad_first = first_frame;
    self->bad_last = (int64_t)floor(to * AE_LIP_FRAMES_PER_S);
}

static float sum_of(const float *values, int first, int last)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = first; k <= last; k++) sum += values[k];
    return sum;
}

static inline float decibels(float power) { return k_db_per_log2 * ae_log2(power + k_floor); }

static void measure(const ae_lip_audio *self, float *restrict row)
{
    const float *restrict power = self->power;
    for (int b = 0; b < AE_LIP_FEATURES; b++) {
        const mel_band *band = &self->bands[b];
        const float *restrict part = power + band->first, *restrict weight = band->weight;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int k = 0; k < band->count; k++) sum += weight[k] * part[k];
        row[b] = sum;
    }
    /* Bins whose middle lies in 80 .. 7600 Hz: 93.75 .. 7593.75 Hz. */
    row[AE_LIP_LEVEL] = sum_of(power, 3, 243);
#pragma omp simd
    for (int b = 0; b <= AE_LIP_LEVEL; b++) row[b] = decibels(row[b]);
    row[AE_LIP_LEVEL] -= k_full_scale_db;
}

/* The line is full: one row. */
static void end_frame(ae_lip_audio *self)
{
    float *restrict windowed = self->windowed;
    const float *restrict line = self->line, *restrict hann = self->hann;
#pragma omp simd
    for (int n = 0; n < k_window; n++) windowed[n] = line[n] * hann[n];
    ae_fft_forward(self->fft, self->windowed, self->re, self->im);
    const float *restrict re = self->re, *restrict im = self->im;
    float *restrict power = self->power;
#pragma omp simd
    for (int k = 0; k < k_bins; k++) power[k] = re[k] * re[k] + im[k] * im[k];
    float *row = self->rows + self->frames % self->kept * AE_LIP_ROW;
    measure(self, row);
    const bool bad = self->frames >= self->bad_first && self->frames <= self->bad_last;
    row[AE_LIP_PRESENT] = bad ? 0.0f : 1.0f;
    self->frames++;
    memmove(self->line, self->line + k_hop, (k_window - k_hop) * sizeof(float));
    self->fill = k_window - k_hop;
}

static void append(ae_lip_audio *self, const float *x, int count)
{
    for (int at = 0; at < count;) {
        const int room = k_window - self->fill, left = count - at;
        const int taken = left < room ? left : room;
        ae_copy(self->line + self->fill, x + at, taken);
        self->fill += taken;
        at += taken;
        if (self->fill == k_window) end_frame(self);
    }
}

/* Broken samples become silence. */
static void clean(ae_lip_audio *self, const float *in, int frames)
{
    float *restrict to = self->clean;
    const float *restrict from = in;
    int broken = 0;
#pragma omp simd reduction(+ : broken)
    for (int n = 0; n < frames; n++) {
        const int fine = fabsf(from[n]) <= k_largest_sample;
        to[n] = fine ? from[n] : 0.0f;
        broken += !fine;
    }
    if (broken == 0) return;
    self->non_finite += broken;
    for (int n = 0; n < frames; n++)
        if (!(fabsf(from[n]) <= k_largest_sample)) mark(self, self->taken + n, self->taken + n);
}

void ae_lip_audio_push(ae_lip_audio *self, const float *in, int frames)
{
    assert(frames >= 0 && frames <= self->piece);
    if (in != NULL && self->overlap > 0) {
        const int left_out = self->overlap < frames ? (int)self->overlap : frames;
        self->overlap -= left_out;
        in += left_out;
        frames -= left_out;
    }
    if (frames == 0) return;
    self->started = true;
    if (in != NULL) {
        clean(self, in, frames);
    } else {
        ae_zero(self->clean, frames);
        mark(self, self->taken, self->taken + frames - 1);
    }
    self->taken += frames;
    if (self->resample == NULL) {
        append(self, self->clean, frames);
        return;
    }
    const float *const source[1] = {self->clean};
    float *const sink[1] = {self->at_16k};
    const int made = ae_resample_process(self->resample, source, frames, sink, self->capacity);
    const int dropped = made < self->run_in ? made : self->run_in;
    self->run_in -= dropped;
    append(self, self->at_16k + dropped, made - dropped);
}
