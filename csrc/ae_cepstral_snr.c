#include "ae_cepstral_snr.h"

#include "ae_fft.h"
#include "ae_vector_math.h"

static const float k_power_least = 0.016f; /* -18 dB of the noise: the paper's xi_min^ml */
static const float k_bias_log = 0.5f;      /* the mean of the log is below the log of the mean */
static const float k_pitch_low_hz = 70.0f, k_pitch_high_hz = 320.0f;
static const float k_pitch_height = 0.2f;
static const float k_pitch_ms = 8.0f;

/* Smoothing time by quefrency: the envelope of a voice lies below 1 ms and moves fast. */
typedef struct {
    float below_ms; /* quefrency */
    float time_ms;
} smoothing_row;
static const smoothing_row k_smoothing[] = {
    {0.2f, 0.0f}, {0.5f, 10.0f}, {1.2f, 30.0f}, {1e9f, 100.0f}};

struct ae_cepstral_snr {
    int bins, size; /* size = 2 (bins - 1) */
    int pitch_first, pitch_last, pitch_at;
    float bin_hz, pitch_rate, pitch_strength;
    int frames;
    ae_fft *fft;
    float *rate;           /* [bins] smoothing coefficient per quefrency */
    float *cepstrum, *now; /* [size] smoothed, of this hop */
    float *re, *im;        /* [bins] */
};

static ae_cepstral_snr *lay_out(ae_arena *arena, const ae_cepstral_snr_config *config)
{
    const int size = 2 * (config->bins - 1);
    ae_cepstral_snr *self = AE_TAKE(arena, 1, ae_cepstral_snr);
    float *rate = AE_TAKE(arena, config->bins, float);
    float *cepstrum = AE_TAKE(arena, size, float);
    float *now = AE_TAKE(arena, size, float);
    float *re = AE_TAKE(arena, config->bins, float);
    float *im = AE_TAKE(arena, config->bins, float);
    if (self == NULL) return NULL;
    *self = (ae_cepstral_snr){.bins = config->bins,
                              .size = size,
                              .bin_hz = config->bin_hz,
                              .pitch_rate = ae_one_pole(k_pitch_ms, config->hop_ms),
                              .rate = rate,
                              .cepstrum = cepstrum,
                              .now = now,
                              .re = re,
                              .im = im};
    const float quefrency_ms = 1000.0f / ((float)size * config->bin_hz);
    self->pitch_first =
        ae_clamp_int((int)(1000.0f / k_pitch_high_hz / quefrency_ms), 2, size / 2 - 1);
    self->pitch_last =
        ae_clamp_int((int)(1000.0f / k_pitch_low_hz / quefrency_ms), 2, size / 2 - 1);
    for (int q = 0, row = 0; q < config->bins; q++) {
        while ((float)q * quefrency_ms >= k_smoothing[row].below_ms) row++;
        rate[q] = ae_one_pole(k_smoothing[row].time_ms, config->hop_ms);
    }
    return self;
}

ae_status ae_cepstral_snr_create(ae_cepstral_snr **out, const ae_cepstral_snr_config *config)
{
    *out = NULL;
    if (config->bins < 17 || config->bins > 32769 || !(config->bin_hz > 0.0f) ||
        !(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f))
        return AE_ERROR_ARGUMENT;
    ae_fft *fft = NULL;
    const ae_status status = ae_fft_create(&fft, 2 * (config->bins - 1));
    if (status != AE_OK) return status;
    ae_arena arena = {0};
    lay_out(&arena, config);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) {
        ae_fft_destroy(fft);
        return AE_ERROR_MEMORY;
    }
    arena.used = 0;
    *out = lay_out(&arena, config);
    (*out)->fft = fft;
    ae_cepstral_snr_reset(*out);
    return AE_OK;
}

void ae_cepstral_snr_destroy(ae_cepstral_snr *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_free(self);
}

void ae_cepstral_snr_reset(ae_cepstral_snr *self)
{
    self->frames = 0;
    self->pitch_strength = 0.0f;
    self->pitch_at = self->pitch_first;
    ae_zero(self->cepstrum, self->size);
    ae_zero(self->im, self->bins);
}

float ae_cepstral_snr_pitch_strength(const ae_cepstral_snr *self) { return self->pitch_strength; }
float ae_cepstral_snr_pitch_hz(const ae_cepstral_snr *self)
{
    return (float)self->size * self->bin_hz / (float)self->pitch_at;
}

static void find_pitch(ae_cepstral_snr *self)
{
    int best = self->pitch_first;
    for (int q = self->pitch_first; q <= self->pitch_last; q++)
        if (self->now[q] > self->now[best]) best = q;
    self->pitch_at = best;
    self->pitch_strength = ae_max(self->now[best], 0.0f);
}

/* Recursive smoothing, fast around a clear pitch peak; the second half mirrors the first. */
static void smooth(ae_cepstral_snr *self)
{
    const int half = self->size / 2;
    float *restrict cepstrum = self->cepstrum;
    const float *restrict now = self->now, *restrict rate = self->rate;
    const int peak = self->pitch_strength > k_pitch_height ? self->pitch_at : -9;
    for (int q = 0; q <= half; q++) {
        const int near_peak = q >= peak - 1 && q <= peak + 1;
        const float r = near_peak ? self->pitch_rate : self->frames == 0 ? 1.0f : rate[q];
        cepstrum[q] += r * (now[q] - cepstrum[q]);
    }
    for (int q = 1; q < half; q++) cepstrum[self->size - q] = cepstrum[q];
}

void ae_cepstral_snr_update(ae_cepstral_snr *self, const float *power, const float *interference,
                            float *prior_snr)
{
    const int bins = self->bins;
    float *restrict re = self->re;
    const float ln_2 = 1.0f / k_ae_log2_of_e;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        const float noise = interference[k];
        re[k] = ln_2 * ae_log2(ae_max(power[k] - noise, k_power_least * noise));
    }
    ae_fft_inverse(self->fft, re, self->im, self->now);
    find_pitch(self);
    smooth(self);
    ae_fft_forward(self->fft, self->cepstrum, re, self->im);
    ae_zero(self->im, bins);
#pragma omp simd
    for (int k = 0; k < bins; k++)
        prior_snr[k] = ae_exp2(k_ae_log2_of_e * (re[k] + k_bias_log)) / interference[k];
    if (self->frames < 1) self->frames++;
}
