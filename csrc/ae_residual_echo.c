#include "ae_residual_echo.h"

#include "ae_math.h"

/* Bands are about a third of an octave wide up to 8 kHz: a quarter would hold too few bins at 300
 * Hz to be steady, a half blurs loudspeaker resonances. */
static const float k_first_edge_hz = 100.0f, k_edge_ratio = 1.26f;
static const float k_tail_keep = 0.78f; /* per hop: reverberation behind the estimate, T60 0.55 s */
/* Residual per echo power before anything is learned: of the same band, and of all bands (what a
 * loudspeaker that distorts spreads). High on purpose: coming down is quick and safe. Limits
 * -40 .. 3 dB and -60 .. -10 dB. */
static const float k_linear_first = 0.1f, k_linear_least = 1e-4f, k_linear_most = 2.0f;
static const float k_spread_first = 0.01f, k_spread_least = 1e-6f, k_spread_most = 0.1f;
static const float k_rate = 0.03f; /* of the shares, per hop */
static const float k_knee = 4.0f;  /* error / residual from where on it teaches less: near end */
/* The covariance expects more than is left (its steps are shorter than a Kalman filter's); the
 * shares find the median of a power whose mean is higher. Both tuned on scenes before there was a
 * net, which has learned to read the estimate as it is. */
static const float k_misadjustment = 0.3f, k_output = 1.5f;
static const float k_floor_rate = 0.3f;   /* smoothing before the minimum, per hop */
static const int k_floor_hops = 100;      /* window of the minimum, 1 s */
static const float k_floor_bias = 3.0f;   /* a minimum over 1 s lies so far below the mean */
static const float k_least_power = 1e-9f; /* of |FFT|^2: no signal */
static const float k_active = 1e-4f; /* echo below this (some -65 dBFS in a band) teaches nothing */
static const float k_most_power = 1e20f; /* mean |FFT|^2: far above full scale */
enum { k_max_bands = 40 };

struct ae_residual_echo {
    ae_residual_echo_config config;
    int bins, bands;
    int edge[k_max_bands + 1];      /* first bin of each band */
    float *tail;                    /* bins: the echo's power, held over its reverberation */
    float linear[k_max_bands];      /* residual / echo power of the same band */
    float spread[k_max_bands];      /* residual / mean echo power of all bands */
    float noise_floor[k_max_bands]; /* stationary part of the error */
    float smoothed[k_max_bands], window_least[k_max_bands], last_least[k_max_bands];
    int window_hops;
};

static size_t lay_out(ae_residual_echo *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_residual_echo);
    self->tail = AE_TAKE(&arena, self->bins, float);
    return arena.used;
}

static void place_bands(ae_residual_echo *self)
{
    const float hz = (float)self->config.sample_rate_hz / (float)(2 * (self->bins - 1));
    float edge_hz = k_first_edge_hz;
    self->edge[0] = 0;
    for (int b = 1; b <= k_max_bands; b++, edge_hz *= k_edge_ratio) {
        int bin = (int)(edge_hz / hz + 0.5f);
        if (bin < self->edge[b - 1] + 2) {
            bin = self->edge[b - 1] + 2;
            edge_hz = (float)bin * hz;
        }
        self->bands = b;
        self->edge[b] = bin;
        if (bin >= self->bins - 2 || b == k_max_bands) break;
    }
    self->edge[self->bands] = self->bins;
}

ae_status ae_residual_echo_create(ae_residual_echo **out, const ae_residual_echo_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->bins < 8)
        return AE_ERROR_ARGUMENT;
    ae_residual_echo shape = {.config = *config, .bins = config->bins};
    place_bands(&shape);
    ae_residual_echo *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    ae_residual_echo_reset(self);
    *out = self;
    return AE_OK;
}

void ae_residual_echo_destroy(ae_residual_echo *self) { ae_free(self); }

void ae_residual_echo_reset(ae_residual_echo *self)
{
    ae_zero(self->tail, self->bins);
    ae_fill(self->linear, k_linear_first, self->bands);
    ae_fill(self->spread, k_spread_first, self->bands);
    ae_zero(self->noise_floor, self->bands);
    ae_zero(self->smoothed, self->bands);
    ae_zero(self->window_least, self->bands);
    ae_zero(self->last_least, self->bands);
    self->window_hops = 0;
}

static float mean_of(const float *values, int from, int to)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = from; k < to; k++) sum += values[k];
    return sum / (float)(to - from);
}

/* Follow the shares of one band: gradient of the Itakura-Saito distance between error and model in
 * the logarithm of each share, which is as steady for weak bands as for strong ones. */
static void learn(ae_residual_echo *self, int band, float error, float residual, float linear,
                  float spread)
{
    const float ratio = error / (residual + k_least_power);
    const float beyond = k_knee / fmaxf(ratio, k_knee);
    const float pull = ratio <= k_knee ? ratio - 1.0f : (k_knee - 1.0f) * beyond * beyond;
    const float step = k_rate * pull / (residual + k_least_power);
    self->linear[band] =
        ae_clamp(self->linear[band] * expf(step * linear), k_linear_least, k_linear_most);
    self->spread[band] =
        ae_clamp(self->spread[band] * expf(step * spread), k_spread_least, k_spread_most);
}

/* Smallest smoothed power of this and the last window. */
static void track_floor(ae_residual_echo *self, int band, float power)
{
    self->smoothed[band] += k_floor_rate * (power - self->smoothed[band]);
    self->window_least[band] = fminf(self->window_least[band], self->smoothed[band]);
    self->noise_floor[band] = fminf(self->last_least[band], self->window_least[band]);
}

static void turn_window(ae_residual_echo *self)
{
    if (++self->window_hops < k_floor_hops) return;
    self->window_hops = 0;
    for (int b = 0; b < self->bands; b++) {
        self->last_least[b] = self->window_least[b];
        self->window_least[b] = self->smoothed[b];
    }
}

void ae_residual_echo_update(ae_residual_echo *self, const ae_echo_planes *planes, int far_active,
                             float *residual_power)
{
    const int bins = self->bins, bands = self->bands;
    const float *restrict error_power = planes->error;
    float *restrict echo = self->tail;
    /* A NaN or an infinity would stay in the shares and in the tail: such a hop is left out. */
    if (!(mean_of(error_power, 0, bins) + mean_of(planes->echo, 0, bins) < k_most_power)) {
        ae_zero(residual_power, bins);
        return;
    }
    for (int k = 0; k < bins; k++) echo[k] = fmaxf(k_tail_keep * echo[k], planes->echo[k]);
    const float all = mean_of(echo, 0, bins);
    for (int b = 0; b < bands; b++) {
        const int from = self->edge[b], to = self->edge[b + 1];
        const float flat = self->spread[b] * all, mean = mean_of(echo, from, to);
        const float power = mean_of(error_power, from, to);
        float other = 0.0f;
        for (int k = from; k < to; k++) {
            const float bound = 2.0f * (echo[k] + error_power[k]);
            const float misadjustment = k_misadjustment * fminf(planes->misadjustment[k], bound);
            residual_power[k] = k_output * (self->linear[b] * echo[k] + flat) + misadjustment;
            other += misadjustment;
        }
        track_floor(self, b, power);
        if (far_active && mean > k_active)
            learn(self, b, power,
                  self->linear[b] * mean + flat + other / (float)(to - from) +
                      k_floor_bias * self->noise_floor[b],
                  self->linear[b] * mean, flat);
    }
    turn_window(self);
}
