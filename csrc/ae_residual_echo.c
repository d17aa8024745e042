#include "ae_residual_echo.h"

#include "ae_math.h"
#include "ae_stft.h"

/* Bands are about a third of an octave wide up to 8 kHz: a quarter would hold too few bins at 300
 * Hz to be steady, a half blurs loudspeaker resonances. */
static const float k_first_edge_hz = 100.0f, k_edge_ratio = 1.26f;
static const float k_low_presence_hz = 200.0f, k_high_presence_hz = 6000.0f;
static const float k_tail_keep = 0.78f; /* per hop: reverberation behind the estimate, T60 0.55 s */
/* Residual per echo power before anything is learned: of the same band, and of all bands (what a
 * loudspeaker that distorts spreads). High on purpose: coming down is quick and safe. Limits
 * -40 .. 3 dB and -60 .. -10 dB. */
static const float k_linear_first = 0.1f, k_linear_least = 1e-4f, k_linear_most = 2.0f;
static const float k_spread_first = 0.01f, k_spread_least = 1e-6f, k_spread_most = 0.1f;
static const float k_rate = 0.03f; /* of the shares, per hop */
static const float k_knee = 4.0f;  /* error / residual from where on it teaches less: near end */
static const float k_misadjustment = 0.3f;
static const float k_output = 1.5f;
static const float k_near_up = 0.5f;
static const float k_margin = 1.0f; /* of the residual where presence is judged */
static const float k_near_from = 0.25f, k_near_span = 0.45f;
static const float k_near_keep = 0.7f;
static const float k_floor_rate = 0.3f; /* smoothing before the minimum, per hop */
static const int k_floor_hops = 100;    /* window of the minimum, 1 s */
static const float k_floor_bias = 3.0f;
static const float k_least_power = 1e-9f;
static const float k_active = 1e-4f;
static const float k_global = 1.0f;
enum { k_max_bands = 40 };

struct ae_residual_echo {
    ae_residual_echo_config config;
    ae_stft *stft;
    int bins, bands;
    int edge[k_max_bands + 1];      /* first bin of each band */
    int low_band, high_band;        /* where the broad presence is judged */
    float *re, *im, *tail;          /* bins */
    float linear[k_max_bands];      /* residual / echo power of the same band */
    float spread[k_max_bands];      /* residual / mean echo power of all bands */
    float noise_floor[k_max_bands]; /* stationary part of the error */
    float smoothed[k_max_bands], window_least[k_max_bands], last_least[k_max_bands];
    int window_hops;
    float presence[k_max_bands];
    float window_power; /* sum of the squared analysis window / hop */
    float broad_presence;
};

static size_t lay_out(ae_residual_echo *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_residual_echo);
    self->re = AE_TAKE(&arena, self->bins, float);
    self->im = AE_TAKE(&arena, self->bins, float);
    self->tail = AE_TAKE(&arena, self->bins, float);
    return arena.used;
}

static void place_bands(ae_residual_echo *self)
{
    const float hz = (float)self->config.sample_rate_hz / (float)(2 * (self->bins - 1));
    float edge_hz = k_first_edge_hz;
    self->edge[0] = 0;
    self->low_band = self->high_band = 0;
    for (int b = 1; b <= k_max_bands; b++, edge_hz *= k_edge_ratio) {
        int bin = (int)(edge_hz / hz + 0.5f);
        if (bin < self->edge[b - 1] + 2) {
            bin = self->edge[b - 1] + 2;
            edge_hz = (float)bin * hz;
        }
        if (edge_hz <= k_low_presence_hz) self->low_band = b;
        if (edge_hz <= k_high_presence_hz) self->high_band = b;
        self->bands = b;
        self->edge[b] = bin;
        if (bin >= self->bins - 2 || b == k_max_bands) break;
    }
    self->edge[self->bands] = self->bins;
}

ae_status ae_residual_echo_create(ae_residual_echo **out, const ae_residual_echo_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ)
        return AE_ERROR_ARGUMENT;
    ae_residual_echo shape = {.config = *config};
    const ae_stft_config stft = {config->hop_frames, config->window_frames};
    const ae_status status = ae_stft_create(&shape.stft, &stft);
    if (status != AE_OK) return status;
    shape.bins = ae_stft_bins(shape.stft);
    shape.window_power = ae_stft_window_power(shape.stft) / (float)config->hop_frames;
    place_bands(&shape);
    ae_residual_echo *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) {
        ae_stft_destroy(shape.stft);
        return AE_ERROR_MEMORY;
    }
    *self = shape;
    lay_out(self, self);
    ae_residual_echo_reset(self);
    *out = self;
    return AE_OK;
}

