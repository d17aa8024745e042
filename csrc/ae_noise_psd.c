#include "ae_noise_psd.h"

#include "ae_vector_math.h"

enum {
    k_max_points = 65536,
    k_mean_reach = 6, /* neighbours each side in broad means: 13 points */
    k_parts = 4,      /* windows slide in quarters */
};

static const float k_floor_power = 1e-12f;     /* -120 dBFS, below the dither of 16 bits */
static const float k_speech_snr = 31.6227766f; /* 15 dB: eq. 18's optimal fixed prior SNR */
static const float k_smoothing_ms = 72.0f;     /* 0.8 per 16 ms hop in the paper */
static const float k_presence_mean_ms = 150.0f;
static const float k_presence_most = 0.998f; /* stagnation guard of the paper: 0.99 */
static const float k_cold_ms = 500.0f, k_equal_weights_ms = 250.0f;
static const float k_cold_margin = 1.2f;
static const float k_minimum_ms = 2000.0f;
static const float k_minimum_smoothing_ms = 20.0f; /* falls 30 dB between two syllables */
static const float k_minimum_bias = 1.6f;   /* mean over minimum of that smoothed power in noise */
static const float k_foreign_margin = 3.0f; /* learn at 5 dB or more above the foreign power */
static const float k_step_ratio = 2.0f;     /* 3 dB above the estimate: the noise has stepped up */
static const float k_steady_ms = 480.0f;
static const float k_steady_range = 2.0f; /* 3 dB: no speech is that even */
static const float k_steady_now = 3.0f;   /* this hop against the window's least */
/* 6 dB: what a hop without speech may add at once; the onset of a word is judged too late. */
static const float k_absence_most = 4.0f;

/* Extremes of a plane over a sliding window of k_parts parts. */
typedef struct {
    int part_frames, age, part;
    float sign;   /* 1: minimum, -1: maximum */
    float *now;   /* [points] extreme of the part that is being filled */
    float *whole; /* [points] extreme of the last k_parts full parts; 0 before the first */
    float *parts[k_parts];
} sliding_extreme;

struct ae_noise_psd {
    int points;
    float hop_ms, smoothing, presence_smoothing, minimum_smoothing;
    int frames; /* since reset, held at a large number */
    float *noise, *presence_mean, *posterior;
    float *own, *raw_mean; /* power without the foreign part; mean of the power over time */
    float *broad, *broad_fast, *broad_slow, *broad_noise; /* means over neighbours, over time */
    sliding_extreme minimum, least_slow, most_slow;
};

static sliding_extreme lay_out_extreme(ae_arena *arena, const ae_noise_psd_config *config,
                                       float window_ms, float sign)
{
    sliding_extreme self = {.sign = sign};
    self.part_frames = (int)(window_ms / (float)k_parts / config->hop_ms + 0.5f);
    if (self.part_frames < 1) self.part_frames = 1;
    self.now = AE_TAKE(arena, config->points, float);
    self.whole = AE_TAKE(arena, config->points, float);
    for (int i = 0; i < k_parts; i++) self.parts[i] = AE_TAKE(arena, config->points, float);
    return self;
}

static void reset_extreme(sliding_extreme *self, int points)
{
    self->age = self->part = 0;
    ae_fill(self->now, 1e30f, points);
    ae_zero(self->whole, points);
    for (int i = 0; i < k_parts; i++) ae_fill(self->parts[i], 1e30f, points);
}

/* Inside, a maximum is the minimum of the negated plane. */
static void update_extreme(sliding_extreme *self, const float *values, int points)
{
    float *restrict now = self->now;
    const float sign = self->sign;
#pragma omp simd
    for (int k = 0; k < points; k++) now[k] = ae_min(now[k], sign * values[k]);
    if (++self->age < self->part_frames) return;
    self->age = 0;
    ae_copy(self->parts[self->part], now, points);
    self->part = (self->part + 1) % k_parts;
    for (int k = 0; k < points; k++) {
        float extreme = self->parts[0][k];
        for (int i = 1; i < k_parts; i++) extreme = ae_min(extreme, self->parts[i][k]);
        self->whole[k] = self->parts[k_parts - 1][k] < 1e29f ? sign * extreme : 0.0f;
        now[k] = sign * values[k];
    }
}

static ae_noise_psd *lay_out(ae_arena *arena, const ae_noise_psd_config *config)
{
    ae_noise_psd *self = AE_TAKE(arena, 1, ae_noise_psd);
    float *planes[9];
    for (int i = 0; i < 9; i++) planes[i] = AE_TAKE(arena, config->points, float);
    const sliding_extreme minimum = lay_out_extreme(arena, config, k_minimum_ms, 1.0f);
    const sliding_extreme least = lay_out_extreme(arena, config, k_steady_ms, 1.0f);
    const sliding_extreme most = lay_out_extreme(arena, config, k_steady_ms, -1.0f);
    if (self == NULL) return NULL;
    *self = (ae_noise_psd){.points = config->points,
                           .hop_ms = config->hop_ms,
                           .smoothing = ae_one_pole(k_smoothing_ms, config->hop_ms),
                           .presence_smoothing = ae_one_pole(k_presence_mean_ms, config->hop_ms),
                           .minimum_smoothing = ae_one_pole(k_minimum_smoothing_ms, config->hop_ms),
                           .noise = planes[0],
                           .presence_mean = planes[1],
                           .posterior = planes[2],
                           .own = planes[3],
                           .raw_mean = planes[4],
                           .broad = planes[5],
                           .broad_fast = planes[6],
                           .broad_slow = planes[7],
                           .broad_noise = planes[8],
                           .minimum = minimum,
                           .least_slow = least,
                           .most_slow = most};
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
    ae_fill(self->noise, k_floor_power, self->points);
    ae_zero(self->presence_mean, self->points);
    ae_zero(self->raw_mean, self->points);
    ae_zero(self->broad_fast, self->points);
    ae_zero(self->broad_slow, self->points);
    reset_extreme(&self->minimum, self->points);
    reset_extreme(&self->least_slow, self->points);
    reset_extreme(&self->most_slow, self->points);
}

