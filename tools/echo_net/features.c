/* features.c - what ae_echo_net hears in a made-up scene, and what it should have answered.
 *
 * Runs the echo filter over a capture and a far end, as the engine does. Per hop it keeps
 *   features: one ae_echo_net_input, float by float;
 *   gram: the band powers and products that the loss is made of, e1e1, e0e0, e1e0, e1t, e0t, tt, of
 *     the a posteriori error e1, the a priori error e0 and the target t.
 *
 * A gain g and a mix m make y = g ((1 - m) e1 + m e0), so |y|^2 and y.t follow from the gram and no
 * spectrum has to be kept. The target is the near end and that share of the noise which can be told
 * from the echo: where echo covers the noise, the suppressor's comfort noise fills in.
 *
 * features.py compiles it with the files of csrc that it needs. It speaks through plain arrays. */
#include "ae_echo_bands.h"
#include "ae_echo_filter.h"
#include "ae_echo_net.h"
#include "ae_echo_spectra.h"
#include "ae_residual_echo.h"
#include "ae_stft.h"

static const float k_window_hops = 3.2f; /* as in ae_suppressor.c: the net hears on its grid */
/* Echo left in the error counts double against the noise; a third of the whole echo counts too:
 * noise is wanted where it is all there is, and comfort noise does for it beside an echo. */
static const float k_left_weight = 2.0f, k_echo_weight = 0.3f;
static const float k_least_power = 1e-13f; /* -130 dBFS: below the noise of 16 bits in a band */

enum {
    k_bands = AE_ECHO_BANDS,
    k_inputs = sizeof(ae_echo_net_input) / sizeof(float),
    k_products = 6,
    k_spectra = 6
};

typedef struct {
    float *re, *im;
} spectrum;

typedef struct {
    int hop, bins;
    ae_echo_filter *filter;
    ae_echo_bands *bands;
    ae_echo_spectra *spectra;
    ae_residual_echo *residual;
    ae_stft *stft[4]; /* of the four spectra that follow */
    spectrum error, capture, near_end, noise;
    spectrum prior_error, target;
    float *power; /* scratch, [bins] */
    float *block; /* [hop], the filter's output */
} hearing;

static ae_status create_filter(hearing *self, int sample_rate_hz)
{
    const ae_echo_filter_config filter = ae_echo_filter_default_config(sample_rate_hz);
    ae_status status = ae_echo_filter_create(&self->filter, &filter);
    self->hop = ae_block_frames(sample_rate_hz);
    const ae_stft_config stft = {self->hop, (int)(k_window_hops * (float)self->hop + 0.5f)};
    for (int i = 0; i < 4 && status == AE_OK; i++) status = ae_stft_create(&self->stft[i], &stft);
    if (status != AE_OK) return status;
    self->bins = ae_stft_bins(self->stft[0]);
    const ae_echo_bands_config bands = {sample_rate_hz, ae_stft_fft_size(self->stft[0]),
                                        ae_stft_window_power(self->stft[0])};
    status = ae_echo_bands_create(&self->bands, &bands);
    const ae_echo_spectra_config spectra = {stft.hop_frames, stft.window_frames};
    if (status == AE_OK) status = ae_echo_spectra_create(&self->spectra, &spectra);
    const ae_residual_echo_config residual = {sample_rate_hz, self->bins};
    if (status == AE_OK) status = ae_residual_echo_create(&self->residual, &residual);
    return status;
}

static ae_status create_planes(hearing *self)
{
    const size_t bins = (size_t)self->bins, hop = (size_t)self->hop;
    float *plane = ae_allocate((bins * (2 * k_spectra + 1) + hop) * sizeof(float));
    if (plane == NULL) return AE_ERROR_MEMORY;
    spectrum *const all[k_spectra] = {&self->error, &self->capture,     &self->near_end,
                                      &self->noise, &self->prior_error, &self->target};
    self->power = plane;
    for (int i = 0; i < k_spectra; i++)
        *all[i] =
            (spectrum){plane + (2 * (size_t)i + 1) * bins, plane + (2 * (size_t)i + 2) * bins};
    self->block = plane + (2 * k_spectra + 1) * bins;
    return AE_OK;
}

static void destroy(hearing *self)
{
    ae_echo_filter_destroy(self->filter);
    ae_echo_bands_destroy(self->bands);
    ae_echo_spectra_destroy(self->spectra);
    ae_residual_echo_destroy(self->residual);
    for (int i = 0; i < 4; i++) ae_stft_destroy(self->stft[i]);
    ae_free(self->power);
}

