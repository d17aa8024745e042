#include "ae_peak_meter.h"

#include "ae_math.h"

static const float k_fall_db_per_s = 20.0f / 1.7f; /* IEC 60268-18 */
static const float k_hold_s = 1.5f;                /* long enough to be read */

void ae_peak_meter_update(ae_peak_meter *self, const float *const *rows, int channels, int frames,
                          int sample_rate_hz)
{
    const float seconds = (float)frames / (float)sample_rate_hz;
    float peak = 0.0f;
    for (int c = 0; c < channels; c++) {
        const float *restrict row = rows[c];
#pragma omp simd reduction(max : peak)
        for (int n = 0; n < frames; n++) peak = fabsf(row[n]) > peak ? fabsf(row[n]) : peak;
    }
    self->peak = ae_max(peak, self->peak * ae_amplitude_from_db(-k_fall_db_per_s * seconds));
    self->held_for_s += seconds;
    if (peak >= self->held || self->held_for_s > k_hold_s) {
        self->held = peak >= self->held ? peak : self->peak;
        self->held_for_s = 0.0f;
    }
}
