/* ae_late_reverb.h - power of the late reverberation at every spectral point, learned blindly.
 *
 * Method: late reverberation is the speech power of 50 ms ago times a factor (Lebart, Boucher &
 * Denbigh 2001). Habets 2007 derives the factor from the decay time and the ratio of direct to
 * reverberant sound; neither is known here, and a near talker in a live room needs far less than
 * the decay time says. So the factor itself is learned: no level can fall faster than the room lets
 * it, hence the ratio of a band's power to its power 50 ms before has a lower edge, and that edge
 * (the tenth percentile, mean of four bands) shows how much late reverberation there is: -3 .. -7
 * dB in reverberant speech, -10 dB near the mouth, -10 .. -30 dB where it is dry. A line from the
 * edge to the factor, steep below -8 dB, leaves dry speech alone. Hops near the noise do not count:
 * there the edge would be the noise's, so in more noise the stage needs more time and does less.
 * It starts from "dry" and engages after some 0.5 s of speech. The decay time (ae_decay_time) is a
 * reading only. Cost: three multiplications per point. Thread: audio, no allocation after create.
 */
#ifndef AE_LATE_REVERB_H
#define AE_LATE_REVERB_H

#include "ae_common.h"

enum { k_ae_reverb_bands = 4 };

typedef struct {
    int points;
    int band_edges[k_ae_reverb_bands + 1]; /* points where the room is watched, ascending */
    float hop_ms;                          /* 5 .. 20 */
} ae_late_reverb_config;

typedef struct ae_late_reverb ae_late_reverb;

ae_status ae_late_reverb_create(ae_late_reverb **out, const ae_late_reverb_config *config);
void ae_late_reverb_destroy(ae_late_reverb *self);
void ae_late_reverb_reset(ae_late_reverb *self);
/* One hop: writes the late reverberation's power, [points], times strength (0 .. 1). power, noise
 * [points]; a power that is not finite counts as none. */
void ae_late_reverb_update(ae_late_reverb *self, const float *power, const float *noise,
                           float strength, float *reverb);
/* 0 .. 1: how surely the newest hop is a fall, where late reverberation is all there is. */
float ae_late_reverb_fall(const ae_late_reverb *self);
float ae_late_reverb_decay_s(const ae_late_reverb *self); /* T60; 0: not known yet or dry */

#endif
