#include "ae_comfort_noise.h"

#include "ae_vector_math.h"

enum { k_max_bins = 65536 };

static const float k_first_power = 1e-9f; /* -90 dBFS until the floor is known */
/* The floor falls by 10 % of the distance per 10 ms, and rises by 0.1 % of it, at most 1.7 dB/s. */
static const float k_fall_ms = 95.0f, k_rise_ms = 10000.0f, k_rise_db_per_s = 1.7f;
/* In steady noise it rests around 0.14 of the mean (0.1 (n - 1 + e^-n) = 0.001 e^-n), and moves; 10
 * puts the mean of min(noise, 10 floor) 2 dB below the noise. */
static const float k_floor_bias = 10.0f;

/* A new room is known at once: for 1.5 s the floor is the least smoothed power so far. What lies
 * below -130 dBFS is no room but a stream that has not begun. */
static const int k_first_hops = 150;
static const float k_first_smoothing = 0.3f, k_no_room = 1e-13f;

struct ae_comfort_noise {
    int bins;
    float fall, rise, rise_most;
    uint32_t hop;
    float *floor, *level, *smoothed; /* [bins] */
};

static ae_comfort_noise *lay_out(ae_arena *arena, const ae_comfort_noise_config *config)
{
    ae_comfort_noise *self = AE_TAKE(arena, 1, ae_comfort_noise);
    float *floor = AE_TAKE(arena, config->bins, float);
    float *level = AE_TAKE(arena, config->bins, float);
    float *smoothed = AE_TAKE(arena, config->bins, float);
    if (self == NULL) return NULL;
    *self =
        (ae_comfort_noise){.bins = config->bins,
                           .fall = ae_one_pole(k_fall_ms, config->hop_ms),
                           .rise = ae_one_pole(k_rise_ms, config->hop_ms),
                           .rise_most = ae_power_from_db(k_rise_db_per_s * 0.001f * config->hop_ms),
                           .floor = floor,
                           .level = level,
                           .smoothed = smoothed};
    return self;
}

ae_status ae_comfort_noise_create(ae_comfort_noise **out, const ae_comfort_noise_config *config)
{
    *out = NULL;
    if (config->bins < 2 || config->bins > k_max_bins ||
        !(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f))
        return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    lay_out(&arena, config);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, config);
    ae_comfort_noise_reset(*out);
    return AE_OK;
}

void ae_comfort_noise_destroy(ae_comfort_noise *self) { ae_free(self); }

void ae_comfort_noise_reset(ae_comfort_noise *self)
{
    self->hop = 0;
    ae_fill(self->floor, k_first_power, self->bins);
    ae_zero(self->level, self->bins);
    ae_zero(self->smoothed, self->bins);
}

/* smoothed 0: nothing was heard in that bin yet. */
static void find_first_floor(ae_comfort_noise *self, const float *restrict power)
{
    float *restrict floor = self->floor, *restrict smoothed = self->smoothed;
    for (int k = 0; k < self->bins; k++) {
        if (power[k] < k_no_room) continue;
        const int first = smoothed[k] == 0.0f;
        smoothed[k] = first ? power[k] : smoothed[k] + k_first_smoothing * (power[k] - smoothed[k]);
        floor[k] = first ? smoothed[k] : ae_min(floor[k], smoothed[k]);
    }
}

void ae_comfort_noise_track(ae_comfort_noise *self, const float *power, const float *noise)
{
    float *restrict floor = self->floor, *restrict level = self->level;
    if (self->hop < (uint32_t)k_first_hops) find_first_floor(self, power);
    const float fall = self->fall, rise = self->rise, rise_most = self->rise_most;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float change = power[k] - floor[k];
        const float up = ae_min(floor[k] + rise * change, floor[k] * rise_most);
        floor[k] = ae_max(change < 0.0f ? floor[k] + fall * change : up, 1e-14f);
        level[k] = ae_min(noise[k], k_floor_bias * floor[k]);
    }
    self->hop++;
}

int ae_comfort_noise_missing(ae_comfort_noise *self, const float *gain, float least_gain,
                             float *amplitude)
{
    const float *restrict level = self->level;
    const float least_power = least_gain * least_gain;
    float most = 0.0f;
#pragma omp simd reduction(max : most)
    for (int k = 0; k < self->bins; k++) {
        const float missing = ae_max(least_power - gain[k] * gain[k], 0.0f);
        amplitude[k] = sqrtf(missing * level[k]);
        most = ae_max(most, missing);
    }
    return most > 0.0f;
}

/* Wellons' lowbias32: 32 well mixed bits of 32. */
static inline uint32_t hash(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

void ae_comfort_noise_add(const ae_comfort_noise *self, int channel, const float *amplitude,
                          float *re, float *im)
{
    const uint32_t seed = hash(self->hop * 16u + (uint32_t)channel);
    /* 16 bits each, uniform: a variance of 1/2 needs a peak of sqrt(3/2) */
    const float scale = 1.22474487f / 32768.0f;
#pragma omp simd
    for (int k = 1; k < self->bins - 1; k++) { /* bins without an imaginary part stay */
        const uint32_t bits = hash(seed + (uint32_t)k);
        re[k] += scale * amplitude[k] * (float)((int32_t)(bits & 0xffffu) - 32768);
        im[k] += scale * amplitude[k] * (float)((int32_t)(bits >> 16) - 32768);
    }
}