void ae_residual_echo_destroy(ae_residual_echo *self)
{
    if (self == NULL) return;
    ae_stft_destroy(self->stft);
    ae_free(self);
}

void ae_residual_echo_reset(ae_residual_echo *self)
{
    ae_stft_reset(self->stft);
    ae_zero(self->tail, self->bins);
    ae_fill(self->linear, k_linear_first, self->bands);
    ae_fill(self->spread, k_spread_first, self->bands);
    ae_zero(self->noise_floor, self->bands);
    ae_zero(self->smoothed, self->bands);
    ae_zero(self->window_least, self->bands);
    ae_zero(self->last_least, self->bands);
    self->window_hops = 0;
    ae_fill(self->presence, 1.0f, self->bands);
    self->broad_presence = 1.0f;
}

float ae_residual_echo_broad_presence(const ae_residual_echo *self) { return self->broad_presence; }

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

static float misadjustment_at(const ae_residual_echo *self, const ae_echo_view *view, int bin)
{
    const float at = (float)bin * (float)(view->misadjustment_bins - 1) / (float)(self->bins - 1);
    const int low = ae_clamp_int((int)at, 0, view->misadjustment_bins - 2);
    const float part = at - (float)low;
    return self->window_power * ((1.0f - part) * view->misadjustment_power[low] +
                                 part * view->misadjustment_power[low + 1]);
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

static float presence_from(float explained, float error)
{
    const float rest = 1.0f - explained / (error + k_least_power);
    return ae_clamp((rest - k_near_from) / k_near_span, 0.0f, 1.0f);
}

void ae_residual_echo_update(ae_residual_echo *self, const ae_echo_view *view,
                             const float *error_power, float *residual_power,
                             float *near_end_presence)
{
    const int bins = self->bins, bands = self->bands;
    float *restrict echo = self->re; /* becomes the echo's power, held over its reverberation */
    ae_stft_analyse(self->stft, view->echo, self->re, self->im);
    for (int k = 0; k < bins; k++) {
        const float power = self->re[k] * self->re[k] + self->im[k] * self->im[k];
        self->tail[k] = fmaxf(k_tail_keep * self->tail[k], power);
        echo[k] = self->tail[k];
    }
    const float all = mean_of(echo, 0, bins);
    float error[k_max_bands], explained[k_max_bands], total_error = 0.0f, total_explained = 0.0f;
    for (int b = 0; b < bands; b++) {
        const int from = self->edge[b], to = self->edge[b + 1];
        const float flat = self->spread[b] * all, mean = mean_of(echo, from, to);
        float sum = 0.0f, other = 0.0f;
        for (int k = from; k < to; k++) {
            const float bound = 2.0f * (echo[k] + error_power[k]);
            const float misadjustment =
                k_misadjustment * fminf(misadjustment_at(self, view, k), bound);
            residual_power[k] = k_output * (self->linear[b] * echo[k] + flat) + misadjustment;
            other += misadjustment;
            sum += fminf(k_margin * residual_power[k], error_power[k]);
        }
        explained[b] = sum;
        error[b] = mean_of(error_power, from, to) * (float)(to - from);
        if (b >= self->low_band && b < self->high_band) {
            total_error += error[b];
            total_explained += sum;
        }
        const float power = error[b] / (float)(to - from);
        track_floor(self, b, power);
        if (view->far_active && mean > k_active)
            learn(self, b, power,
                  self->linear[b] * mean + flat + other / (float)(to - from) +
                      k_floor_bias * self->noise_floor[b],
                  self->linear[b] * mean, flat);
    }
    turn_window(self);
    const float broad = view->far_active ? presence_from(total_explained, total_error) : 1.0f;
    self->broad_presence += (broad > self->broad_presence ? k_near_up : 1.0f - k_near_keep) *
                            (broad - self->broad_presence);
    for (int b = 0; b < bands; b++) {
        const int under = b > 0 ? b - 1 : b, over = b < bands - 1 ? b + 1 : b;
        const float now = presence_from(explained[under] + explained[b] + explained[over],
                                        error[under] + error[b] + error[over]);
        const float own = view->far_active ? now : 1.0f;
        self->presence[b] +=
            (own > self->presence[b] ? k_near_up : 1.0f - k_near_keep) * (own - self->presence[b]);
        const float presence =
            (1.0f - k_global) * self->presence[b] + k_global * self->broad_presence;
        ae_fill(near_end_presence + self->edge[b], presence, self->edge[b + 1] - self->edge[b]);
    }
}
