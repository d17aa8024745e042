/* ae_echo_stage.h - what is done about the echo that the linear filter leaves, inside the
 * suppressor's short-time spectrum.
 *
 * Per hop: the filter's signals on the suppressor's grid (ae_echo_spectra, one per channel), a
 * statistical estimate of the residual echo (ae_residual_echo, one per channel), both gathered in
 * bands (ae_echo_bands), and a small net (ae_echo_net) that gives each band a gain and a mix. The
 * mix brings back near end that the filter's last learning step took for echo; the gain takes
 * residual echo away. One gain and one mix for all channels, so the picture stays.
 * Latency: none of its own. Thread: audio; no allocation after create. */
#ifndef AE_ECHO_STAGE_H
#define AE_ECHO_STAGE_H

#include "ae_common.h"
#include "ae_echo_view.h"

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int channels;       /* 1 .. 8 */
    int hop_frames;     /* of the suppressor's ae_stft: 10 ms */
    int window_frames;
} ae_echo_stage_config;

typedef struct ae_echo_stage ae_echo_stage;

ae_status ae_echo_stage_create(ae_echo_stage **out, const ae_echo_stage_config *config);
void ae_echo_stage_destroy(ae_echo_stage *self);
void ae_echo_stage_reset(ae_echo_stage *self);
/* One hop. echo: one view per channel. re, im: spectra of the filters' outputs, one plane of bins
 * per channel; changed by the mix. gain: amplitude ratios 0 .. 1, [bins], to be applied by the
 * caller. taken: power that the filters' last learning step still keeps away, sum over the
 * channels, [bins]: noise is missing there too. */
void ae_echo_stage_update(ae_echo_stage *self, const ae_echo_view *const *echo, float *const *re,
                          float *const *im, float *gain, float *taken);
/* Power of the last hop's linear echo estimate and of the far end behind the bulk delay, [bins]
 * each: |X|^2 summed over the channels, times scale; both fade away where the filter no longer
 * believes in an echo path, as with a headset. After an update; no overlap. */
void ae_echo_stage_powers(const ae_echo_stage *self, float scale, float *echo, float *far_end);
/* How much of the last hop was near end or noise, 0 (all echo) .. 1. */
float ae_echo_stage_near_end_presence(const ae_echo_stage *self);

#endif
