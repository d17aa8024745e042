#include "ae_late_reverb.h"

#include "ae_vector_math.h"

enum {
    k_max_points = 65536,
    k_max_delay = 16,
    k_fall_frames = 6,
    k_slope_bins = 128,
    k_frames_per_estimate = 10,
};

static const float k_delay_ms = 50.0f;     /* what arrives later is late: the early part helps */
static const float k_smoothing_ms = 45.0f; /* 0.8 per 10 ms */
static const float k_share = 0.8f;
static const float k_slope_bin_db_per_s = 6.0f;
static const float k_slopes_least = 25.0f, k_slopes_kept = 120.0f;
static const float k_percentile = 0.92f;
static const float k_decay_offset_s = 0.16f, k_decay_factor = 1.8f, k_decay_least_s = 0.08f;
static const float k_decay_most_s = 2.5f;
static const float k_start_below_peak_db = 28.0f, k_end_above_noise_db = 8.0f;
static const float k_peak_fall_db_per_s = 3.0f;

typedef struct {
    int first, last;
    float levels[3];                /* dB, newest first */
    float means[k_fall_frames + 1]; /* 3-frame means, newest first */
    float peak_db;
    int falling; /* frames in a row */
} band;

struct ae_late_reverb {
    int points, delay_frames, delay_at, frames;
    float hop_ms, smoothing, decay_s;
    band bands[k_ae_reverb_bands];
    float slopes[k_slope_bins]; /* histogram, forgetting */
    float slope_count;
    float *speech;            /* [points] smoothed */
    float *past[k_max_delay]; /* [points] the last delay_frames of it */
};

static ae_late_reverb *lay_out(ae_arena *arena, const ae_late_reverb_config *config)
{
    const int delay = (int)(k_delay_ms / config->hop_ms + 0.5f);
    ae_late_reverb *self = AE_TAKE(arena, 1, ae_late_reverb);
    float *speech = AE_TAKE(arena, config->points, float);
    float *past[k_max_delay] = {0};
    for (int i = 0; i < delay; i++) past[i] = AE_TAKE(arena, config->points, float);
    if (self == NULL) return NULL;
    *self = (ae_late_reverb){.points = config->points,
                             .delay_frames = delay,
                             .hop_ms = config->hop_ms,
                             .smoothing = ae_one_pole(k_smoothing_ms, config->hop_ms),
                             .speech = speech};
    memcpy(self->past, past, sizeof past);
    for (int b = 0; b < k_ae_reverb_bands; b++) {
        self->bands[b].first = config->band_edges[b];
        self->bands[b].last = config->band_edges[b + 1];
    }
    return self;
}

ae_status ae_late_reverb_create(ae_late_reverb **out, const ae_late_reverb_config *config)
{
    *out = NULL;
    if (config->points < 1 || config->points > k_max_points ||
        !(config->hop_ms >= 5.0f && config->hop_ms <= 20.0f) || config->band_edges[0] < 0 ||
        config->band_edges[k_ae_reverb_bands] > config->points)
        return AE_ERROR_ARGUMENT;
    for (int b = 0; b < k_ae_reverb_bands; b++)
        if (config->band_edges[b + 1] <= config->band_edges[b]) return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    lay_out(&arena, config);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, config);
    ae_late_reverb_reset(*out);
    return AE_OK;
}

void ae_late_reverb_destroy(ae_late_reverb *self) { ae_free(self); }
float ae_late_reverb_decay_s(const ae_late_reverb *self) { return self->decay_s; }

void ae_late_reverb_reset(ae_late_reverb *self)
{
    self->delay_at = self->frames = 0;
    self->decay_s = 0.0f;
    self->slope_count = 0.0f;
    memset(self->slopes, 0, sizeof self->slopes);
    ae_zero(self->speech, self->points);
    for (int i = 0; i < self->delay_frames; i++) ae_zero(self->past[i], self->points);
    for (int b = 0; b < k_ae_reverb_bands; b++) {
        band *now = &self->bands[b];
        *now = (band){.first = now->first, .last = now->last, .peak_db = -200.0f};
        for (int i = 0; i < 3; i++) now->levels[i] = -200.0f;
        for (int i = 0; i <= k_fall_frames; i++) now->means[i] = -200.0f;
    }
}

