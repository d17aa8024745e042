#include "ae_spectral_points.h"

#include "ae_fft.h"
#include "ae_math.h"

static const float k_full_resolution_hz = 8000.0f;
static const float k_band_ratio = 1.25992105f; /* 2^(1/3): third octaves */

enum { k_max_bands = 16 }; /* 8 .. 48 kHz holds 8 third octaves */

struct ae_spectral_points {
    int bins, bins_kept, bands;
    float bin_hz;
    int band_start[k_max_bands + 1]; /* first bin of each band; the last entry is `bins` */
    float *widths;                   /* [points] */
    float *position;                 /* [bins] where a bin lies on the axis of points */
};

static ae_spectral_points *lay_out(ae_arena *arena, const ae_spectral_points *shape)
{
    ae_spectral_points *self = AE_TAKE(arena, 1, ae_spectral_points);
    float *widths = AE_TAKE(arena, shape->bins_kept + shape->bands, float);
    float *position = AE_TAKE(arena, shape->bins, float);
    if (self == NULL) return NULL;
    *self = *shape;
    self->widths = widths;
    self->position = position;
    return self;
}

static void choose_bands(ae_spectral_points *shape)
{
    const int wanted = (int)(k_full_resolution_hz / shape->bin_hz + 0.5f);
    const int kept = ae_fft_good_size(2 * wanted) / 2 + 1;
    shape->bins_kept = kept < shape->bins ? kept : shape->bins;
    int start = shape->bins_kept;
    while (start < shape->bins) {
        shape->band_start[shape->bands++] = start;
        int end = (int)((float)start * k_band_ratio + 0.5f);
        if ((float)(shape->bins - end) < 0.4f * (float)(end - start)) end = shape->bins;
        start = end < shape->bins ? end : shape->bins;
    }
    shape->band_start[shape->bands] = shape->bins;
}

/* A bin between two band centres lies between their two points. */
static void place_bins(ae_spectral_points *self)
{
    const int kept = self->bins_kept;
    for (int k = 0; k < kept; k++) {
        self->position[k] = (float)k;
        self->widths[k] = 1.0f;
    }
    for (int b = 0; b < self->bands; b++)
        self->widths[kept + b] = (float)(self->band_start[b + 1] - self->band_start[b]);
    float last_centre = (float)(kept - 1);
    int k = kept;
    for (int b = 0; b < self->bands; b++) {
        const float centre = 0.5f * (float)(self->band_start[b] + self->band_start[b + 1] - 1);
        for (; k < self->bins && (float)k <= centre; k++)
            self->position[k] =
                (float)(kept + b - 1) + ((float)k - last_centre) / (centre - last_centre);
        last_centre = centre;
    }
    for (; k < self->bins; k++) self->position[k] = (float)(kept + self->bands - 1);
}

ae_status ae_spectral_points_create(ae_spectral_points **out,
                                    const ae_spectral_points_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->fft_size < 16 || config->fft_size != ae_fft_good_size(config->fft_size))
        return AE_ERROR_ARGUMENT;
    ae_spectral_points shape = {.bins = config->fft_size / 2 + 1,
                                .bin_hz = (float)config->sample_rate_hz / (float)config->fft_size};
    choose_bands(&shape);
    ae_arena arena = {0};
    lay_out(&arena, &shape);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    place_bins(*out);
    return AE_OK;
}

void ae_spectral_points_destroy(ae_spectral_points *self) { ae_free(self); }
int ae_spectral_points_bins_kept(const ae_spectral_points *self) { return self->bins_kept; }
int ae_spectral_points_count(const ae_spectral_points *self)
{
    return self->bins_kept + self->bands;
}
float ae_spectral_points_bin_hz(const ae_spectral_points *self) { return self->bin_hz; }
const float *ae_spectral_points_widths(const ae_spectral_points *self) { return self->widths; }

int ae_spectral_points_at(const ae_spectral_points *self, float frequency_hz)
{
    return ae_clamp_int((int)(frequency_hz / self->bin_hz + 0.5f), 0, self->bins_kept - 1);
}

void ae_spectral_points_gather(const ae_spectral_points *self, const float *bin_power,
                               float *point_power)
{
    ae_copy(point_power, bin_power, self->bins_kept);
    for (int b = 0; b < self->bands; b++) {
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int k = self->band_start[b]; k < self->band_start[b + 1]; k++) sum += bin_power[k];
        point_power[self->bins_kept + b] = sum / self->widths[self->bins_kept + b];
    }
}

void ae_spectral_points_spread(const ae_spectral_points *self, const float *point_gain,
                               float *bin_gain)
{
    ae_copy(bin_gain, point_gain, self->bins_kept);
    const int last = self->bins_kept + self->bands - 1;
    for (int k = self->bins_kept; k < self->bins; k++) {
        const int low = (int)self->position[k];
        const int high = low < last ? low + 1 : last;
        const float part = self->position[k] - (float)low;
        bin_gain[k] = point_gain[low] + part * (point_gain[high] - point_gain[low]);
    }
}
