#include "ae_noise_psd.h"

#include "ae_vector_math.h"

enum {
    k_max_points = 65536,
    k_mean_reach = 6, /* neighbours each side in the cold start: 13 points, as notes/ns */
    k_minimum_parts = 4,
};

static const float k_floor_power = 1e-12f;     /* -120 dBFS, below the dither of 16 bits */
static const float k_speech_snr = 31.6227766f; /* 15 dB: eq. 18's optimal fixed prior SNR */
static const float k_smoothing_ms = 72.0f;     /* 0.8 per 16 ms hop in the paper */
static const float k_presence_mean_ms = 150.0f;
static const float k_presence_most = 0.99f; /* stagnation guard of the paper */
static const float k_cold_ms = 500.0f, k_equal_weights_ms = 250.0f;
static const float k_cold_margin = 1.2f;
static const float k_minimum_ms = 800.0f;
static const float k_minimum_bias = 1.6f; /* mean over the minimum of the smoothed power in noise */
static const float k_step_ratio = 2.0f;   /* 3 dB above the estimate: the noise has stepped up */
static const float k_step_presence = 0.5f;

struct ae_noise_psd {
    int points;
    float hop_ms, smoothing, presence_smoothing;
    int frames; /* since reset, held at a large number */
    int part_age, part_frames, part;
    float *noise, *presence_mean, *mean, *posterior;
    float *smoothed, *part_minimum, *minimum;
    float *parts[k_minimum_parts];
};

static ae_noise_psd *lay_out(ae_arena *arena, const ae_noise_psd_config *config)
{
    ae_noise_psd *self = AE_TAKE(arena, 1, ae_noise_psd);
    float *planes[7 + k_minimum_parts];
    for (int i = 0; i < 7 + k_minimum_parts; i++) planes[i] = AE_TAKE(arena, config->points, float);
    if (self == NULL) return NULL;
    *self = (ae_noise_psd){.points = config->points,
                           .hop_ms = config->hop_ms,
                           .smoothing = ae_one_pole(k_smoothing_ms, config->hop_ms),
                           .presence_smoothing = ae_one_pole(k_presence_mean_ms, config->hop_ms),
                           .noise = planes[0],
                           .presence_mean = planes[1],
                           .mean = planes[2],
                           .posterior = planes[3],
                           .smoothed = planes[4],
                           .part_minimum = planes[5],
                           .minimum = planes[6]};
    memcpy(self->parts, planes + 7, sizeof self->parts);
    self->part_frames = (int)(k_minimum_ms / (float)k_minimum_parts / config->hop_ms + 0.5f);
    if (self->part_frames < 1) self->part_frames = 1;
    return self;
}

ae_status ae_noise_psd_create(ae_noise_psd **out, const ae_noise_psd_config *config)
{
    *out = NULL;
    if (config->points < 1 || config->points > k_max_points ||
        !(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f))
        return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    lay_out(&arena, config);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, config);
    ae_noise_psd_reset(*out);
    return AE_OK;
}

void ae_noise_psd_destroy(ae_noise_psd *self) { ae_free(self); }
const float *ae_noise_psd_power(const ae_noise_psd *self) { return self->noise; }

void ae_noise_psd_reset(ae_noise_psd *self)
{
    self->frames = 0;
    self->part_age = 0;
    self->part = 0;
    ae_fill(self->noise, k_floor_power, self->points);
    ae_zero(self->presence_mean, self->points);
    ae_zero(self->smoothed, self->points);
    ae_zero(self->minimum, self->points);
    ae_fill(self->part_minimum, 1e30f, self->points);
    for (int i = 0; i < k_minimum_parts; i++) ae_fill(self->parts[i], 1e30f, self->points);
}