/* What ae_echo_stage gives the net, of one channel. */
static void hear(hearing *self, const float *capture, const float *far_end, ae_echo_net_input *to)
{
    ae_echo_filter_process(self->filter, capture, &far_end, self->block);
    const ae_echo_view *view = ae_echo_filter_view(self->filter);
    ae_stft_analyse(self->stft[0], self->block, self->error.re, self->error.im);
    ae_echo_spectra_update(self->spectra, view, self->error.re, self->error.im);
    const ae_echo_planes *planes = ae_echo_spectra_planes(self->spectra);
    ae_residual_echo_update(self->residual, planes, view->far_active, self->power);
    ae_echo_bands_gather(self->bands, planes->error, to->error);
    ae_echo_bands_gather(self->bands, planes->prior_error, to->prior_error);
    ae_echo_bands_gather(self->bands, planes->capture, to->capture);
    ae_echo_bands_gather(self->bands, planes->echo, to->echo);
    ae_echo_bands_gather(self->bands, planes->far_end, to->far_end);
    ae_echo_bands_gather(self->bands, planes->misadjustment, to->misadjustment);
    ae_echo_bands_gather(self->bands, self->power, to->residual);
    to->trust = view->trust;
    to->capture_clipped = (float)view->capture_clipped;
    to->far_active = (float)view->far_active;
    to->lag_found = (float)view->lag_found;
}

/* Real part of a times conjugate b, in bands. */
static void find_product(const hearing *self, spectrum a, spectrum b, float *band_product)
{
    for (int k = 0; k < self->bins; k++) self->power[k] = a.re[k] * b.re[k] + a.im[k] * b.im[k];
    ae_echo_bands_gather(self->bands, self->power, band_product);
}

/* Power of the echo that is left when near end and noise are taken from `of`. */
static void find_echo(const hearing *self, spectrum of, float *band_power)
{
    for (int k = 0; k < self->bins; k++) {
        const float re = of.re[k] - self->near_end.re[k] - self->noise.re[k];
        const float im = of.im[k] - self->near_end.im[k] - self->noise.im[k];
        self->power[k] = re * re + im * im;
    }
    ae_echo_bands_gather(self->bands, self->power, band_power);
}

/* near end + share . noise, the share from 0 (covered by echo) to 1. */
static void find_target(hearing *self)
{
    float noise[k_bands], left[k_bands], echo[k_bands], band_share[k_bands];
    find_product(self, self->noise, self->noise, noise);
    find_echo(self, self->error, left);
    find_echo(self, self->capture, echo);
    for (int b = 0; b < k_bands; b++)
        band_share[b] = (noise[b] + k_least_power) / (noise[b] + k_left_weight * left[b] +
                                                      k_echo_weight * echo[b] + k_least_power);
    float *share = self->power;
    ae_echo_bands_spread(self->bands, band_share, share);
    for (int k = 0; k < self->bins; k++) {
        self->target.re[k] = self->near_end.re[k] + share[k] * self->noise.re[k];
        self->target.im[k] = self->near_end.im[k] + share[k] * self->noise.im[k];
    }
}

static void find_gram(hearing *self, float *gram)
{
    const ae_echo_planes *planes = ae_echo_spectra_planes(self->spectra);
    for (int k = 0; k < self->bins; k++) {
        self->prior_error.re[k] = self->error.re[k] + planes->step_re[k];
        self->prior_error.im[k] = self->error.im[k] + planes->step_im[k];
    }
    ae_echo_bands_gather(self->bands, planes->error, gram);
    ae_echo_bands_gather(self->bands, planes->prior_error, gram + k_bands);
    find_product(self, self->error, self->prior_error, gram + 2 * k_bands);
    find_product(self, self->error, self->target, gram + 3 * k_bands);
    find_product(self, self->prior_error, self->target, gram + 4 * k_bands);
    find_product(self, self->target, self->target, gram + 5 * k_bands);
}

/* The sizes that the Python side makes its arrays with. */
int echo_net_bands(void);
int echo_net_inputs(void);
int echo_net_products(void);
int echo_net_features(const float *capture, const float *far_end, const float *near_end,
                      const float *noise, int frames, int sample_rate_hz,
                      ae_echo_net_input *features, float *gram);

int echo_net_bands(void) { return k_bands; }
int echo_net_inputs(void) { return k_inputs; }
int echo_net_products(void) { return k_products; }

/* features: one per hop of 10 ms; gram: [hops][k_products * k_bands]. Gives an ae_status. */
int echo_net_features(const float *capture, const float *far_end, const float *near_end,
                      const float *noise, int frames, int sample_rate_hz,
                      ae_echo_net_input *features, float *gram)
{
    hearing self = {0};
    ae_status status = create_filter(&self, sample_rate_hz);
    if (status == AE_OK) status = create_planes(&self);
    const ae_fp_mode mode = ae_fp_enter();
    const int hops = status == AE_OK ? frames / self.hop : 0;
    for (int i = 0; i < hops; i++) {
        const size_t at = (size_t)i * (size_t)self.hop;
        hear(&self, capture + at, far_end + at, &features[i]);
        ae_stft_analyse(self.stft[1], capture + at, self.capture.re, self.capture.im);
        ae_stft_analyse(self.stft[2], near_end + at, self.near_end.re, self.near_end.im);
        ae_stft_analyse(self.stft[3], noise + at, self.noise.re, self.noise.im);
        find_target(&self);
        find_gram(&self, gram + (size_t)i * k_products * k_bands);
    }
    ae_fp_leave(mode);
    destroy(&self);
    return status;
}
