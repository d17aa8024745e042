#include "ae_echo_stage.h"

#include "ae_echo_net.h"
#include "ae_echo_spectra.h"
#include "ae_math.h"
#include "ae_residual_echo.h"
#include "ae_stft.h"

/* The net's gain to this power: near end lost in double talk from the first second falls from 14 to
 * 12 % of its tiles for 1 dB of echo (benchmarks of docs/echo.md). */
static const float k_gain_exponent = 0.85f;
static const float k_unheard_gain = 0.003f; /* -50 dB: an echo at -20 dBFS is not heard */
/* 0.3 s after the far end has gone nothing is left of its echo; then the stage opens in 50 ms. */
static const int k_tail_hops = 30;
static const float k_open_rate = 0.2f;
enum { k_bands = AE_ECHO_BANDS };

struct ae_echo_stage {
    ae_echo_stage_config config;
    int bins;
    ae_echo_spectra *spectra[AE_MAX_CHANNELS];
    ae_residual_echo *residual[AE_MAX_CHANNELS];
    ae_echo_bands *bands;
    ae_echo_net *net;
    float *residual_power, *mix; /* [bins] */
    float trust[AE_MAX_CHANNELS];
    float gain[k_bands];
    int quiet_hops; /* since the far end was heard */
    float opened;   /* 0 .. 1: share of the gain that is not applied */
    float near_end_presence;
};

static void destroy_parts(ae_echo_stage *self)
{
    for (int c = 0; c < AE_MAX_CHANNELS; c++) {
        ae_echo_spectra_destroy(self->spectra[c]);
        ae_residual_echo_destroy(self->residual[c]);
    }
    ae_echo_bands_destroy(self->bands);
    ae_echo_net_destroy(self->net);
}

/* The grid is that of an ae_stft of this hop and window. */
static ae_status create_bands(ae_echo_stage *shape)
{
    const ae_stft_config config = {shape->config.hop_frames, shape->config.window_frames};
    ae_stft *stft = NULL;
    const ae_status status = ae_stft_create(&stft, &config);
    if (status != AE_OK) return status;
    const ae_echo_bands_config bands = {shape->config.sample_rate_hz, ae_stft_fft_size(stft),
                                        ae_stft_window_power(stft)};
    shape->bins = ae_stft_bins(stft);
    ae_stft_destroy(stft);
    return ae_echo_bands_create(&shape->bands, &bands);
}

static ae_status create_parts(ae_echo_stage *shape)
{
    ae_status status = create_bands(shape);
    if (status == AE_OK) status = ae_echo_net_create(&shape->net);
    const ae_echo_spectra_config spectra = {shape->config.hop_frames, shape->config.window_frames};
    const ae_residual_echo_config residual = {shape->config.sample_rate_hz, shape->bins};
    for (int c = 0; c < shape->config.channels && status == AE_OK; c++) {
        status = ae_echo_spectra_create(&shape->spectra[c], &spectra);
        if (status == AE_OK) status = ae_residual_echo_create(&shape->residual[c], &residual);
    }
    return status;
}

static ae_echo_stage *lay_out(ae_arena *arena, const ae_echo_stage *shape)
{
    ae_echo_stage *self = AE_TAKE(arena, 1, ae_echo_stage);
    float *residual_power = AE_TAKE(arena, shape->bins, float);
    float *mix = AE_TAKE(arena, shape->bins, float);
    if (self == NULL) return NULL;
    *self = *shape;
    self->residual_power = residual_power;
    self->mix = mix;
    return self;
}

ae_status ae_echo_stage_create(ae_echo_stage **out, const ae_echo_stage_config *config)
{
    *out = NULL;
    if (config->channels < 1 || config->channels > AE_MAX_CHANNELS) return AE_ERROR_ARGUMENT;
    ae_echo_stage shape = {.config = *config};
    ae_status status = create_parts(&shape);
    ae_arena arena = {0};
    if (status == AE_OK) {
        lay_out(&arena, &shape);
        arena.base = ae_allocate(arena.used);
        if (arena.base == NULL) status = AE_ERROR_MEMORY;
    }
    if (status != AE_OK) {
        destroy_parts(&shape);
        return status;
    }
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    ae_echo_stage_reset(*out);
    return AE_OK;
}

void ae_echo_stage_destroy(ae_echo_stage *self)
{
    if (self == NULL) return;
    destroy_parts(self);
    ae_free(self);
}

void ae_echo_stage_reset(ae_echo_stage *self)
{
    for (int c = 0; c < self->config.channels; c++) {
        ae_echo_spectra_reset(self->spectra[c]);
        ae_residual_echo_reset(self->residual[c]);
    }
    ae_echo_net_reset(self->net);
    self->quiet_hops = k_tail_hops;
    self->opened = self->near_end_presence = 1.0f;
}

float ae_echo_stage_near_end_presence(const ae_echo_stage *self) { return self->near_end_presence; }

