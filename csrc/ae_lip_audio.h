/* ae_lip_audio.h - the sound side of lip sync: features every 10 ms, with their place in time.
 *
 * Method: at 16 kHz, 25 ms Hann windows, a power spectrum of 512 points, 24 triangular bands of
 * 80 .. 7600 Hz, evenly spaced on the mel scale (O'Shaughnessy 1987), in dB.
 * Frame n is centred on start + n * 10 ms, wherever the stream is cut: the resampler's latency is
 * taken out exactly. Frames that hold broken (non-finite, beyond 1e6) or missing samples are
 * marked. Time stamps: without one the stream goes on. A stamp within 50 ms of that moves the start
 * slowly (5 s), so the jitter of capture stamps averages out; later than that is a hole of missing
 * frames; earlier, by up to 1 s, sound that is there already, and left out (so one late stamp costs
 * no more than its hole); earlier still, or later by more than `max_hole_s`, starts anew. Cost: the
 * resampler and 100 FFTs of 512 points per second. No allocation after create. */
#ifndef AE_LIP_AUDIO_H
#define AE_LIP_AUDIO_H

#include "ae_common.h"

typedef struct ae_lip_audio ae_lip_audio;

enum {                      /* columns of a row: 24 mel bands in dB, then */
       AE_LIP_LEVEL = 24,   /* 80 .. 7600 Hz in dB of a full-scale sine */
       AE_LIP_PRESENT = 25, /* 0 where samples are broken or missing, else 1 */
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
/* Up to ae_lip_audio_piece samples, less what ae_lip_audio_place found to be there already; in ==
 * NULL: they are missing. */
void ae_lip_audio_push(ae_lip_audio *self, const float *in, int frames);
int64_t ae_lip_audio_frames(const ae_lip_audio *self);                  /* finished rows */
int64_t ae_lip_audio_oldest(const ae_lip_audio *self);                  /* the first kept row */
const float *ae_lip_audio_row(const ae_lip_audio *self, int64_t frame); /* of the kept ones */
double ae_lip_audio_start_s(const ae_lip_audio *self);                  /* time of frame 0 */
int64_t ae_lip_audio_non_finite(const ae_lip_audio *self); /* broken samples since create, reset */

#endif
