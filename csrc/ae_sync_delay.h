/* ae_sync_delay.h - delays all channels by up to two seconds, and changes that delay unheard.
 *
 * The delay of a lip-sync correction. At rest it is a whole number of frames and the signal passes
 * bit for bit. A new target is approached in two ways at once, whichever gets there first:
 *
 * It slides, by at most 5 ms per second (9 cents of pitch): band-limited interpolation (Smith &
 * Gossett 1984), 64 taps of a Kaiser-windowed sinc, 512 phases, linear between them. Flat to 0.9 of
 * the Nyquist frequency; distortion and noise of a sliding sine lie 108 dB below it and more, up to
 * 10 kHz at 48 kHz.
 *
 * Inside a pause of 200 ms and more it jumps, with a cross-fade of 10 ms. Only pause is left out or
 * played again, with 50 ms kept on both sides: no word is cut or heard twice. So a long way takes
 * several jumps, and a pause that is too short for it is played until the delay is there.
 *
 * A pause is where the level of a 10 ms block lies 12 dB under what is heard outside pauses and
 * within 8 dB of the noise floor (fast down, 1 dB/s up, -75 .. -40 dBFS), or 20 dB under it
 * wherever the floor is; and where the suppressor hears no speech (26 dB where there is none to
 * ask).
 *
 * Latency: 32 frames, half the interpolator. The delay comes on top and is no latency: it is
 * wanted. Cost: two copies and a sum of squares at rest, 130 multiply-adds per sample while it
 * slides. Memory: 4 bytes per frame of the longest delay and channel. Thread: audio, no allocation
 * after create. */
#ifndef AE_SYNC_DELAY_H
#define AE_SYNC_DELAY_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_sync_delay ae_sync_delay;
typedef struct {
    int sample_rate_hz;     /* 8000 .. 96000 */
    int channels;           /* 1 .. 8 */
    int max_delay_ms;       /* 0 .. 2000 */
    float delay_ms;         /* 0 .. max_delay_ms, the target */
    float initial_delay_ms; /* 0 .. max_delay_ms, where a new object stands */
} ae_sync_delay_config;

typedef struct {
    float delay_ms;  /* now, latency not counted */
    float target_ms; /* where it goes */
    int moving;      /* 0/1 */
    int jump_count;  /* since create or reset */
} ae_sync_delay_report;

ae_sync_delay_config ae_sync_delay_default_config(int sample_rate_hz);
ae_status ae_sync_delay_create(ae_sync_delay **out, const ae_sync_delay_config *config);
/* One block of ae_block_frames(rate) frames per channel. speech_probability: of the block, 0 .. 1;
 * below 0: not known. `out` may equal `in`. Samples that are no numbers count as 0. */
void ae_sync_delay_process(ae_sync_delay *self, const float *const *in, float speech_probability,
                           float *const *out);
void ae_sync_delay_set_delay_ms(ae_sync_delay *self, float delay_ms); /* clamped; NaN is ignored */
/* Back to silence, standing at the target. */
void ae_sync_delay_reset(ae_sync_delay *self);
void ae_sync_delay_destroy(ae_sync_delay *self);
int ae_sync_delay_latency_frames(const ae_sync_delay *self); /* 32 */
int ae_sync_delay_delay_frames(const ae_sync_delay *self);   /* now, rounded; no latency */
int ae_sync_delay_most_frames(const ae_sync_delay *self);    /* the longest delay */
void ae_sync_delay_read(const ae_sync_delay *self, ae_sync_delay_report *out);
/* ffi:end */

/* Go on where `from` is, towards the own target: same rate and channels; else nothing happens. What
 * does not fit into a shorter line is lost. */
void ae_sync_delay_take_over(ae_sync_delay *self, const ae_sync_delay *from);
/* Both have just processed a block: let the own newest one become a fade from `from`'s to the own;
 * shares of the own at its start and at its end, 0 .. 1. Does nothing where that block has been
 * heard already, at delays under one block. */
void ae_sync_delay_blend_newest(ae_sync_delay *self, const ae_sync_delay *from, float share_start,
                                float share_end);

#endif