void ae_echo_stage_powers(const ae_echo_stage *self, float scale, float *echo, float *far_end)
{
    float *restrict to_echo = echo, *restrict to_far = far_end;
    ae_zero(to_echo, self->bins);
    ae_zero(to_far, self->bins);
    for (int c = 0; c < self->config.channels; c++) {
        const ae_echo_planes *planes = ae_echo_spectra_planes(self->spectra[c]);
        const float *restrict from_echo = planes->echo, *restrict from_far = planes->far_end;
        const float far_scale = scale * self->trust[c] * self->trust[c];
#pragma omp simd
        for (int k = 0; k < self->bins; k++) {
            to_echo[k] += scale * from_echo[k];
            to_far[k] += far_scale * from_far[k];
        }
    }
}

/* Add one channel's share of a signal's band powers. */
static void add_bands(const ae_echo_stage *self, const float *bin_power, float *band_power)
{
    float one[k_bands];
    const float share = 1.0f / (float)self->config.channels;
    ae_echo_bands_gather(self->bands, bin_power, one);
    for (int b = 0; b < k_bands; b++) band_power[b] += share * one[b];
}

static void listen(ae_echo_stage *self, int channel, const ae_echo_view *view, const float *re,
                   const float *im, ae_echo_net_input *in)
{
    ae_echo_spectra_update(self->spectra[channel], view, re, im);
    const ae_echo_planes *planes = ae_echo_spectra_planes(self->spectra[channel]);
    ae_residual_echo_update(self->residual[channel], planes, view->far_active,
                            self->residual_power);
    add_bands(self, planes->error, in->error);
    add_bands(self, planes->prior_error, in->prior_error);
    add_bands(self, planes->capture, in->capture);
    add_bands(self, planes->echo, in->echo);
    add_bands(self, planes->far_end, in->far_end);
    add_bands(self, planes->misadjustment, in->misadjustment);
    add_bands(self, self->residual_power, in->residual);
    in->trust = fmaxf(in->trust, view->trust);
    in->capture_clipped = fmaxf(in->capture_clipped, (float)view->capture_clipped);
    in->far_active = fmaxf(in->far_active, (float)view->far_active);
    in->lag_found = fmaxf(in->lag_found, (float)view->lag_found);
}

static void add_step(const ae_echo_stage *self, int channel, float *restrict re, float *restrict im,
                     float *restrict taken)
{
    const ae_echo_planes *planes = ae_echo_spectra_planes(self->spectra[channel]);
    const float *restrict step_re = planes->step_re, *restrict step_im = planes->step_im;
    const float *restrict mix = self->mix;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float rest = 1.0f - mix[k];
        re[k] += mix[k] * step_re[k];
        im[k] += mix[k] * step_im[k];
        taken[k] += rest * rest * (step_re[k] * step_re[k] + step_im[k] * step_im[k]);
    }
}

/* Where there is no far end, or no path for it, there is no echo; where nobody knows yet, there may
 * be. */
static void bound_gain(ae_echo_stage *self, int far_active, float trust, int unheard)
{
    self->quiet_hops = far_active ? 0 : self->quiet_hops + (self->quiet_hops < k_tail_hops);
    const float opened = self->quiet_hops < k_tail_hops ? 0.0f : 1.0f;
    self->opened = far_active ? 0.0f : self->opened + k_open_rate * (opened - self->opened);
    for (int b = 0; b < k_bands; b++) {
        self->gain[b] = powf(self->gain[b], k_gain_exponent);
        self->gain[b] += fmaxf(self->opened, 1.0f - trust) * (1.0f - self->gain[b]);
        if (unheard) self->gain[b] = fminf(self->gain[b], k_unheard_gain);
    }
}

static void judge_presence(ae_echo_stage *self, const ae_echo_net_input *in)
{
    float kept = 1e-12f, all = 1e-12f;
    for (int b = 0; b < k_bands; b++) {
        kept += self->gain[b] * self->gain[b] * in->error[b];
        all += in->error[b];
    }
    self->near_end_presence = kept / all;
}

void ae_echo_stage_update(ae_echo_stage *self, const ae_echo_view *const *echo, float *const *re,
                          float *const *im, float *gain, float *taken)
{
    ae_echo_net_input in = {0};
    float mix[k_bands];
    for (int c = 0; c < self->config.channels; c++) {
        listen(self, c, echo[c], re[c], im[c], &in);
        self->trust[c] = echo[c]->trust;
    }
    ae_echo_net_update(self->net, &in, self->gain, mix);
    int unheard = 0;
    for (int c = 0; c < self->config.channels; c++) unheard |= echo[c]->unheard;
    bound_gain(self, in.far_active > 0.0f, in.trust, unheard);
    ae_echo_bands_spread(self->bands, self->gain, gain);
    ae_echo_bands_spread(self->bands, mix, self->mix);
    ae_zero(taken, self->bins);
    for (int c = 0; c < self->config.channels; c++) add_step(self, c, re[c], im[c], taken);
    judge_presence(self, &in);
}
