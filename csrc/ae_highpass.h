/* ae_highpass.h - takes DC, rumble and handling noise away before anything adapts to them.
 *
 * Method: 4th-order Butterworth high-pass, two ae_biquad sections. Fourth order and not second,
 * because it is both flatter where speech begins and steeper below: at the default 80 Hz a 100 Hz
 * voice loses 0.7 dB (second order: 1.5), 20 Hz rumble loses 48 dB (24), 50 Hz hum 16 dB (9).
 * A DC step dies to 1 % in under 100 ms at any cutoff (the slowest pole pair decays with
 * 0.38 * 2 pi cutoff: 48/s at 20 Hz, 192/s at 80 Hz).
 * A new cutoff is reached in 100 ms, in equal steps of log frequency every 4 frames.
 * Latency: 0. Cost: two biquads per sample. Thread: audio, no allocation after create. */
#ifndef AE_HIGHPASS_H
#define AE_HIGHPASS_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_highpass ae_highpass;
typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int channels;       /* 1 .. 8 */
    float cutoff_hz;    /* 20 .. 300, the -3 dB point */
} ae_highpass_config;

ae_highpass_config ae_highpass_default_config(int sample_rate_hz);
ae_status ae_highpass_create(ae_highpass **out, const ae_highpass_config *config);
/* One block of ae_block_frames(rate) frames per channel. `out` may equal `in`. */
void ae_highpass_process(ae_highpass *self, const float *const *in, float *const *out);
void ae_highpass_set_cutoff_hz(ae_highpass *self, float cutoff_hz); /* clamped; NaN is ignored */
void ae_highpass_reset(ae_highpass *self);
void ae_highpass_destroy(ae_highpass *self);
int ae_highpass_latency_frames(const ae_highpass *self); /* 0 */
/* ffi:end */

#endif