/* Mean over 2 * k_mean_reach + 1 points, fewer at the ends. */
static void mean_over_neighbours(const float *values, float *mean, int count)
{
    float sum = 0.0f;
    for (int k = 0; k < k_mean_reach && k < count; k++) sum += values[k];
    for (int k = 0; k < count; k++) {
        if (k + k_mean_reach < count) sum += values[k + k_mean_reach];
        if (k - k_mean_reach - 1 >= 0) sum -= values[k - k_mean_reach - 1];
        const int low = k > k_mean_reach ? k - k_mean_reach : 0;
        const int high = k + k_mean_reach < count ? k + k_mean_reach : count - 1;
        mean[k] = fmaxf(sum, 0.0f) / (float)(high - low + 1);
    }
}

static void find_posterior(ae_noise_psd *self, const float *power)
{
    const int points = self->points;
    float *restrict posterior = self->posterior;
    const float *restrict noise = self->noise;
#pragma omp simd
    for (int k = 0; k < points; k++) posterior[k] = power[k] / noise[k];
    if ((float)self->frames * self->hop_ms >= k_cold_ms) return;
    mean_over_neighbours(power, self->mean, points);
    mean_over_neighbours(noise, self->smoothed, points); /* scratch until the minimum is running */
    for (int k = 0; k < points; k++) {
        const float broad = k_cold_margin * self->mean[k] / (self->smoothed[k] + k_floor_power);
        posterior[k] = fminf(posterior[k], broad);
    }
}

static void track_minimum(ae_noise_psd *self, const float *power)
{
    const int points = self->points;
    const float rate = self->smoothing;
    float *restrict smoothed = self->smoothed, *restrict low = self->part_minimum;
    for (int k = 0; k < points; k++) {
        smoothed[k] += rate * (power[k] - smoothed[k]);
        low[k] = fminf(low[k], smoothed[k]);
    }
    if (++self->part_age < self->part_frames) return;
    self->part_age = 0;
    ae_copy(self->parts[self->part], low, points);
    ae_copy(low, smoothed, points);
    self->part = (self->part + 1) % k_minimum_parts;
    for (int k = 0; k < points; k++) {
        float least = self->parts[0][k];
        for (int i = 1; i < k_minimum_parts; i++) least = fminf(least, self->parts[i][k]);
        self->minimum[k] = least < 1e29f ? least : 0.0f;
    }
}

static void learn(ae_noise_psd *self, const float *power, const float *foreign)
{
    const int points = self->points;
    const float age_ms = (float)self->frames * self->hop_ms;
    const float first = age_ms < k_equal_weights_ms ? 1.0f / (1.0f + (float)self->frames) : 0.0f;
    const float rate = fmaxf(self->smoothing, first);
    const float slope = k_ae_log2_of_e * k_speech_snr / (1.0f + k_speech_snr);
    float *restrict noise = self->noise, *restrict mean = self->presence_mean;
    const float *restrict posterior = self->posterior, *restrict minimum = self->minimum;
#pragma omp simd
    for (int k = 0; k < points; k++) {
        const float absent = (1.0f + k_speech_snr) * ae_exp2(-slope * fminf(posterior[k], 80.0f));
        float p = 1.0f / (1.0f + absent);
        mean[k] += self->presence_smoothing * (p - mean[k]);
        p = mean[k] > k_presence_most ? fminf(p, k_presence_most) : p;
        p = k_minimum_bias * minimum[k] > k_step_ratio * noise[k] ? fminf(p, k_step_presence) : p;
        const float other = foreign == NULL ? 0.0f : foreign[k];
        p = fmaxf(p, other / (other + noise[k]));
        const float own = fmaxf(power[k] - other, 0.0f);
        const float estimate = (1.0f - p) * own + p * noise[k];
        noise[k] = fmaxf(noise[k] + rate * (estimate - noise[k]), k_floor_power);
    }
}

void ae_noise_psd_update(ae_noise_psd *self, const float *power, const float *foreign_power)
{
    if (self->frames == 0)
        for (int k = 0; k < self->points; k++) self->noise[k] = fmaxf(power[k], k_floor_power);
    find_posterior(self, power);
    learn(self, power, foreign_power);
    track_minimum(self, power);
    if (self->frames < 1000000) self->frames++;
}
