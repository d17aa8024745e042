/* ae_lip_track.h - offset and drift of sound against picture over time, and steps of the offset.
 *
 * Method: a Kalman filter (Kalman 1960) of two states, offset and its slope, fed with one estimate
 * a second. The estimates come from overlapping windows, so each counts as a fraction of an
 * independent one. An estimate far from the prediction (120 ms) is left out; three in a row that
 * agree within 40 ms are a step, and the filter starts anew there. So it does after 60 s without an
 * estimate that counts, which is no step.
 * No allocation; thread: any. */
#ifndef AE_LIP_TRACK_H
#define AE_LIP_TRACK_H

typedef struct {
    int measured;           /* estimates taken since the start or the last step */
    double first_s, last_s; /* of them */
    double offset_ms, slope_ms_per_s;
    double variance[3]; /* of the offset, of both, of the slope */
    int outside;        /* estimates in a row that were left out */
    double outside_low_ms, outside_high_ms;
} ae_lip_track;

void ae_lip_track_reset(ae_lip_track *self);
/* An estimate for the time `time_s` (increasing; the middle of what its window saw) with a
 * confidence of 0 .. 1; below 0.5 it changes nothing. Returns 1 when it completes a step. */
int ae_lip_track_update(ae_lip_track *self, double time_s, double offset_ms, double confidence);
/* The slope, NaN before the estimates span AE_LIP_TRACK_DRIFT_S. */
enum { AE_LIP_TRACK_DRIFT_S = 10 };
double ae_lip_track_drift(const ae_lip_track *self);

#endif
