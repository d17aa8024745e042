/* ae_peak_meter.h - a peak meter for a screen: rises at once, falls slowly, holds its maximum.
 *
 * Fall: 20 dB in 1.7 s, as IEC 60268-18 has it for digital peak meters; the held value stays for
 * 1.5 s. Peaks of samples, not true peaks. A plain struct, part of its owner.
 * Thread: audio; no allocation. Cost: one comparison per sample. */
#ifndef AE_PEAK_METER_H
#define AE_PEAK_METER_H

#include "ae_common.h"

typedef struct {
    float peak; /* falling, full scale 1 */
    float held;
    float held_for_s;
} ae_peak_meter;

void ae_peak_meter_update(ae_peak_meter *self, const float *const *rows, int channels, int frames,
                          int sample_rate_hz);

#endif
