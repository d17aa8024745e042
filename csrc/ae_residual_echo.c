#include "ae_residual_echo.h"

#include "ae_math.h"
#include "ae_stft.h"

static const float k_leak_first = 0.05f; /* before anything is learned */
static const float k_leak_least = 6e-4f; /* -32 dB: no loudspeaker is more linear than that */

struct ae_residual_echo {
    ae_residual_echo_config config;
    ae_stft *stft;
    int bins, low, high; /* bins of the band where presence is judged */
    float *re, *im, *echo_power, *echo_mean, *error_mean;
    float *covariance, *variance, *leak, *tail;
    float window_power; /* sum of the squared analysis window / hop */
    float presence;
};

static size_t lay_out(ae_residual_echo *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_residual_echo);
    float **planes[] = {&self->re,        &self->im,         &self->echo_power,
                        &self->echo_mean, &self->error_mean, &self->covariance,
                        &self->variance,  &self->leak,       &self->tail};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        *planes[i] = AE_TAKE(&arena, self->bins, float);
    return arena.used;
}

ae_status ae_residual_echo_create(ae_residual_echo **out, const ae_residual_echo_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ)
        return AE_ERROR_ARGUMENT;
    ae_residual_echo shape = {.config = *config};
    const ae_stft_config stft = {config->hop_frames, config->window_frames};
    ae_status status = ae_stft_create(&shape.stft, &stft);
    if (status != AE_OK) return status;
    shape.bins = ae_stft_bins(shape.stft);
    const float hz = (float)config->sample_rate_hz / (float)(2 * (shape.bins - 1));
    shape.low = (int)(200.0f / hz);
    shape.high = ae_clamp_int((int)(6000.0f / hz), shape.low + 1, shape.bins);
    shape.window_power = ae_stft_window_power(shape.stft) / (float)config->hop_frames;
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
    ae_fill(self->echo_mean, 1e-9f, self->bins);
    ae_fill(self->error_mean, 1e-9f, self->bins);
    ae_fill(self->variance, 1e-9f, self->bins);
    ae_fill(self->covariance, k_leak_first * 1e-9f, self->bins);
    ae_fill(self->leak, k_leak_first, self->bins);
    ae_zero(self->tail, self->bins);
    self->presence = 1.0f;
}

static float sum_of(const float *values, int from, int to)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = from; k < to; k++) sum += values[k];
    return sum;
}

/* Leakage per bin: regression of the fluctuations of |E|^2 on those of |Y|^2. */
static void learn_leak(ae_residual_echo *self, const float *error_power)
{
    const float echo_sum = sum_of(self->echo_power, 0, self->bins);
    const float error_sum = sum_of(error_power, 0, self->bins) + 1e-9f;
    const float rate = 0.02f * (echo_sum < error_sum ? echo_sum / error_sum : 1.0f);
    const float *restrict echo = self->echo_power;
    for (int k = 0; k < self->bins; k++) {
        self->echo_mean[k] += 0.02f * (echo[k] - self->echo_mean[k]);
        self->error_mean[k] += 0.02f * (error_power[k] - self->error_mean[k]);
        const float u = echo[k] - self->echo_mean[k], v = error_power[k] - self->error_mean[k];
        self->covariance[k] += rate * (u * v - self->covariance[k]);
        self->variance[k] += rate * (u * u - self->variance[k]);
        self->leak[k] =
            ae_clamp(self->covariance[k] / (self->variance[k] + 1e-20f), k_leak_least, 1.0f);
    }
}

static float misadjustment_at(const ae_residual_echo *self, const ae_echo_view *view, int bin)
{
    const float at = (float)bin * (float)(view->misadjustment_bins - 1) / (float)(self->bins - 1);
    const int low = ae_clamp_int((int)at, 0, view->misadjustment_bins - 2);
    const float part = at - (float)low;
    return self->window_power * ((1.0f - part) * view->misadjustment_power[low] +
                                 part * view->misadjustment_power[low + 1]);
}

void ae_residual_echo_update(ae_residual_echo *self, const ae_echo_view *view,
                             const float *error_power, float *residual_power,
                             float *near_end_presence)
{
    const int bins = self->bins;
    ae_stft_analyse(self->stft, view->echo, self->re, self->im);
    for (int k = 0; k < bins; k++)
        self->echo_power[k] = self->re[k] * self->re[k] + self->im[k] * self->im[k];
    if (sum_of(self->echo_power, 0, bins) > 1e-6f) learn_leak(self, error_power);
    float explained = 0.0f;
    for (int k = 0; k < bins; k++) {
        const float echo = self->echo_power[k];
        self->tail[k] = fmaxf(0.78f * self->tail[k], echo);
        const float misadjustment =
            fminf(misadjustment_at(self, view, k), 2.0f * (echo + error_power[k]));
        residual_power[k] =
            1.5f * self->leak[k] * fmaxf(echo, 0.3f * self->tail[k]) + misadjustment;
        if (k >= self->low && k < self->high) explained += fminf(residual_power[k], error_power[k]);
    }
    const float share = explained / (sum_of(error_power, self->low, self->high) + 1e-12f);
    const float near_end =
        view->far_active ? ae_clamp((1.0f - share - 0.25f) / 0.45f, 0.0f, 1.0f) : 1.0f;
    self->presence = near_end > self->presence ? near_end : 0.7f * self->presence + 0.3f * near_end;
    ae_fill(near_end_presence, self->presence, bins);
}
