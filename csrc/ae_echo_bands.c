#include "ae_echo_bands.h"

#include "ae_math.h"

static const float k_first_hz = 60.0f, k_step_hz = 75.0f, k_step_ratio = 0.145f;
static const float k_top_hz = 8000.0f;
static const float k_high_hz = 4000.0f; /* from here on the bands speak for what lies above 8 kHz */
enum { k_bands = AE_ECHO_BANDS };

struct ae_echo_bands {
    int bins;
    int start[k_bands + 1]; /* first bin at or above each band's centre; the last one's end */
    int high_band;          /* first band at or above k_high_hz */
    float scale;            /* |FFT|^2 of a bin to mean square */
    float *share;           /* of each bin, that belongs to the upper one of its two bands */
};

static float centre_hz(int band)
{
    float hz = k_first_hz;
    for (int b = 0; b < band; b++) hz += fmaxf(k_step_hz, k_step_ratio * hz);
    return band == k_bands - 1 ? k_top_hz : hz;
}

static ae_echo_bands *lay_out(ae_arena *arena, int bins)
{
    ae_echo_bands *self = AE_TAKE(arena, 1, ae_echo_bands);
    float *share = AE_TAKE(arena, bins, float);
    if (self == NULL) return NULL;
    *self = (ae_echo_bands){.bins = bins, .share = share};
    return self;
}

static void place(ae_echo_bands *self, float bin_hz)
{
    self->high_band = k_bands - 1;
    for (int b = 0; b < k_bands; b++) {
        self->start[b] = ae_clamp_int((int)ceilf(centre_hz(b) / bin_hz), 0, self->bins);
        if (centre_hz(b) >= k_high_hz && b < self->high_band) self->high_band = b;
    }
    /* The top band ends at its own centre, as the first one begins at 0 Hz. */
    self->start[k_bands] = self->start[k_bands - 1];
    for (int b = 0; b + 1 < k_bands; b++)
        for (int k = self->start[b]; k < self->start[b + 1]; k++)
            self->share[k] = ((float)k * bin_hz - centre_hz(b)) / (centre_hz(b + 1) - centre_hz(b));
}

ae_status ae_echo_bands_create(ae_echo_bands **out, const ae_echo_bands_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->fft_size < 8 || !(config->window_power > 0.0f))
        return AE_ERROR_ARGUMENT;
    const int bins = config->fft_size / 2 + 1;
    ae_arena arena = {0};
    lay_out(&arena, bins);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    ae_echo_bands *self = lay_out(&arena, bins);
    self->scale = 2.0f / ((float)config->fft_size * config->window_power);
    place(self, (float)config->sample_rate_hz / (float)config->fft_size);
    *out = self;
    return AE_OK;
}

void ae_echo_bands_destroy(ae_echo_bands *self) { ae_free(self); }

void ae_echo_bands_gather(const ae_echo_bands *self, const float *restrict bin_power,
                          float *restrict band_power)
{
    ae_zero(band_power, k_bands);
    for (int k = 0; k < self->start[0]; k++) band_power[0] += bin_power[k];
    for (int b = 0; b + 1 < k_bands; b++) {
        const float *restrict share = self->share;
        float all = 0.0f, upper = 0.0f;
#pragma omp simd reduction(+ : all, upper)
        for (int k = self->start[b]; k < self->start[b + 1]; k++) {
            all += bin_power[k];
            upper += share[k] * bin_power[k];
        }
        band_power[b] += all - upper;
        band_power[b + 1] += upper;
    }
    for (int b = 0; b < k_bands; b++) band_power[b] *= self->scale;
}

void ae_echo_bands_spread(const ae_echo_bands *self, const float *restrict band_gain,
                          float *restrict bin_gain)
{
    ae_fill(bin_gain, band_gain[0], self->start[0]);
    for (int b = 0; b + 1 < k_bands; b++) {
        const float *restrict share = self->share;
        const float low = band_gain[b], step = band_gain[b + 1] - band_gain[b];
#pragma omp simd
        for (int k = self->start[b]; k < self->start[b + 1]; k++)
            bin_gain[k] = low + share[k] * step;
    }
    float sum = 0.0f;
    for (int b = self->high_band; b < k_bands; b++) sum += band_gain[b];
    const int from = self->start[k_bands];
    ae_fill(bin_gain + from, sum / (float)(k_bands - self->high_band), self->bins - from);
}
