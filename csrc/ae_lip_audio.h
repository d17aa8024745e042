/* ae_lip_audio.h - the sound side of lip sync: features every 10 ms, with their place in time.
 *
 * Method: at 16 kHz, 25 ms Hann windows, a power spectrum of 512 points. Features in dB: openness
 * of the first formant (450 .. 1100 Hz over 100 .. 350 Hz), flux (mean over the bands of what rises
 * against the frame before), and 24 triangular mel bands of 80 .. 7600 Hz (O'Shaughnessy's scale).
 * Frame n is centred on start + n * 10 ms, wherever the stream is cut: the resampler's latency is
 * taken out exactly. Frames that hold broken (non-finite, beyond 1e6) or missing samples are
 * marked. Time stamps: without one the stream goes on. A stamp within 50 ms of that moves the start
 * slowly (5 s), so the jitter of capture stamps averages out; later than that is a hole of missing
 * frames; earlier, or later by more than `max_hole_s`, starts anew. Cost: the resampler and 100
 * FFTs of 512 points per second. No allocation after create. */
#ifndef AE_LIP_AUDIO_H
#define AE_LIP_AUDIO_H

#include "ae_common.h"

typedef struct ae_lip_audio ae_lip_audio;

enum { /* columns of a row */
       AE_LIP_OPENNESS = 0,
       AE_LIP_FLUX = 1,
       AE_LIP_MEL = 2, /* 24 bands */
       AE_LIP_MEL_BANDS = 24,
       AE_LIP_LEVEL = 26, /* dB of 80 .. 7600 Hz over AE_LIP_FULL_SCALE_DB */
       AE_LIP_PRESENT = 27,
       AE_LIP_ROW = 32,
       AE_LIP_FRAMES_PER_S = 100,
};

typedef struct {
    int sample_rate_hz; /* 8000 .. 192000 */
    int kept_frames;    /* rows that can be read back, >= 1 */
    float max_hole_s;
} ae_lip_audio_config;

ae_status ae_lip_audio_create(ae_lip_audio **out, const ae_lip_audio_config *config);
void ae_lip_audio_destroy(ae_lip_audio *self);
void ae_lip_audio_reset(ae_lip_audio *self);
/* The most samples that one call may take: 10 ms. */
int ae_lip_audio_piece(const ae_lip_audio *self);
/* What to do before samples that begin at time_s (NaN: the stream goes on): the number of missing
 * samples to push first (as in = NULL), 0, or -1 after starting anew. `frames` is how many samples
 * have this stamp. */
int64_t ae_lip_audio_place(ae_lip_audio *self, double time_s, int64_t frames);
/* Up to ae_lip_audio_piece samples; in == NULL: they are missing. */
void ae_lip_audio_push(ae_lip_audio *self, const float *in, int frames);
int64_t ae_lip_audio_frames(const ae_lip_audio *self);                  /* finished rows */
const float *ae_lip_audio_row(const ae_lip_audio *self, int64_t frame); /* of the kept ones */
double ae_lip_audio_start_s(const ae_lip_audio *self);                  /* time of frame 0 */
int64_t ae_lip_audio_non_finite(const ae_lip_audio *self); /* broken samples since create, reset */

#endif
