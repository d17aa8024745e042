/* ae_decay_time.h - the room's decay time (T60) from the falls of running speech.
 *
 * Method: speech stops faster than a room does, so the steep falls of its level in octave-wide
 * bands show the room's own slope (Ratnam et al. 2003; Lebart, Boucher & Denbigh 2001). Every fall
 * of the smoothed level over 60 ms that starts near the peak and ends above the noise is one slope;
 * a percentile of the last 120 slopes, corrected by the line in the .c file, is the T60.
 * Different from the papers: no likelihood is fitted, the percentile and the line are calibrated on
 * speech in synthetic and measured rooms. Good to some 20 % (one sigma) from 0.3 to 1.1 s; longer
 * rooms are said too short. A reading, nothing is steered by it.
 * Cost: nothing to speak of. Thread: audio, no allocation after create. */
#ifndef AE_DECAY_TIME_H
#define AE_DECAY_TIME_H

#include "ae_common.h"

enum { k_ae_decay_max_bands = 8 };

typedef struct {
    int bands;    /* 1 .. k_ae_decay_max_bands */
    float hop_ms; /* 5 .. 20 */
} ae_decay_time_config;

typedef struct ae_decay_time ae_decay_time;

ae_status ae_decay_time_create(ae_decay_time **out, const ae_decay_time_config *config);
void ae_decay_time_destroy(ae_decay_time *self);
void ae_decay_time_reset(ae_decay_time *self);
/* One hop: the level of every band and of the noise in it, [bands], finite. */
void ae_decay_time_update(ae_decay_time *self, const float *level_db, const float *noise_db);
float ae_decay_time_s(const ae_decay_time *self); /* 0: too few falls yet */

#endif
