/* ae_late_reverb.h - power of the late reverberation at every spectral point, with a blind estimate
 * of the room's decay time.
 *
 * Method: late reverberation is the speech power of 50 ms ago, decayed (Lebart, Boucher & Denbigh
 * 2001; Habets 2007). Decay time: in a room no level can fall faster than the room lets it, so the
 * steepest of the falls of speech in four bands shows it. The map from that slope to the decay time
 * that is used leaves dry speech alone: its falls are as steep as the analysis window allows.
 * Needs some 3 s of speech to engage. Thread: audio, no allocation after create. */
#ifndef AE_LATE_REVERB_H
#define AE_LATE_REVERB_H

#include "ae_common.h"

enum { k_ae_reverb_bands = 4 };

typedef struct {
    int points;
    int band_edges[k_ae_reverb_bands + 1]; /* points where the decay is watched, ascending */
    float hop_ms;                          /* 5 .. 20 */
} ae_late_reverb_config;

typedef struct ae_late_reverb ae_late_reverb;

ae_status ae_late_reverb_create(ae_late_reverb **out, const ae_late_reverb_config *config);
void ae_late_reverb_destroy(ae_late_reverb *self);
void ae_late_reverb_reset(ae_late_reverb *self);
/* One hop: writes the late reverberation's power, [points], times strength (0 .. 1). */
void ae_late_reverb_update(ae_late_reverb *self, const float *power, const float *noise,
                           float strength, float *reverb);
float ae_late_reverb_decay_s(const ae_late_reverb *self); /* T60 in use; 0: not known or dry */

#endif