/* What is left of the power without the foreign part; where that explains most of it, the noise
 * estimate itself, so that nothing is learned there. */
static void find_own(ae_noise_psd *self, const float *power, const float *foreign)
{
    const int points = self->points;
    const float rate = self->smoothing;
    float *restrict own = self->own, *restrict mean = self->raw_mean;
    const float *restrict noise = self->noise;
#pragma omp simd
    for (int k = 0; k < points; k++) mean[k] += rate * (power[k] - mean[k]);
    if (foreign == NULL) {
        ae_copy(own, power, points);
        return;
    }
#pragma omp simd
    for (int k = 0; k < points; k++) {
        const float level = ae_max(ae_max(mean[k], noise[k]), k_floor_power);
        const float share = ae_max(1.0f - k_foreign_margin * foreign[k] / level, 0.0f);
        own[k] = noise[k] + share * share * (ae_max(power[k] - foreign[k], 0.0f) - noise[k]);
    }
}

static void find_posterior(ae_noise_psd *self)
{
    const int points = self->points;
    float *restrict posterior = self->posterior;
    const float *restrict noise = self->noise, *restrict own = self->own;
#pragma omp simd
    for (int k = 0; k < points; k++) posterior[k] = own[k] / noise[k];
    if ((float)self->frames * self->hop_ms >= k_cold_ms) return;
    for (int k = 0; k < points; k++) {
        const float broad = k_cold_margin * self->broad[k] / (self->broad_noise[k] + k_floor_power);
        posterior[k] = ae_min(posterior[k], broad);
    }
}

static void track_extremes(ae_noise_psd *self)
{
    const int points = self->points;
    const float fast_rate = self->minimum_smoothing, slow_rate = self->smoothing;
    float *restrict fast = self->broad_fast, *restrict slow = self->broad_slow;
    const float *restrict broad = self->broad;
    ae_moving_mean(self->own, self->broad, points, k_mean_reach);
    ae_moving_mean(self->noise, self->broad_noise, points, k_mean_reach);
#pragma omp simd
    for (int k = 0; k < points; k++) {
        fast[k] += fast_rate * (broad[k] - fast[k]);
        slow[k] += slow_rate * (broad[k] - slow[k]);
    }
    update_extreme(&self->minimum, fast, points);
    update_extreme(&self->least_slow, slow, points);
    update_extreme(&self->most_slow, slow, points);
}

static void learn(ae_noise_psd *self)
{
    const int points = self->points;
    const float age_ms = (float)self->frames * self->hop_ms;
    const float first = age_ms < k_equal_weights_ms ? 1.0f / (1.0f + (float)self->frames) : 0.0f;
    const float rate = ae_max(self->smoothing, first);
    const float slope = k_ae_log2_of_e * k_speech_snr / (1.0f + k_speech_snr);
    float *restrict noise = self->noise, *restrict mean = self->presence_mean;
    const float *restrict own = self->own;
    const float *restrict posterior = self->posterior, *restrict minimum = self->minimum.whole;
    const float *restrict least = self->least_slow.whole, *restrict most = self->most_slow.whole;
    const float *restrict least_now = self->least_slow.now;
    const float *restrict most_now = self->most_slow.now, *restrict broad = self->broad;
    const float *restrict broad_noise = self->broad_noise;
#pragma omp simd
    for (int k = 0; k < points; k++) {
        const float absent = (1.0f + k_speech_snr) * ae_exp2(-slope * ae_min(posterior[k], 80.0f));
        float p = 1.0f / (1.0f + absent);
        mean[k] += self->presence_smoothing * (p - mean[k]);
        p = mean[k] > k_presence_most ? ae_min(p, k_presence_most) : p;
        const float low = ae_min(least[k], least_now[k]), high = ae_max(most[k], -most_now[k]);
        p = high < k_steady_range * low && broad[k] < k_steady_now * low ? 0.0f : p;
        float estimate = (1.0f - p) * own[k] + p * noise[k];
        const float step = k_minimum_bias * minimum[k] / broad_noise[k];
        estimate = step > k_step_ratio ? ae_max(estimate, step * noise[k]) : estimate;
        noise[k] = ae_max(noise[k] + rate * (estimate - noise[k]), k_floor_power);
    }
}

void ae_noise_psd_update(ae_noise_psd *self, const float *power, const float *foreign_power)
{
    if (self->frames == 0)
        for (int k = 0; k < self->points; k++) self->noise[k] = ae_max(power[k], k_floor_power);
    find_own(self, power, foreign_power);
    track_extremes(self);
    find_posterior(self);
    learn(self);
    if (self->frames < 1000000) self->frames++;
}

void ae_noise_psd_learn_absence(ae_noise_psd *self, float absence)
{
    const float rate = self->smoothing * absence;
    float *restrict noise = self->noise;
    const float *restrict own = self->own;
#pragma omp simd
    for (int k = 0; k < self->points; k++) {
        const float heard = ae_min(own[k], k_absence_most * noise[k]);
        noise[k] = ae_max(noise[k] + rate * (heard - noise[k]), k_floor_power);
    }
}
