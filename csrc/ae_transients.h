/* ae_transients.h - finds key strokes, mouse clicks, taps and knocks, and says how far every point
 * of the spectrum must come down for the speech and the room's noise under them to stay.
 *
 * Method: a short spectrum of the newest hop (13 ms) in twelve bands; the rise, level, evenness and
 * tilt of those above 2 kHz, what lies below 1 kHz, the peak within the hop, pitch and speech of
 * the hop before go into a logistic regression, fitted by tools/key_strokes. A stroke that has died
 * away with no voice in it is confirmed; one confirmed stroke opens the gate and three make a
 * keyboard, whose level and colour then tell its strokes from plosives (speech alone opens nothing
 * and passes bit by bit). In a stroke a point keeps at most what was there in the hop before and a
 * little more: a voice that goes on stays, a pause falls to the noise estimate. What was taken
 * rings on in the room: that is subtracted from the hops after, by the tail that strokes have here.
 * Different from the usual transient suppressors (Talmon, Cohen & Gannot 2011; WebRTC's): nothing
 * looks ahead, and the decision is trained on mixtures in which losing a word's onset costs most.
 * Weak: the first strokes pass; percussion in music opens the gate; a plosive out of silence that
 * looks like this keyboard's stroke is cut.
 * Thread: audio, no allocation after create. Cost: one real FFT of 1.3 hops. */
#ifndef AE_TRANSIENTS_H
#define AE_TRANSIENTS_H

#include "ae_common.h"

typedef struct ae_transients ae_transients;

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int hop_frames;     /* 10 ms */
    int points;         /* 16 .. 65536 */
    float point_hz;     /* distance of the first points, those to 8 kHz */
} ae_transients_config;

ae_status ae_transients_create(ae_transients **out, const ae_transients_config *config);
void ae_transients_destroy(ae_transients *self);
void ae_transients_reset(ae_transients *self);
/* One hop. samples [channels][hop_frames]: the newest; power, noise [points]: of the analysis
 * window that ends with them, and the noise in it, in powers per sample; pitch_strength: of the hop
 * before. gain [points]: an amplitude ratio, <= 1. */
void ae_transients_update(ae_transients *self, const float *const *samples, int channels,
                          const float *power, const float *noise, float pitch_strength,
                          float speech_probability, float *gain);
/* 0 .. 1: how likely a stroke lies in the newest hop. */
float ae_transients_probability(const ae_transients *self);
/* Strokes since reset. */
uint32_t ae_transients_count(const ae_transients *self);

#endif
