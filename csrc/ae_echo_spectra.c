#include "ae_echo_spectra.h"

#include "ae_math.h"
#include "ae_stft.h"

enum { k_echo, k_step, k_far_end, k_signals };

struct ae_echo_spectra {
    int hop, bins;
    float window_power; /* sum of the squared analysis window / hop */
    ae_stft *stft[k_signals];
    float *re[k_signals], *im[k_signals];                                  /* [bins] */
    float *step;                                                           /* [hop] */
    float *error, *prior_error, *capture, *echo, *far_end, *misadjustment; /* [bins] */
    ae_echo_planes planes;
};

static ae_echo_spectra *lay_out(ae_arena *arena, const ae_echo_spectra *shape)
{
    ae_echo_spectra *self = AE_TAKE(arena, 1, ae_echo_spectra), filled = *shape;
    for (int s = 0; s < k_signals; s++) {
        filled.re[s] = AE_TAKE(arena, shape->bins, float);
        filled.im[s] = AE_TAKE(arena, shape->bins, float);
    }
    filled.step = AE_TAKE(arena, shape->hop, float);
    float **planes[] = {&filled.error, &filled.prior_error, &filled.capture,
                        &filled.echo,  &filled.far_end,     &filled.misadjustment};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        *planes[i] = AE_TAKE(arena, shape->bins, float);
    filled.planes = (ae_echo_planes){.error = filled.error,
                                     .prior_error = filled.prior_error,
                                     .capture = filled.capture,
                                     .echo = filled.echo,
                                     .far_end = filled.far_end,
                                     .misadjustment = filled.misadjustment,
                                     .step_re = filled.re[k_step],
                                     .step_im = filled.im[k_step]};
    if (self != NULL) *self = filled;
    return self;
}

ae_status ae_echo_spectra_create(ae_echo_spectra **out, const ae_echo_spectra_config *config)
{
    *out = NULL;
    const ae_stft_config stft = {config->hop_frames, config->window_frames};
    ae_echo_spectra shape = {.hop = config->hop_frames};
    ae_status status = AE_OK;
    for (int s = 0; s < k_signals && status == AE_OK; s++)
        status = ae_stft_create(&shape.stft[s], &stft);
    ae_arena arena = {0};
    if (status == AE_OK) {
        shape.bins = ae_stft_bins(shape.stft[0]);
        shape.window_power = ae_stft_window_power(shape.stft[0]) / (float)config->hop_frames;
        lay_out(&arena, &shape);
        arena.base = ae_allocate(arena.used);
        if (arena.base == NULL) status = AE_ERROR_MEMORY;
    }
    if (status != AE_OK) {
        for (int s = 0; s < k_signals; s++) ae_stft_destroy(shape.stft[s]);
        return status;
    }
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    return AE_OK;
}

void ae_echo_spectra_destroy(ae_echo_spectra *self)
{
    if (self == NULL) return;
    for (int s = 0; s < k_signals; s++) ae_stft_destroy(self->stft[s]);
    ae_free(self);
}

void ae_echo_spectra_reset(ae_echo_spectra *self)
{
    for (int s = 0; s < k_signals; s++) ae_stft_reset(self->stft[s]);
}

const ae_echo_planes *ae_echo_spectra_planes(const ae_echo_spectra *self) { return &self->planes; }

static void take_powers(ae_echo_spectra *self, const float *restrict error_re,
                        const float *restrict error_im)
{
    const float *restrict echo_re = self->re[k_echo], *restrict echo_im = self->im[k_echo];
    const float *restrict step_re = self->re[k_step], *restrict step_im = self->im[k_step];
    const float *restrict far_re = self->re[k_far_end], *restrict far_im = self->im[k_far_end];
    float *restrict error = self->error, *restrict prior_error = self->prior_error;
    float *restrict capture = self->capture, *restrict echo = self->echo;
    float *restrict far_end = self->far_end;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float er = error_re[k], ei = error_im[k];
        const float pr = er + step_re[k], pi = ei + step_im[k];
        const float dr = er + echo_re[k], di = ei + echo_im[k];
        error[k] = er * er + ei * ei;
        prior_error[k] = pr * pr + pi * pi;
        capture[k] = dr * dr + di * di;
        echo[k] = echo_re[k] * echo_re[k] + echo_im[k] * echo_im[k];
        far_end[k] = far_re[k] * far_re[k] + far_im[k] * far_im[k];
    }
}

static void place_misadjustment(ae_echo_spectra *self, const ae_echo_view *view)
{
    const float *restrict from = view->misadjustment_power;
    const float ratio = (float)(view->misadjustment_bins - 1) / (float)(self->bins - 1);
    for (int k = 0; k < self->bins; k++) {
        const float at = (float)k * ratio;
        const int low = ae_clamp_int((int)at, 0, view->misadjustment_bins - 2);
        const float part = at - (float)low;
        self->misadjustment[k] =
            self->window_power * ((1.0f - part) * from[low] + part * from[low + 1]);
    }
}

void ae_echo_spectra_update(ae_echo_spectra *self, const ae_echo_view *view, const float *error_re,
                            const float *error_im)
{
    for (int n = 0; n < self->hop; n++) self->step[n] = view->echo[n] - view->prior_echo[n];
    const float *signals[k_signals] = {
        [k_echo] = view->echo, [k_step] = self->step, [k_far_end] = view->far_end};
    for (int s = 0; s < k_signals; s++)
        ae_stft_analyse(self->stft[s], signals[s], self->re[s], self->im[s]);
    take_powers(self, error_re, error_im);
    place_misadjustment(self, view);
}