static void note_slope(ae_late_reverb *self, float slope_db_per_s)
{
    if (self->slope_count >= k_slopes_kept) {
        const float keep = 1.0f - 1.0f / k_slopes_kept;
        for (int i = 0; i < k_slope_bins; i++) self->slopes[i] *= keep;
        self->slope_count *= keep;
    }
    const int at = ae_clamp_int((int)(slope_db_per_s / k_slope_bin_db_per_s), 0, k_slope_bins - 1);
    self->slopes[at] += 1.0f;
    self->slope_count += 1.0f;
}

static float mean_db(const float *values, int first, int last)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = first; k < last; k++) sum += values[k];
    return ae_db_from_power(sum / (float)(last - first));
}

static void watch_band(ae_late_reverb *self, band *now, const float *power, const float *noise)
{
    now->levels[2] = now->levels[1];
    now->levels[1] = now->levels[0];
    now->levels[0] = mean_db(power, now->first, now->last);
    for (int i = k_fall_frames; i > 0; i--) now->means[i] = now->means[i - 1];
    now->means[0] = (now->levels[0] + now->levels[1] + now->levels[2]) * (1.0f / 3.0f);
    now->falling = now->means[0] < now->means[1] ? now->falling + 1 : 0;
    now->peak_db =
        ae_max(now->peak_db - k_peak_fall_db_per_s * 0.001f * self->hop_ms, now->means[0]);
    if (now->falling < k_fall_frames) return;
    const float start_db = now->means[k_fall_frames], end_db = now->means[0];
    if (start_db < now->peak_db - k_start_below_peak_db) return;
    if (end_db < mean_db(noise, now->first, now->last) + k_end_above_noise_db) return;
    note_slope(self, (start_db - end_db) / (0.001f * self->hop_ms * (float)k_fall_frames));
}

static void estimate_decay(ae_late_reverb *self)
{
    if (self->slope_count < k_slopes_least) return;
    float seen = 0.0f, slope = 0.0f;
    for (int i = 0; i < k_slope_bins; i++) {
        const float next = seen + self->slopes[i];
        if (next >= k_percentile * self->slope_count) {
            const float part = (k_percentile * self->slope_count - seen) / self->slopes[i];
            slope = ((float)i + part) * k_slope_bin_db_per_s;
            break;
        }
        seen = next;
    }
    const float measured_s = 60.0f / ae_max(slope, 10.0f);
    self->decay_s =
        ae_clamp(k_decay_factor * (measured_s - k_decay_offset_s), k_decay_least_s, k_decay_most_s);
}

void ae_late_reverb_update(ae_late_reverb *self, const float *power, const float *noise,
                           float strength, float *reverb)
{
    const int points = self->points;
    for (int b = 0; b < k_ae_reverb_bands; b++) watch_band(self, &self->bands[b], power, noise);
    if (++self->frames % k_frames_per_estimate == 0) estimate_decay(self);
    const float decay_log2 = -6.0f * 3.32192809f * 0.001f * k_delay_ms;
    const float factor =
        self->decay_s > 0.0f ? strength * k_share * ae_exp2(decay_log2 / self->decay_s) : 0.0f;
    float *restrict speech = self->speech, *restrict past = self->past[self->delay_at];
    const float rate = self->smoothing;
#pragma omp simd
    for (int k = 0; k < points; k++) {
        reverb[k] = factor * past[k];
        speech[k] += rate * (ae_max(power[k] - noise[k], 0.0f) - speech[k]);
        past[k] = speech[k];
    }
    self->delay_at = (self->delay_at + 1) % self->delay_frames;
    if (self->frames >= 1000000) self->frames = 0;
}
